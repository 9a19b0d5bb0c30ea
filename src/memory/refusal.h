// Refuses one reservation, or one mapping, on purpose, to see what every caller makes of it. Tests only.
//
// Thread contract: thread-safe; one test at a time, for it counts over all of the process.
#pragma once

#include <cstdint>

namespace penstock::testing {

// The nth growth of any budget from now on is refused (1 = the next one); 0: none is.
void refuse_reservation(std::uint64_t nth);
// Growths asked for since then.
std::uint64_t reservations_asked();

// The same for the system's answer to Slab::map().
void refuse_mapping(std::uint64_t nth);
std::uint64_t mappings_asked();

}  // namespace penstock::testing
