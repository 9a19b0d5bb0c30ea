// What is kept in memory of all rows, and what is read again with each block: where rows begin, and labels.
#pragma once

#include <span>

#include "base/types.h"
#include "dataset/dataset_impl.h"

namespace penstock::loader {

// Note [Residency]. Where each row's entries begin, and its labels, are read again with every block, or stay in
// memory for the life of the loader. Resident they cost bytes and no reads: about 1.6 bytes a row for offsets
// (anndata/indptr.h packs them) and 1 to 8 for a label. Offsets that are read again cost nothing worth
// mentioning where they lie in one piece; in chunks, a block decodes whole ones for the few that it needs:
//
//     chunks of 9,766 offsets (h5py's own)    78 KB, half of them on average, for a block of 24 rows of 11 KB: 15 %
//     chunks of a million                     8 MB: fifteen times what the block itself is
//
// So offsets stay where they take a tenth of the budget, or, where reading them again would be dear, a third;
// then the window gives up an eighth of its half if that lets them stay. In any case there must be room beside
// them for the metadata and four CSR batches. Offsets that are dear and do not stay make shuffled blocks larger,
// up to four times, so that more rows share what a block decodes for them.
//
// The order of rows depends on this choice. So it follows from the files, `memory` and `batch_size` alone: not from
// the format of batches, labels, what other selections hold, or whether a plan turned out to fit.
//
// Labels, which no order depends on, stay where they and the offsets that stay take a tenth of the budget, or a
// fifth if there is room beside the batches that were asked for.
struct Residency {
  bool offsets = false, labels = false;
  ByteCount window_less = 0;  // than half of the budget
  friend bool operator==(const Residency&, const Residency&) = default;
};

struct ResidencyInput {
  ByteCount memory = 0;
  ByteCount metadata = 0;             // of the files, as they were opened
  ByteCount offsets = 0, labels = 0;  // that they would take
  bool dear = false;                  // offsets, to be read again
  ByteCount csr_batch = 0;            // typical, of the files' rows
  ByteCount batch = 0;                // likewise of what was asked for
};
Residency choose_residency(const ResidencyInput& in);
// The least budget that keeps offsets, if all else is as it is.
ByteCount memory_that_keeps(ResidencyInput in);

// How many rows a block of these files must have for its offsets, read again, to be a tenth of what it reads and
// of what it decodes (of the file for which that is most); 0: any number will do.
double rows_to_reread(std::span<const internal::FilePart> parts);

}  // namespace penstock::loader

namespace penstock::testing {

// Tests only: loaders made from now on, in all of the process, keep neither. Offsets are packed so well that no
// small file has any that are read again.
void keep_nothing(bool on);

}  // namespace penstock::testing
