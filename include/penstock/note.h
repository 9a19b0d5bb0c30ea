// What a user should know of a Dataset or a Plan that is no error: advice and warnings.
//
//   for (const penstock::Note& note : dataset->notes()) {
//     if (note.kind == penstock::NoteKind::not_counts) std::cerr << note.text;
//   }
//
// The text is for people. Code that acts on a note asks for its kind.
//
// Thread contract: values.
// Layer: base.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock {

enum class NoteKind : std::uint8_t {
  // of a Dataset
  not_counts,     // the matrix holds values that are not counts, and another one of the file holds counts
  genes_joined,   // files have other genes, or in another order: what join= made of them
  genes_missing,  // genes asked for by name are in no file
  shape_implied,  // the file states no shape: it follows from the largest numbers in it
  feature_types,  // a 10x file has features of several types, and all of them were taken
  rows_counted,   // opening went through the row numbers of CSC matrices, which takes time
  left_open,      // a file says that its writer has not closed it
  pages_passed,   // opening passed over the heads of Parquet pages, which takes time
  // of a Plan
  no_rows,         // nothing is selected
  no_batches,      // drop_last leaves out all that there is
  lone_row,        // the only batch of a rank has one row
  resumed,         // the epoch goes on behind a checkpoint
  threads_fewer,   // the budget has no room for all threads
  labels_missing,  // rows without a value of a column
  offsets_reread,  // the budget cannot keep row offsets, and reading them again is dear
};

// "not_counts", "genes_joined", ...
std::string_view note_kind_name(NoteKind kind);

struct Note {
  NoteKind kind = NoteKind::not_counts;
  std::string text;
  friend bool operator==(const Note&, const Note&) = default;
};

}  // namespace penstock
