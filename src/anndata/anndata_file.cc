// Opens what an AnnData file consists of, and checks what only holds between its parts. The order is that of
// the messages a user is best served by: first whether it is AnnData at all, then the name of the matrix,
// then obs, the matrix and var, and at last whether their sizes agree.
#include "anndata/anndata_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "anndata/absent_matrix.h"
#include "anndata/attributes.h"
#include "anndata/matrices.h"
#include "anndata/mudata.h"
#include "base/names.h"
#include "store/readable.h"

namespace penstock::anndata {

namespace {

bool has_all(const store::Group& group, std::initializer_list<const char*> names) {
  return std::all_of(names.begin(), names.end(), [&](const char* name) { return group.has(name); });
}

// What a file without obs and var is, and how it becomes one that is read. Formats are told by the names of
// their groups (formats.md, 2.4); the advice is a line that the user can run.
Status not_anndata(const store::Group& root) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto names, root.children());
  const auto unsupported = [&](const char* what, const char* convert) {
    return Status::unsupported(
        fmt::format("{}: {} is not read yet; convert it: {}", root.file_label(), what, convert));
  };
  if (has_all(root, {"matrix", "row_attrs", "col_attrs"})) {
    return unsupported("a loom file",
                       "anndata.io.read_loom(FILE).write_h5ad(NEW_FILE), with loompy installed");
  }
  if (has_all(root, {"assays", "cell.names"})) {
    return unsupported("a Seurat file (.h5Seurat)", "SeuratDisk::Convert(FILE, dest = \"h5ad\") in R");
  }
  return Status::unsupported(
      fmt::format("{}: not an AnnData file: it has no /obs and /var; {}; make an AnnData object of it and "
                  "write that with write_h5ad()",
                  root.file_label(), suggest_names("obs", names)));
}

Result<Frame> open_frame(const store::Group& group, const std::string& name,
                         std::shared_ptr<const store::Group> uns = nullptr) {
  PENSTOCK_RETURN_IF_ERROR(store::readable(group));
  if (!group.has(name)) return Status::corrupt(fmt::format("{}: no '{}' in it", group.where(), name));
  PENSTOCK_ASSIGN_OR_RETURN(auto node, group.child(name));
  return Frame::open(std::move(node), std::move(uns));
}

Status check_sizes(const AnnDataFile& file) {
  const SourceTraits& traits = file.matrix->traits();
  const auto differ = [&](const Frame& frame, const char* axis, std::uint64_t n) {
    return Status::corrupt(fmt::format("{}: {} {}, but {} has {} rows", file.matrix->label(), n, axis,
                                       frame.where(), frame.n_rows()));
  };
  // The sizes of the matrix come from its own attributes, those of tables from their index: nothing in the
  // file keeps them equal, and labels would silently belong to other rows.
  if (file.obs.n_rows() != traits.n_rows) return differ(file.obs, "rows", traits.n_rows);
  if (file.var.n_rows() != traits.n_cols) return differ(file.var, "columns", traits.n_cols);
  return {};
}

Result<Frame> open_var(const store::Group& root, const std::string& matrix) {
  PENSTOCK_ASSIGN_OR_RETURN(auto uns, open_uns(root));
  // X and layers share var. raw has genes of its own, often more than X, from before they were filtered.
  if (matrix != "raw/X") return open_frame(root, "var", std::move(uns));
  // anndata before 0.7 wrote links of that name.
  if (root.has("raw.var")) return open_frame(root, "raw.var", std::move(uns));
  PENSTOCK_ASSIGN_OR_RETURN(const auto raw, root.child("raw"));
  const store::Group* group = raw->as_group();
  if (group == nullptr) return Status::corrupt(raw->where() + ": an array, expected a group");
  return open_frame(*group, "var", std::move(uns));
}

}  // namespace

Result<std::shared_ptr<const store::Group>> open_uns(const store::Group& root) {
  PENSTOCK_RETURN_IF_ERROR(store::readable(root));
  if (!root.has("uns")) return std::shared_ptr<const store::Group>();
  // What nobody can open lists no categories.
  const auto uns = root.child("uns");
  return uns.ok() ? as_group(*uns) : std::shared_ptr<const store::Group>();
}

Status check_is_anndata(const store::Group& root) {
  PENSTOCK_RETURN_IF_ERROR(store::readable(root));
  if (has_all(root, {"obs", "var"})) return {};
  return not_anndata(root);
}

Result<AnnDataFile> AnnDataFile::open(std::shared_ptr<const store::Group> root, const std::string& matrix,
                                      MemoryBudget& index_budget) {
  PENSTOCK_ASSIGN_OR_RETURN(root, object_of(std::move(root), matrix));
  const std::string name = name_inside(*root, matrix);
  PENSTOCK_RETURN_IF_ERROR(check_is_anndata(*root));
  PENSTOCK_RETURN_IF_ERROR(check_matrix_name(*root, matrix));
  AnnDataFile file;
  // Tables first: what is wrong with them is said of them.
  PENSTOCK_ASSIGN_OR_RETURN(auto uns, open_uns(*root));
  PENSTOCK_ASSIGN_OR_RETURN(file.obs, open_frame(*root, "obs", std::move(uns)));
  PENSTOCK_ASSIGN_OR_RETURN(const bool has_x, has_matrix_x(*root));
  if (name == "X" && !has_x) {
    // The tables can be looked at all the same; who wants rows hears what matrices there are.
    PENSTOCK_ASSIGN_OR_RETURN(file.var, open_var(*root, name));
    Status why = open_matrix(*root, matrix, index_budget).status();
    file.matrix = std::make_shared<const AbsentMatrix>(root->file_label() + ": " + matrix, file.obs.n_rows(),
                                                       file.var.n_rows(), std::move(why));
    file.object = std::move(root);
    return file;
  }
  PENSTOCK_ASSIGN_OR_RETURN(OpenedMatrix opened, open_matrix(*root, matrix, index_budget));
  file.matrix = std::move(opened.rows);
  file.values = std::move(opened.values);
  PENSTOCK_ASSIGN_OR_RETURN(file.var, open_var(*root, name));
  PENSTOCK_RETURN_IF_ERROR(check_sizes(file));
  file.object = std::move(root);
  return file;
}

}  // namespace penstock::anndata
