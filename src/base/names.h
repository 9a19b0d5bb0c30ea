// What to say when a name is not there.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace penstock {

// "did you mean 'drug'?" for a name that is nearly there, else "there are: 'a', 'b', ... (12 more)", or
// "it is empty". Linear in the names.
std::string suggest_names(std::string_view wanted, std::span<const std::string> names);

}  // namespace penstock
