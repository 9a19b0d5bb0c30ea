// Finds matrices by name and tells by what is stored which kind they are:
//
//     group, encoding-type csr_matrix or csc_matrix, or h5sparse_format      CsrSource, CscSource
//     array of two dimensions of numbers or booleans                         DenseSource
//     anything else                                                          described, not read
//
// Half of this file is for messages. Users seldom know what a file from somewhere else contains, so an error
// about a matrix lists the ones that can be opened.
#include "anndata/matrices.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "anndata/attributes.h"
#include "anndata/csc_source.h"
#include "anndata/dense_source.h"
#include "anndata/mudata.h"
#include "base/names.h"
#include "source/numbers.h"
#include "store/readable.h"

namespace penstock::anndata {

namespace {

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  std::string text;
  for (const std::uint64_t n : shape) text += (text.empty() ? "" : " x ") + format_count(n);
  return text;
}

// What a matrix is, from its attributes and children; says so when even that cannot be read. `failure` is set
// when the disk or the budget failed: that is not the matrix's fault.
void describe_group(const store::Group& group, MatrixEntry& entry, Status* failure) {
  const auto format = sparse_format(group);
  const auto type = encoding_type(group);
  for (const Status& status :
       {format.ok() ? Status() : format.status(), type.ok() ? Status() : type.status()}) {
    if (status.code() == StatusCode::budget || status.code() == StatusCode::io_error) *failure = status;
  }
  if (!format.ok() || format->empty()) {
    entry.description = !format.ok() || !type.ok() ? "a group whose encoding cannot be read"
                        : type->empty()            ? "a group without encoding-type"
                                                   : "an element of encoding '" + *type + "'";
    return;
  }
  const auto data = array_child(group, "data");
  const auto shape = sparse_shape(group);
  entry.description = fmt::format("a {} matrix", *format == "csr" ? "CSR" : "CSC");
  if (data.ok() && shape.ok() && shape.value()) {
    entry.description +=
        fmt::format(" ({}, {})", data.value()->dtype().description, shape_text(*shape.value()));
  }
  entry.readable = true;
}

MatrixEntry describe(std::string name, std::shared_ptr<const store::Node> node, Status* failure) {
  MatrixEntry entry;
  entry.name = std::move(name);
  if (const store::Group* group = node->as_group()) {
    describe_group(*group, entry, failure);
  } else {
    const store::Array& array = *node->as_array();
    entry.description =
        array.shape().size() == 2
            ? fmt::format("a dense matrix ({} {})", array.dtype().description, shape_text(array.shape()))
            : fmt::format("an array ({}, {} dimensions)", array.dtype().description, array.shape().size());
    entry.readable = DenseSource::reads(array);
  }
  entry.node = std::move(node);
  return entry;
}

void add_child(const store::Group& group, const std::string& child, std::string name,
               std::vector<MatrixEntry>& entries) {
  if (!is_utf8(name)) {
    // It is listed, but nobody could ask for it by name.
    entries.push_back({shown_text(name), false, "a matrix whose name is not UTF-8", nullptr,
                       Status::unsupported("its name is not UTF-8: rename it to read it")});
    return;
  }
  auto node = group.child(child);
  if (node.ok()) {
    Status ignored;  // a list says what it can
    entries.push_back(describe(std::move(name), std::move(node).value(), &ignored));
    return;
  }
  MatrixEntry unreadable;
  unreadable.name = std::move(name);
  unreadable.failure = node.status();
  unreadable.description = "unreadable (" + unreadable.failure.message() + ")";
  entries.push_back(std::move(unreadable));
}

// The matrix that "counts", "raw" or "layer/counts" are meant to be; nullptr: none. What layers are called is
// tried first: "count" is near to "counts" and far from "layers/counts". `inside`: the name without a modality.
const std::string* meant_matrix(const std::vector<MatrixEntry>& entries, const std::string& name,
                                const std::string& inside) {
  std::vector<std::string> names, layers;
  for (const MatrixEntry& entry : entries) {
    names.push_back(entry.name);
    // What a layer is called, and the group of raw/X.
    const std::size_t slash = entry.name.rfind('/');
    layers.push_back(entry.name.ends_with("raw/X")
                         ? "raw"
                         : entry.name.substr(slash == std::string::npos ? 0 : slash + 1));
  }
  const auto among = [&](const std::vector<std::string>& list,
                         const std::string& asked) -> const std::string* {
    // The lists are parallel to `entries`, so a place in one is a place in the other.
    const std::string* nearest = nearest_name(asked, list);
    return nearest == nullptr ? nullptr : &entries[static_cast<std::size_t>(nearest - list.data())].name;
  };
  const std::string* layer = among(layers, inside);
  return layer != nullptr ? layer : among(names, name);
}

// What the caller can do instead of opening `asked`: all that can be opened, as one would type it, or, if
// nothing can, what there is.
std::string advice(const std::vector<MatrixEntry>& entries, const std::string& asked) {
  std::string readable, others;
  for (const MatrixEntry& entry : entries) {
    if (entry.readable) {
      readable += fmt::format("{}matrix=\"{}\"", readable.empty() ? "" : " or ", entry.name);
    } else if (entry.name != asked) {
      others += fmt::format("{}{}: {}", others.empty() ? "" : "; ", entry.name, entry.description);
    }
  }
  if (!readable.empty()) return "open another matrix with " + readable;
  if (entries.empty()) return "the file has no matrix";
  return "the file has no sparse and no dense matrix" + (others.empty() ? others : " (" + others + ")") +
         "; save it as scipy.sparse.csr_matrix";
}

}  // namespace

Result<bool> has_matrix_x(const store::Group& root) {
  PENSTOCK_RETURN_IF_ERROR(store::readable(root));
  if (!root.has("X")) return false;
  const auto node = root.child("X");
  // A damaged X is still an X: opening it says what is wrong.
  if (!node.ok()) return true;
  const auto type = encoding_type(**node);
  // What is absent may be stored all the same, as an element of encoding "null" (formats.md, 2.1).
  return !type.ok() || *type != "null";
}

namespace {

// The matrices of one AnnData object.
Status list_object(const store::Group& object, std::vector<MatrixEntry>& entries) {
  const std::string prefix = matrix_prefix(object);
  PENSTOCK_RETURN_IF_ERROR(store::readable(object));
  PENSTOCK_ASSIGN_OR_RETURN(const bool has_x, has_matrix_x(object));
  if (has_x) add_child(object, "X", prefix + "X", entries);
  // anndata before 0.7 wrote links of that name.
  if (object.has("raw.X")) add_child(object, "raw.X", prefix + "raw/X", entries);
  if (object.has("raw")) {
    PENSTOCK_ASSIGN_OR_RETURN(const auto raw, object.child("raw"));
    // Some writers leave a null array where there is no raw.
    const store::Group* group = raw->as_group();
    if (group != nullptr) PENSTOCK_RETURN_IF_ERROR(store::readable(*group));
    if (group != nullptr && group->has("X")) add_child(*group, "X", prefix + "raw/X", entries);
  }
  if (object.has("layers")) {
    PENSTOCK_ASSIGN_OR_RETURN(const auto layers, object.child("layers"));
    if (const store::Group* group = layers->as_group()) {
      PENSTOCK_ASSIGN_OR_RETURN(const auto names, group->children());
      for (const std::string& name : names) add_child(*group, name, prefix + "layers/" + name, entries);
    }
  }
  return {};
}

}  // namespace

Result<std::vector<MatrixEntry>> list_matrices(const store::Group& object) {
  std::vector<MatrixEntry> entries;
  PENSTOCK_RETURN_IF_ERROR(list_object(object, entries));
  if (!is_mudata(object)) return entries;
  PENSTOCK_ASSIGN_OR_RETURN(const auto modalities, list_modalities(object));
  for (const std::string& name : modalities) {
    // One that cannot be looked into must not hide the others.
    const auto modality = open_modality(object, name);
    const Status listed = modality.ok() ? list_object(**modality, entries) : modality.status();
    if (listed.code() == StatusCode::budget || listed.code() == StatusCode::io_error) return listed;
  }
  return entries;
}

namespace {

// The entry of one name, without looking at the others; nullopt when there is none. A file may have thousands
// of layers, or one that is damaged: neither must matter to who opens X.
Result<std::optional<MatrixEntry>> find_matrix(const store::Group& root, const std::string& asked) {
  const std::string name = name_inside(root, asked);
  if (name == "X") {
    PENSTOCK_ASSIGN_OR_RETURN(const bool has_x, has_matrix_x(root));
    if (!has_x) return std::optional<MatrixEntry>();
  }
  const std::size_t slash = name.find('/');
  const std::string head = name.substr(0, slash);
  PENSTOCK_RETURN_IF_ERROR(store::readable(root));
  // A link in the root whose name has a dot in it (formats.md, 2.2).
  const bool old_raw = name == "raw/X" && root.has("raw.X");
  if (!old_raw && !root.has(head)) return std::optional<MatrixEntry>();
  PENSTOCK_ASSIGN_OR_RETURN(auto node, root.child(old_raw ? "raw.X" : head));
  if (slash != std::string::npos && !old_raw) {
    const store::Group* group = node->as_group();
    const std::string rest = name.substr(slash + 1);
    if (group != nullptr) PENSTOCK_RETURN_IF_ERROR(store::readable(*group));
    if (group == nullptr || !group->has(rest)) return std::optional<MatrixEntry>();
    PENSTOCK_ASSIGN_OR_RETURN(node, group->child(rest));
  }
  Status failure;
  auto entry = describe(asked, std::move(node), &failure);
  if (!failure.ok()) return failure;
  return std::optional(std::move(entry));
}

// What to say of a matrix that cannot be opened: what is there instead.
Result<std::string> other_choices(const store::Group& root, const std::string& asked) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto entries, list_matrices(root));
  return advice(entries, asked);
}

template <class F>
bool all_of_sample(NumericType type, const std::vector<std::byte>& raw, F&& good) {
  std::vector<double> values(raw.size() / numeric_size(type));
  to_double(type, raw.data(), values);
  return std::all_of(values.begin(), values.end(), good);
}

}  // namespace

Status check_matrix_name(const store::Group& object, const std::string& asked) {
  const std::string name = name_inside(object, asked);
  // "layers/" by itself names nothing.
  const bool layer = name.starts_with("layers/") && name.size() > 7;
  if (name == "X" || name == "raw/X" || layer) return {};
  PENSTOCK_ASSIGN_OR_RETURN(const auto entries, list_matrices(object));
  const std::string* meant = meant_matrix(entries, asked, name);
  const std::string prefix = is_mudata(object) ? "mod/NAME/" : matrix_prefix(object);
  return Status::invalid_argument(fmt::format(
      "{}: matrix='{}': expected \"{}X\", \"{}raw/X\" or \"{}layers/NAME\"; {}", object.file_label(), asked,
      prefix, prefix, prefix,
      meant != nullptr ? fmt::format("did you mean matrix=\"{}\"?", *meant) : advice(entries, asked)));
}

namespace {

// The node of a matrix that is read.
Result<std::shared_ptr<const store::Node>> readable_matrix(const store::Group& root,
                                                           const std::string& name) {
  PENSTOCK_RETURN_IF_ERROR(check_matrix_name(root, name));
  PENSTOCK_ASSIGN_OR_RETURN(auto entry, find_matrix(root, name));
  if (entry && entry->readable) return std::move(entry->node);
  // Only now, when there is an error to be told, the other matrices are looked at.
  PENSTOCK_ASSIGN_OR_RETURN(const std::string choices, other_choices(root, name));
  const std::string where = fmt::format("{}: /{}", root.file_label(), name);
  if (!entry) return Status::not_found(fmt::format("{} does not exist; {}", where, choices));
  return Status::unsupported(fmt::format("{}: {} is not read yet; {}", where, entry->description, choices));
}

std::string matrix_label(const store::Group& root, const std::string& name) {
  return fmt::format("{}: {}", root.file_label(), name);
}

// Types and lengths are checked by the source that is opened on the parts. The shape has to be stored: indptr
// tells one of the sizes, but the other cannot be seen from the numbers in `indices`, as genes that no cell
// has are in none of them.
Result<CsrParts> sparse_parts(const store::Group& group, std::string label) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto shape, sparse_shape(group));
  if (!shape) return Status::corrupt(group.where() + ": a sparse matrix without attribute 'shape'");
  CsrParts parts;
  PENSTOCK_ASSIGN_OR_RETURN(parts.data, array_child(group, "data"));
  PENSTOCK_ASSIGN_OR_RETURN(parts.indices, array_child(group, "indices"));
  PENSTOCK_ASSIGN_OR_RETURN(parts.indptr, array_child(group, "indptr"));
  parts.n_rows = (*shape)[0];
  parts.n_cols = (*shape)[1];
  parts.label = std::move(label);
  return parts;
}

}  // namespace

Result<CsrParts> open_csr(const store::Group& root, const std::string& name) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto node, readable_matrix(root, name));
  const store::Group* group = node->as_group();
  if (group == nullptr) return Status::unsupported(node->where() + ": a dense matrix, expected a CSR matrix");
  PENSTOCK_ASSIGN_OR_RETURN(const std::string format, sparse_format(*group));
  if (format != "csr") return Status::unsupported(node->where() + ": a CSC matrix, expected a CSR matrix");
  return sparse_parts(*group, matrix_label(root, name));
}

Result<OpenedMatrix> open_matrix(const store::Group& root, const std::string& name,
                                 MemoryBudget& index_budget) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto node, readable_matrix(root, name));
  OpenedMatrix out;
  if (const store::Group* group = node->as_group()) {
    PENSTOCK_ASSIGN_OR_RETURN(const std::string format, sparse_format(*group));
    PENSTOCK_ASSIGN_OR_RETURN(auto parts, sparse_parts(*group, matrix_label(root, name)));
    out.values = parts.data;
    if (format == "csc") {
      PENSTOCK_ASSIGN_OR_RETURN(out.rows, CscSource::open(std::move(parts), index_budget));
    } else {
      PENSTOCK_ASSIGN_OR_RETURN(out.rows, CsrSource::open(std::move(parts), index_budget));
    }
  } else {
    out.values = as_array(node);
    PENSTOCK_ASSIGN_OR_RETURN(out.rows,
                              DenseSource::open(out.values, matrix_label(root, name), index_budget));
  }
  return out;
}

Result<std::shared_ptr<const store::Array>> open_values(const store::Group& root, const std::string& name) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto node, readable_matrix(root, name));
  if (const store::Group* group = node->as_group()) return array_child(*group, "data");
  return as_array(node);
}

// For advice only, such as that a model of counts is fed with logarithms: two places are looked at, since one
// may be unlike the rest, and the first value that is no count settles it.
Result<std::optional<bool>> looks_like_counts(const store::Array& values) {
  constexpr std::uint64_t kSampleBytes = 512 << 10;  // of each of the two places
  constexpr std::uint64_t kLargestChunk = 8 << 20;   // a larger one costs more than the advice is worth
  if (values.size() == 0 || values.dtype().cls != store::TypeClass::number) return std::optional<bool>();
  if (values.is_chunked() && values.chunk_bytes() > kLargestChunk) return std::optional<bool>();
  const std::uint64_t most = kSampleBytes / values.dtype().size;
  const auto is_count = [](double v) { return v >= 0 && v == std::floor(v) && std::isfinite(v); };
  // Of a chunk the elements are looked at that lie inside the matrix: behind its edge there may be anything.
  for (const bool middle : {false, true}) {
    std::vector<std::byte> raw;
    if (values.is_chunked()) {
      PENSTOCK_ASSIGN_OR_RETURN(raw, values.read_chunk_inside(middle ? values.n_chunks() / 2 : 0));
      // A chunk has to be decoded whole, but up to 8 MiB of values need not be looked at.
      raw.resize(std::min<std::size_t>(raw.size(), most * values.dtype().size));
    } else {
      const std::uint64_t first = middle ? values.size() / 2 : 0;
      raw.resize(std::min(most, values.size() - first) * values.dtype().size);
      PENSTOCK_RETURN_IF_ERROR(values.read_range(first, raw.size() / values.dtype().size, raw));
    }
    if (!all_of_sample(values.dtype().number, raw, is_count)) return std::optional<bool>(false);
  }
  return std::optional<bool>(true);
}

}  // namespace penstock::anndata
