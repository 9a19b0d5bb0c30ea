#include "anndata/anndata_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "anndata/attributes.h"
#include "anndata/matrices.h"
#include "base/names.h"
#include "store/readable.h"

namespace penstock::anndata {

namespace {

bool has_all(const store::Group& group, std::initializer_list<const char*> names) {
  return std::all_of(names.begin(), names.end(), [&](const char* name) { return group.has(name); });
}

// A 10x file keeps cells in `matrix` (version 3) or in one group per genome (version 2).
Result<bool> is_10x(const store::Group& root, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    auto node = root.child(name);
    if (!node.ok()) continue;
    const store::Group* group = node.value()->as_group();
    if (group != nullptr && has_all(*group, {"barcodes", "data", "indices", "indptr"})) return true;
  }
  return false;
}

// What a file without obs and var is.
Status not_anndata(const store::Group& root) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto names, root.children());
  const auto unsupported = [&](const std::string& what) {
    return Status::unsupported(fmt::format("{}: {} is not read yet", root.file_label(), what));
  };
  if (root.has("mod")) return unsupported("a MuData file (/mod)");
  if (has_all(root, {"matrix", "row_attrs", "col_attrs"})) return unsupported("a loom file");
  PENSTOCK_ASSIGN_OR_RETURN(const bool tenx, is_10x(root, names));
  if (tenx) return unsupported("a 10x matrix file");
  return Status::unsupported(fmt::format("{}: not an AnnData file: it has no /obs and /var; {}",
                                         root.file_label(), suggest_names("obs", names)));
}

Result<Frame> open_frame(const store::Group& group, const std::string& name) {
  PENSTOCK_RETURN_IF_ERROR(store::readable(group));
  if (!group.has(name)) return Status::corrupt(fmt::format("{}: no '{}' in it", group.where(), name));
  PENSTOCK_ASSIGN_OR_RETURN(auto node, group.child(name));
  return Frame::open(std::move(node));
}

Status check_sizes(const AnnDataFile& file) {
  const SourceTraits& traits = file.matrix->traits();
  const auto differ = [&](const Frame& frame, const char* axis, std::uint64_t n) {
    return Status::corrupt(fmt::format("{}: {} {}, but {} has {} rows", file.matrix->label(), n, axis,
                                       frame.where(), frame.n_rows()));
  };
  if (file.obs.n_rows() != traits.n_rows) return differ(file.obs, "rows", traits.n_rows);
  if (file.var.n_rows() != traits.n_cols) return differ(file.var, "columns", traits.n_cols);
  return {};
}

}  // namespace

Result<AnnDataFile> AnnDataFile::open(std::shared_ptr<const store::Group> root, const std::string& matrix,
                                      MemoryBudget& index_budget) {
  PENSTOCK_RETURN_IF_ERROR(check_matrix_name(matrix));
  PENSTOCK_RETURN_IF_ERROR(store::readable(*root));
  if (!has_all(*root, {"obs", "var"}) || root->has("mod")) return not_anndata(*root);
  AnnDataFile file;
  // Tables first: those of the oldest layout say what a user can do about the file.
  PENSTOCK_ASSIGN_OR_RETURN(file.obs, open_frame(*root, "obs"));
  PENSTOCK_ASSIGN_OR_RETURN(CsrParts parts, open_csr(*root, matrix));
  if (matrix == "raw/X") {
    PENSTOCK_ASSIGN_OR_RETURN(const auto raw, root->child("raw"));
    const store::Group* group = raw->as_group();
    if (group == nullptr) return Status::corrupt(raw->where() + ": an array, expected a group");
    PENSTOCK_ASSIGN_OR_RETURN(file.var, open_frame(*group, "var"));
  } else {
    PENSTOCK_ASSIGN_OR_RETURN(file.var, open_frame(*root, "var"));
  }
  PENSTOCK_ASSIGN_OR_RETURN(file.matrix, CsrSource::open(std::move(parts), index_budget));
  PENSTOCK_RETURN_IF_ERROR(check_sizes(file));
  file.root = std::move(root);
  return file;
}

}  // namespace penstock::anndata
