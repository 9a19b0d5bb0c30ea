// Symbol-table groups: B-tree version 1 of type 0 (HDF5 spec III.A.1), symbol table nodes (III.B, III.C) and
// the local heap of names (III.D).
#pragma once

#include <functional>

#include "hdf5/image.h"
#include "hdf5/links.h"

namespace penstock::hdf5 {

// Hands out every link in name order. `corrupt` when names do not ascend, a node is visited twice, a level
// does not decrease or a name leaves the heap. Work and memory are bounded by the size of the file; the heap
// is held during the visit, reserved from the index budget.
Status visit_symbol_table(const Image& image, Address tree, Address heap,
                          const std::function<Status(Link, Address)>& visit);

}  // namespace penstock::hdf5
