// What a user should know of a file, whatever its tables and matrices are.
#pragma once

#include <vector>

#include "penstock/note.h"
#include "store/store.h"

namespace penstock::anndata {

std::vector<Note> notes_of(const store::Group& root);

}  // namespace penstock::anndata
