// The one place that knows which formats there are. A file is told by its bytes and never by its name; a
// folder by what it holds. What no format knows goes to other_kinds.cc, which says what it is instead.
#include "dataset/formats.h"

#include "anndata/h5ad.h"
#include "dataset/other_kinds.h"
#include "io/folder.h"
#include "parquet/format.h"

namespace penstock::internal {

std::span<const Format* const> formats() {
  // Parquet's first four bytes are looked at before HDF5's signature, which may lie further inside.
  static const Format* const kFormats[] = {&parquet::parquet_format(), &anndata::h5ad_format()};
  return kFormats;
}

const Format* folder_format(const std::string& folder) {
  for (const Format* format : formats()) {
    if (format->tell_folder(folder)) return format;
  }
  return nullptr;
}

Result<const Format*> format_of(const std::string& path, const FileOpener& opener) {
  if (const Format* format = folder_format(path)) return format;
  // A folder has no bytes to be told by, and opening one as a file would fail with an error that helps
  // nobody.
  if (is_folder(path)) return other_folder(path);
  PENSTOCK_ASSIGN_OR_RETURN(const auto file, opener(path));
  for (const Format* format : formats()) {
    PENSTOCK_ASSIGN_OR_RETURN(const bool is_its, format->tell(*file));
    if (is_its) return format;
  }
  return other_file(path, *file);
}

}  // namespace penstock::internal
