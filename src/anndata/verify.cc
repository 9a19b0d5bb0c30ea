// Verifying asks more than decoding: a file is sound if an epoch over each of its matrices and a look at each
// of its columns would succeed. So each element is looked at in two ways. ArrayVerifier decodes all chunks
// and checks column numbers, which opening does not do, and then the element is opened as a Dataset opens it,
// which checks types, sizes and row offsets.
#include "anndata/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "anndata/anndata_file.h"
#include "anndata/attributes.h"
#include "anndata/indptr.h"
#include "anndata/matrices.h"
#include "anndata/mudata.h"
#include "anndata/table.h"
#include "anndata/verify_array.h"
#include "base/checked.h"
#include "source/verify_table.h"

namespace penstock::anndata {

namespace {

// A walk over an AnnData object: a file, or a modality of a MuData file. It is taken twice
// (source/verify_log.h): while log_ is counting, arrays only tell how many pieces they have, and what would
// open a matrix is left out.
//
// A fault does not end the walk. log_.take() notes it and gives back only what makes going on useless, a
// refusal of the budget. What run() returns besides is that there is nothing to walk over: another kind of
// file, or no matrix of that name.
class ObjectVerifier {
 public:
  ObjectVerifier(std::shared_ptr<const store::Group> root, VerifyLog& log, MemoryBudget& index,
                 MemoryBudget& work)
      : root_(std::move(root)), log_(log), index_(index), arrays_(log, work) {}

  Status run(const std::string& only) {
    PENSTOCK_RETURN_IF_ERROR(check_is_anndata(*root_));
    PENSTOCK_ASSIGN_OR_RETURN(std::vector<MatrixEntry> entries, list_matrices(*root_));
    // Those of modalities are looked at there, each with the tables of its own.
    if (is_mudata(*root_)) {
      std::erase_if(entries, [](const MatrixEntry& entry) { return entry.name.starts_with("mod/"); });
    }
    if (!only.empty()) std::erase_if(entries, [&](const MatrixEntry& entry) { return entry.name != only; });
    // What there is instead.
    if (entries.empty() && !only.empty()) return open_matrix(*root_, only, index_).status();
    PENSTOCK_RETURN_IF_ERROR(table(root_, "obs"));
    // raw/X has a table of its own, and is the only one to use it. var belongs to X and the layers, so it is
    // left out where raw/X alone is asked for.
    const std::string raw_x = matrix_prefix(*root_) + "raw/X";
    const bool raw = std::any_of(entries.begin(), entries.end(),
                                 [&](const MatrixEntry& entry) { return entry.name == raw_x; });
    if (!raw || entries.size() > 1) PENSTOCK_RETURN_IF_ERROR(table(root_, "var"));
    if (raw) PENSTOCK_RETURN_IF_ERROR(raw_var());
    for (const MatrixEntry& entry : entries) PENSTOCK_RETURN_IF_ERROR(matrix(entry));
    if (!only.empty()) return {};
    for (const char* group : {"obsm", "varm", "obsp", "varp"}) PENSTOCK_RETURN_IF_ERROR(elements(group));
    return {};
  }

 private:
  struct Parts {
    std::shared_ptr<const store::Array> data, indices, indptr;
  };

  // Every chunk of a table, then every value of it as ds.obs[...] reads it.
  Status table(const std::shared_ptr<const store::Group>& parent, const std::string& name) {
    if (!parent->has(name))
      return log_.take(Status::corrupt(fmt::format("{}: no '{}' in it", parent->where(), name)));
    auto node = parent->child(name);
    if (!node.ok()) return log_.take(node.status());
    return table(std::move(node).value());
  }

  // Chunks are gone through one by one first, and then values. The first names the chunk and the byte of the
  // file, the second the row.
  Status table(std::shared_ptr<const store::Node> node) {
    // The tables of old files: all columns lie in one array.
    if (const auto records = as_array(node)) PENSTOCK_RETURN_IF_ERROR(arrays_.run(*records));
    const auto uns = open_uns(*root_);
    if (!uns.ok()) return log_.take(uns.status());
    auto frame = Frame::open(std::move(node), *uns);
    if (!frame.ok()) return log_.take(frame.status());
    // No matrix has so many rows, and fill values make them for nothing.
    if (frame->n_rows() >= 0xffffffffu) {
      return log_.take(
          Status::corrupt(fmt::format("{}: a table of {} rows", frame->where(), frame->n_rows())));
    }
    PENSTOCK_RETURN_IF_ERROR(chunks_of(frame->index()));
    for (const std::string& name : frame->columns()) {
      // That it cannot be opened is said by verify_table.
      if (const auto column = frame->column(name); column.ok()) PENSTOCK_RETURN_IF_ERROR(chunks_of(*column));
    }
    return verify_table(*make_table(std::move(frame).value()), log_, index_);
  }

  Status chunks_of(const FrameColumn& column) {
    PENSTOCK_RETURN_IF_ERROR(arrays_.run(*column.values));
    if (column.mask) PENSTOCK_RETURN_IF_ERROR(arrays_.run(*column.mask));
    // No deeper than once: categories are no categorical (frame.cc).
    return column.categories ? chunks_of(*column.categories) : Status();
  }

  Status raw_var() {
    if (root_->has("raw.var")) return table(root_, "raw.var");
    const auto raw = root_->child("raw");
    if (!raw.ok()) return log_.take(raw.status());
    const auto group = as_group(*raw);
    return group == nullptr ? Status() : table(group, "var");
  }

  Status matrix(const MatrixEntry& entry) {
    if (!entry.failure.ok()) {
      return log_.take(Status(entry.failure).with_context(entry.name));
    }
    return element(entry.name, entry.node, entry.readable);
  }

  // Entries of obsm, varm, obsp and varp. They are not matrices of a Dataset, so there is no open that would
  // check their sizes.
  Status elements(const std::string& name) {
    if (!root_->has(name)) return {};
    const auto node = root_->child(name);
    if (!node.ok()) return log_.take(node.status());
    const store::Group* group = (*node)->as_group();
    if (group == nullptr) return {};
    const auto names = group->children();
    if (!names.ok()) return log_.take(names.status());
    for (const std::string& child : *names) {
      auto found = group->child(child);
      PENSTOCK_RETURN_IF_ERROR(
          found.ok() ? element(matrix_prefix(*root_) + name + "/" + child, std::move(found).value(), false)
                     : log_.take(found.status()));
    }
    return {};
  }

  // A matrix in whatever layout: what is not read of it is noted. `can_open`: as the matrix of a Dataset.
  Status element(const std::string& name, const std::shared_ptr<const store::Node>& node, bool can_open) {
    const store::Group* group = node->as_group();
    if (group == nullptr) {
      if (ArrayVerifier::reads(*node->as_array())) log_.matrix(name);
      PENSTOCK_RETURN_IF_ERROR(arrays_.run(*node->as_array()));
      // Its sizes, as opening it checks them.
      return can_open && !log_.counting() ? log_.take(AnnDataFile::open(root_, name, index_).status())
                                          : Status();
    }
    const auto type = encoding_type(*group);
    if (!type.ok()) return log_.take(type.status());
    const auto format = sparse_format(*group);
    if (!format.ok()) return log_.take(format.status());
    if (!format->empty()) return sparse(name, *group, *format == "csr", can_open);
    if (*type == "dataframe") {
      log_.matrix(name);
      return table(node);
    }
    log_.not_checked(fmt::format("{}: {} is not read", node->where(),
                                 type->empty() ? std::string("a group without encoding-type")
                                               : "an element of encoding '" + *type + "'"));
    return {};
  }

  Status sparse(const std::string& name, const store::Group& group, bool csr, bool can_open) {
    const auto shape = sparse_shape(group);
    if (!shape.ok()) return log_.take(shape.status());
    if (!*shape)
      return log_.take(Status::corrupt(group.where() + ": a sparse matrix without attribute 'shape'"));
    Parts parts;
    for (const auto& [child, part] :
         {std::pair{"data", &parts.data}, {"indices", &parts.indices}, {"indptr", &parts.indptr}}) {
      auto opened = array_child(group, child);
      if (!opened.ok()) return log_.take(opened.status());
      *part = std::move(opened).value();
    }
    log_.matrix(name);
    const std::uint64_t along = (**shape)[csr ? 0 : 1], across = (**shape)[csr ? 1 : 0];
    PENSTOCK_RETURN_IF_ERROR(arrays_.run(*parts.data));
    // Of a CSR matrix these are column numbers, of CSC row numbers. 0 would mean that they are not to be
    // checked, so of a matrix without columns every element is measured against 1; it has none if it is
    // sound.
    PENSTOCK_RETURN_IF_ERROR(
        arrays_.run(*parts.indices, is_integers(*parts.indices) ? std::max<std::uint64_t>(across, 1) : 0));
    PENSTOCK_RETURN_IF_ERROR(arrays_.run(*parts.indptr));
    if (log_.counting()) return {};
    // Sizes and offsets, as opening it checks them.
    return log_.take(can_open ? AnnDataFile::open(root_, name, index_).status()
                              : offsets(group, parts, along));
  }

  // What opening checks, of a matrix that cannot be opened as one.
  Status offsets(const store::Group& group, const Parts& parts, std::uint64_t along) {
    const auto expected_size = checked_add(along, 1);
    if (!is_integers(*parts.indices) || !is_integers(*parts.indptr) ||
        parts.data->size() != parts.indices->size() || expected_size != parts.indptr->size()) {
      return Status::corrupt(fmt::format(
          "{}: {} elements in data, {} x {} in indices, {} x {} in indptr; expected integers, as many "
          "indices as data, and an offset for each of {} and one more",
          group.where(), parts.data->size(), parts.indices->size(), parts.indices->dtype().description,
          parts.indptr->size(), parts.indptr->dtype().description, along));
    }
    return scan_indptr(*parts.indptr, parts.data->size(), index_,
                       [](RowIndex, std::span<const std::uint64_t>) {});
  }

  static bool is_integers(const store::Array& array) {
    return array.dtype().cls == store::TypeClass::number && !is_floating(array.dtype().number) &&
           array.shape().size() == 1;
  }

  const std::shared_ptr<const store::Group> root_;
  VerifyLog& log_;
  MemoryBudget& index_;
  ArrayVerifier arrays_;
};

}  // namespace

Status verify(const std::shared_ptr<const store::Group>& root, const std::string& matrix, VerifyLog& log,
              MemoryBudget& index, MemoryBudget& work) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto object, object_of(root, matrix));
  PENSTOCK_RETURN_IF_ERROR(ObjectVerifier(object, log, index, work).run(matrix));
  if (!matrix.empty() || !is_mudata(*root)) return {};
  PENSTOCK_ASSIGN_OR_RETURN(const auto modalities, list_modalities(*root));
  for (const std::string& name : modalities) {
    const auto modality = open_modality(*root, name);
    // That it is no AnnData object, or none that can be opened, is a fault of the file.
    PENSTOCK_RETURN_IF_ERROR(
        log.take(modality.ok() ? ObjectVerifier(*modality, log, index, work).run({}) : modality.status()));
  }
  return {};
}

}  // namespace penstock::anndata
