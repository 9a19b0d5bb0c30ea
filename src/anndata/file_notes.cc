// An HDF5 file whose superblock has version 3 carries a flag that a writer sets when it opens the file and
// clears when it closes it (formats.md, 3.2). A file that still has it may be complete all the same, for
// instance when its writer was ended after the last write, so it is opened, and the user is told.
#include "anndata/file_notes.h"

#include <fmt/format.h>

namespace penstock::anndata {

std::vector<Note> notes_of(const store::Group& root) {
  if (!root.left_open()) return {};
  return {{NoteKind::left_open,
           fmt::format("{}: its writer has not closed it: what was not written yet is missing, and what is "
                       "written from now on may not be seen; close it there, or write it again",
                       root.file_label())}};
}

}  // namespace penstock::anndata
