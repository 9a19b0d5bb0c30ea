#include "anndata/matrices.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "anndata/attributes.h"
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
  const auto type = encoding_type(group);
  const auto legacy = string_attribute(group, "h5sparse_format");
  for (const Status& status :
       {type.ok() ? Status() : type.status(), legacy.ok() ? Status() : legacy.status()}) {
    if (status.code() == StatusCode::budget || status.code() == StatusCode::io_error) *failure = status;
  }
  if (legacy.ok() && legacy.value()) {
    entry.description =
        fmt::format("a {} matrix as anndata before 0.7 wrote it (h5sparse_format)", *legacy.value());
    return;
  }
  if (!type.ok() || (type.value() != "csr_matrix" && type.value() != "csc_matrix")) {
    entry.description = !type.ok()             ? "a group whose encoding cannot be read"
                        : type.value().empty() ? "a group without encoding-type"
                                               : "an element of encoding '" + type.value() + "'";
    return;
  }
  const bool csr = type.value() == "csr_matrix";
  const auto data = array_child(group, "data");
  const auto shape = shape_attribute(group, "shape");
  entry.description = fmt::format("a {} matrix", csr ? "CSR" : "CSC");
  if (data.ok() && shape.ok() && shape.value()) {
    entry.description +=
        fmt::format(" ({}, {})", data.value()->dtype().description, shape_text(*shape.value()));
  }
  entry.readable = csr;
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
  }
  entry.node = std::move(node);
  return entry;
}

void add_child(const store::Group& group, const std::string& child, std::string name,
               std::vector<MatrixEntry>& entries) {
  auto node = group.child(child);
  if (node.ok()) {
    Status ignored;  // a list says what it can
    entries.push_back(describe(std::move(name), std::move(node).value(), &ignored));
    return;
  }
  MatrixEntry unreadable;
  unreadable.name = std::move(name);
  unreadable.description = "unreadable (" + node.status().message() + ")";
  entries.push_back(std::move(unreadable));
}

// What the caller can do instead of opening `asked`.
std::string advice(const std::vector<MatrixEntry>& entries, const std::string& asked) {
  std::string readable, others;
  for (const MatrixEntry& entry : entries) {
    if (entry.readable) {
      readable += fmt::format("{}matrix=\"{}\"", readable.empty() ? "" : " or ", entry.name);
    } else if (entry.name != asked) {
      others += fmt::format("{}{}: {}", others.empty() ? "" : "; ", entry.name, entry.description);
    }
  }
  if (!readable.empty()) return "open a sparse matrix with " + readable;
  if (entries.empty()) return "the file has no matrix";
  return "the file has no CSR matrix" + (others.empty() ? others : " (" + others + ")") +
         "; save it as scipy.sparse.csr_matrix";
}

}  // namespace

Result<std::vector<MatrixEntry>> list_matrices(const store::Group& root) {
  std::vector<MatrixEntry> entries;
  PENSTOCK_RETURN_IF_ERROR(store::readable(root));
  if (root.has("X")) add_child(root, "X", "X", entries);
  if (root.has("raw")) {
    PENSTOCK_ASSIGN_OR_RETURN(const auto raw, root.child("raw"));
    // Some writers leave a null array where there is no raw.
    const store::Group* group = raw->as_group();
    if (group != nullptr) PENSTOCK_RETURN_IF_ERROR(store::readable(*group));
    if (group != nullptr && group->has("X")) add_child(*group, "X", "raw/X", entries);
  }
  if (root.has("layers")) {
    PENSTOCK_ASSIGN_OR_RETURN(const auto layers, root.child("layers"));
    if (const store::Group* group = layers->as_group()) {
      PENSTOCK_ASSIGN_OR_RETURN(const auto names, group->children());
      for (const std::string& name : names) add_child(*group, name, "layers/" + name, entries);
    }
  }
  return entries;
}

namespace {

// The entry of one name, without looking at the others; nullopt when there is none.
Result<std::optional<MatrixEntry>> find_matrix(const store::Group& root, const std::string& name) {
  const std::size_t slash = name.find('/');
  const std::string head = name.substr(0, slash);
  PENSTOCK_RETURN_IF_ERROR(store::readable(root));
  if (!root.has(head)) return std::optional<MatrixEntry>();
  PENSTOCK_ASSIGN_OR_RETURN(auto node, root.child(head));
  if (slash != std::string::npos) {
    const store::Group* group = node->as_group();
    const std::string rest = name.substr(slash + 1);
    if (group != nullptr) PENSTOCK_RETURN_IF_ERROR(store::readable(*group));
    if (group == nullptr || !group->has(rest)) return std::optional<MatrixEntry>();
    PENSTOCK_ASSIGN_OR_RETURN(node, group->child(rest));
  }
  Status failure;
  auto entry = describe(name, std::move(node), &failure);
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

Status check_matrix_name(const std::string& name) {
  const bool layer = name.starts_with("layers/") && name.size() > 7;
  if (name == "X" || name == "raw/X" || layer) return {};
  return Status::invalid_argument(
      fmt::format("matrix='{}': expected \"X\", \"raw/X\" or \"layers/NAME\"", name));
}

Result<CsrParts> open_csr(const store::Group& root, const std::string& name) {
  PENSTOCK_RETURN_IF_ERROR(check_matrix_name(name));
  PENSTOCK_ASSIGN_OR_RETURN(const auto entry, find_matrix(root, name));
  if (!entry || !entry->readable) {
    PENSTOCK_ASSIGN_OR_RETURN(const std::string choices, other_choices(root, name));
    const std::string where = fmt::format("{}: /{}", root.file_label(), name);
    if (!entry) return Status::not_found(fmt::format("{} does not exist; {}", where, choices));
    return Status::unsupported(fmt::format("{}: {} is not read yet; {}", where, entry->description, choices));
  }
  const store::Group& group = *entry->node->as_group();
  PENSTOCK_ASSIGN_OR_RETURN(const auto shape, shape_attribute(group, "shape"));
  if (!shape) return Status::corrupt(group.where() + ": a sparse matrix without attribute 'shape'");
  CsrParts parts;
  PENSTOCK_ASSIGN_OR_RETURN(parts.data, array_child(group, "data"));
  PENSTOCK_ASSIGN_OR_RETURN(parts.indices, array_child(group, "indices"));
  PENSTOCK_ASSIGN_OR_RETURN(parts.indptr, array_child(group, "indptr"));
  parts.n_rows = (*shape)[0];
  parts.n_cols = (*shape)[1];
  parts.label = fmt::format("{}: {}", root.file_label(), name);
  return parts;
}

Result<std::optional<bool>> looks_like_counts(const store::Array& data) {
  constexpr std::uint64_t kSampleBytes = 512 << 10;  // of each of the two places
  constexpr std::uint64_t kLargestChunk = 8 << 20;   // a larger one costs more than the advice is worth
  if (data.size() == 0 || data.dtype().cls != store::TypeClass::number) return std::optional<bool>();
  if (data.is_chunked() && data.chunk_bytes() > kLargestChunk) return std::optional<bool>();
  const std::uint64_t most = kSampleBytes / data.dtype().size;
  std::uint64_t middle = data.size() / 2;
  if (data.is_chunked()) middle = middle / data.chunk_elements() * data.chunk_elements();
  for (const std::uint64_t first : {std::uint64_t{0}, middle}) {
    std::uint64_t count = std::min(most, data.size() - first);
    if (data.is_chunked()) count = std::min(count, data.chunk_elements());
    std::vector<std::byte> raw(count * data.dtype().size);
    PENSTOCK_RETURN_IF_ERROR(data.read_range(first, count, raw));
    const auto is_count = [](double v) { return v >= 0 && v == std::floor(v) && std::isfinite(v); };
    if (!all_of_sample(data.dtype().number, raw, is_count)) return std::optional<bool>(false);
  }
  return std::optional<bool>(true);
}

}  // namespace penstock::anndata
