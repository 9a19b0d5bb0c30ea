// How many entries batches in file order can have, from metadata.
#pragma once

#include <cstdint>
#include <span>

#include "dataset/dataset_impl.h"

namespace penstock::loader {

// Any four consecutive batches in file order: the most entries, from the chunks that the rows lie in; an
// upper bound. Runs may cross from file to file. Looks at no more than 65,536 pieces of a file, twice each,
// and holds none of them.
std::uint64_t ordered_entries(std::span<const internal::FilePart> parts, std::uint64_t batch_size);

}  // namespace penstock::loader
