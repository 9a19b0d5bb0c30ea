// What Cell Ranger writes (formats.md, 2.4):
//
//     version 3   /matrix/{barcodes, data, indices, indptr, shape}, /matrix/features/{id, name, ...}
//     version 2   /GRCh38/{barcodes, data, indices, indptr, shape, genes, gene_names}, one for each genome
//
// To its writer this is a matrix of features x barcodes by columns: indptr has an offset for each barcode,
// and indices are numbers of features. That is a CSR matrix of barcodes x features, byte for byte, so
// CsrSource reads it and nothing is turned. With shape = 3 2, indptr = 0 2 3, indices = 0 2 1 there are 2
// cells; the first has features 0 and 2, the second feature 1.
//
// Cells have little to say (CellTable). Features are read into memory when the file is opened, since genome=
// and feature_type= choose among them; what is left out is dropped by a MappedSource over the matrix, and
// from the table.
#include "anndata/tenx.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "anndata/attributes.h"
#include "anndata/column_reader.h"
#include "anndata/csr_source.h"
#include "anndata/file_notes.h"
#include "anndata/frame.h"
#include "anndata/matrices.h"
#include "anndata/table.h"
#include "anndata/verify_array.h"
#include "base/checked.h"
#include "base/names.h"
#include "memory/reserve_for.h"
#include "source/column_map.h"
#include "source/column_text.h"
#include "source/mapped_source.h"
#include "source/memory_table.h"
#include "source/numbers.h"
#include "source/verify_table.h"
#include "store/readable.h"

namespace penstock::anndata {
namespace {

// Another time it may be there: an error of the system, or a budget that is full. To take it for "this is no
// 10x file" would end in advice that is wrong.
bool is_refusal(const Status& status) {
  return status.code() == StatusCode::io_error || status.code() == StatusCode::budget;
}

bool is_matrix(const store::Group& group) {
  const auto names = {"barcodes", "data", "indices", "indptr", "shape"};
  return std::all_of(names.begin(), names.end(), [&](const char* name) { return group.has(name); });
}

// The groups that hold a matrix, by name.
Result<std::map<std::string, std::shared_ptr<const store::Group>>> matrix_groups(const store::Group& root) {
  std::map<std::string, std::shared_ptr<const store::Group>> out;
  PENSTOCK_ASSIGN_OR_RETURN(const auto names, root.children());
  for (const std::string& name : names) {
    const auto node = root.child(name);
    // What is damaged is no matrix; what the system refuses is said.
    if (!node.ok() && is_refusal(node.status())) return node.status();
    if (!node.ok()) continue;
    if (auto group = as_group(*node); group != nullptr && is_matrix(*group)) out[name] = std::move(group);
  }
  return out;
}

// The group that the caller wants: version 3's, or of the genomes the one asked for. In version 3 a genome is
// a column of the features, and open_tenx() chooses by that.
Result<std::shared_ptr<const store::Group>> choose_group(const store::Group& root,
                                                         const std::string& genome) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto groups, matrix_groups(root));
  if (const auto found = groups.find("matrix"); found != groups.end()) return found->second;
  std::vector<std::string> genomes;
  for (const auto& [name, group] : groups) genomes.push_back(name);
  if (genome.empty() && groups.size() == 1) return groups.begin()->second;
  if (genome.empty()) {
    return Status::invalid_argument(
        fmt::format("{}: {} genomes, each with a matrix of its own: say which with genome=; {}",
                    root.file_label(), groups.size(), suggest_names("", genomes)));
  }
  if (const auto found = groups.find(genome); found != groups.end()) return found->second;
  return Status::not_found(
      fmt::format("{}: no genome '{}'; {}", root.file_label(), genome, suggest_names(genome, genomes)));
}

Result<CsrParts> open_parts(const store::Group& group) {
  CsrParts parts;
  PENSTOCK_ASSIGN_OR_RETURN(parts.data, array_child(group, "data"));
  PENSTOCK_ASSIGN_OR_RETURN(parts.indices, array_child(group, "indices"));
  PENSTOCK_ASSIGN_OR_RETURN(parts.indptr, array_child(group, "indptr"));
  PENSTOCK_ASSIGN_OR_RETURN(const auto shape, array_child(group, "shape"));
  const bool integers = shape->dtype().cls == store::TypeClass::number && !is_floating(shape->dtype().number);
  if (!integers || shape->size() != 2) {
    return Status::corrupt(fmt::format("{}: {} x {}, expected two sizes (features and barcodes)",
                                       shape->where(), shape->size(), shape->dtype().description));
  }
  // Real files have int32 here, beside int64 offsets.
  std::vector<std::byte> raw(2 * shape->dtype().size);
  PENSTOCK_RETURN_IF_ERROR(shape->read_range(0, 2, raw));
  std::array<std::int64_t, 2> sizes{};
  to_int64(shape->dtype().number, raw.data(), sizes);
  if (sizes[0] < 0 || sizes[1] < 0) {
    return Status::corrupt(
        fmt::format("{}: {} features and {} barcodes", shape->where(), sizes[0], sizes[1]));
  }
  // Stored as [features, barcodes].
  parts.n_rows = static_cast<RowIndex>(sizes[1]);
  parts.n_cols = static_cast<ColIndex>(sizes[0]);
  parts.label = fmt::format("{}: {}", group.file_label(), group.path().substr(1));
  return parts;
}

Status check_size(const FrameColumn& column, std::uint64_t n, const char* what) {
  if (column.size() == n) return {};
  return Status::corrupt(fmt::format("{}: {} elements, the matrix has {} {}", column.where, column.size(),
                                     format_count(n), what));
}

// The cells: their barcodes, and whether each was kept where a file says so.
class CellTable final : public Table {
 public:
  static Result<std::shared_ptr<const CellTable>> open(const store::Group& group, std::uint64_t n) {
    auto out = std::shared_ptr<CellTable>(new CellTable(group.where()));
    PENSTOCK_ASSIGN_OR_RETURN(auto barcodes, group.child("barcodes"));
    PENSTOCK_ASSIGN_OR_RETURN(out->index_, open_column(std::move(barcodes)));
    PENSTOCK_RETURN_IF_ERROR(check_size(out->index_, n, "barcodes"));
    if (group.has(kKept)) {
      PENSTOCK_ASSIGN_OR_RETURN(auto kept, group.child(kKept));
      PENSTOCK_ASSIGN_OR_RETURN(out->kept_, open_column(std::move(kept)));
      PENSTOCK_RETURN_IF_ERROR(check_size(out->kept_, n, "barcodes"));
      out->names_.emplace_back(kKept);
    }
    return std::shared_ptr<const CellTable>(std::move(out));
  }

  std::uint64_t n_rows() const override { return index_.size(); }
  const std::vector<std::string>& columns() const override { return names_; }
  bool has(const std::string& name) const override { return !names_.empty() && name == kKept; }
  Result<std::shared_ptr<const TableColumn>> index() const override { return make_column(index_); }
  Result<std::shared_ptr<const TableColumn>> column(const std::string& name) const override {
    if (has(name)) return make_column(kept_);
    return Status::not_found(
        fmt::format("{}: no column '{}'; {}", where(), name, suggest_names(name, names_)));
  }
  ColumnInfo info(const std::string& name) const override {
    ColumnInfo info;
    info.name = name;
    info.dtype = kept_.dtype;
    return info;
  }
  Result<std::vector<ColumnBounds>> bounds(const std::string&) const override {
    return std::vector<ColumnBounds>();
  }
  std::string where() const override { return where_; }

 private:
  static constexpr const char* kKept = "filtered_barcodes";

  explicit CellTable(std::string where) : where_(std::move(where)) {}

  const std::string where_;
  std::vector<std::string> names_;
  FrameColumn index_, kept_;
};

// The columns of the features in memory, the first of them their names.
class Features {
 public:
  // `group`: of the matrix; n: its features.
  static Result<Features> read(const store::Group& group, std::uint64_t n, MemoryBudget& budget) {
    Features out;
    out.where_ = group.where();
    // A byte for each feature, before anything is made that is as long as `shape` says: a number that is made
    // up is refused here. open_tenx() marks features in less.
    PENSTOCK_ASSIGN_OR_RETURN(
        out.held_, reserve_for(out.where_, budget, MemoryTag::index, std::max<std::uint64_t>(1, n)));
    if (!group.has("features")) {
      PENSTOCK_RETURN_IF_ERROR(out.add(group, "gene_names", "gene_names", n, budget));
      PENSTOCK_RETURN_IF_ERROR(out.add(group, "genes", "gene_ids", n, budget));
      return out;
    }
    PENSTOCK_ASSIGN_OR_RETURN(const auto node, group.child("features"));
    const store::Group* features = node->as_group();
    if (features == nullptr) return Status::corrupt(node->where() + ": an array, expected a group");
    PENSTOCK_RETURN_IF_ERROR(store::readable(*features));
    PENSTOCK_RETURN_IF_ERROR(out.add(*features, "name", "name", n, budget));
    // A panel of probes has an id for each probe, and in gene_id the gene that it is for. The column that
    // other files call gene_ids stays what it is.
    const bool probes = features->has("gene_id");
    PENSTOCK_RETURN_IF_ERROR(out.add(*features, probes ? "gene_id" : "id", "gene_ids", n, budget));
    if (probes) PENSTOCK_RETURN_IF_ERROR(out.add(*features, "id", "probe_ids", n, budget));
    PENSTOCK_RETURN_IF_ERROR(out.add(*features, "feature_type", "feature_types", n, budget));
    PENSTOCK_ASSIGN_OR_RETURN(const auto others, features->children());
    for (const std::string& name : others) {
      // The first four have been added under the names that scanpy gives them. The last two have no element
      // for each feature.
      const auto known = {"name", "id", "gene_id", "feature_type", "_all_tag_keys", "target_sets"};
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      const auto child = features->child(name);
      if (!child.ok() && is_refusal(child.status())) return child.status();
      if (!child.ok() || (*child)->as_array() == nullptr) continue;
      PENSTOCK_RETURN_IF_ERROR(out.add(*features, name, name, n, budget));
    }
    return out;
  }

  // nullptr: there is none of that name.
  const std::vector<std::string>* texts(const std::string& column) const {
    const auto found = std::find_if(columns_.begin(), columns_.end(),
                                    [&](const Column& each) { return each.name == column; });
    return found == columns_.end() ? nullptr : &found->strings;
  }

  // Leaves out the features that are not marked, in place: the names move to the front, and what is reserved
  // stays as it is.
  void keep(const std::vector<bool>& marked) {
    for (Column& column : columns_) {
      std::size_t to = 0;
      for (std::size_t i = 0; i < column.strings.size(); ++i) {
        if (!marked[i]) continue;
        if (to != i) column.strings[to] = std::move(column.strings[i]);
        ++to;
      }
      column.strings.resize(to);
    }
  }

  // With what they take, which has to live as long as the table does.
  std::pair<std::shared_ptr<const Table>, Reservation> table() && {
    const std::uint64_t n = columns_.front().strings.size();
    return {memory_table(std::move(columns_), 0, n, where_), std::move(held_)};
  }

 private:
  Status add(const store::Group& group, const std::string& child, const std::string& name, std::uint64_t n,
             MemoryBudget& budget) {
    PENSTOCK_ASSIGN_OR_RETURN(auto node, array_child(group, child));
    PENSTOCK_ASSIGN_OR_RETURN(const FrameColumn opened, open_column(std::move(node)));
    if (opened.encoding == FrameColumn::Encoding::categorical) {
      return Status::unsupported(opened.where + ": a categorical, expected texts or numbers");
    }
    PENSTOCK_RETURN_IF_ERROR(check_size(opened, n, "features"));
    // Empty strings first, then what they have become: how long texts are is known only when they have been
    // read.
    const ByteCount before = held_.bytes();
    PENSTOCK_RETURN_IF_ERROR(
        resize_for(where_, budget, held_, MemoryTag::index, before + n * sizeof(std::string)));
    PENSTOCK_ASSIGN_OR_RETURN(Column values, read_rows(opened, 0, n, 0));
    Column column;
    column.name = name;
    column.kind = Column::Kind::string;
    column.dtype = "string";
    column.strings = texts_of(std::move(values));
    PENSTOCK_RETURN_IF_ERROR(
        resize_for(where_, budget, held_, MemoryTag::index, before + string_bytes(column.strings)));
    columns_.push_back(std::move(column));
    return {};
  }

  std::string where_;
  std::vector<Column> columns_;
  Reservation held_;
};

// Unmarks the features whose column says something else than `wanted`.
Status choose(const Features& features, const std::string& column, const std::string& wanted,
              const std::string& option, const std::string& where, std::vector<bool>& marked) {
  if (wanted.empty()) return {};
  const std::vector<std::string>* texts = features.texts(column);
  if (texts == nullptr) {
    return Status::not_found(
        fmt::format("{}: {}='{}': its features have no '{}'", where, option, wanted, column));
  }
  // All features are looked at, those too that another option has unmarked: the message is about this option
  // alone.
  bool any = false;
  for (std::size_t i = 0; i < texts->size(); ++i) {
    if ((*texts)[i] == wanted) {
      any = true;
    } else {
      marked[i] = false;
    }
  }
  if (any) return {};
  std::vector<std::string> there(*texts);
  std::sort(there.begin(), there.end());
  there.erase(std::unique(there.begin(), there.end()), there.end());
  return Status::not_found(
      fmt::format("{}: no feature of {}='{}'; {}", where, option, wanted, suggest_names(wanted, there)));
}

// "36,601 Gene Expression, 17 Antibody Capture"; empty where all are of one type.
std::string types_of(const Features& features) {
  const std::vector<std::string>* texts = features.texts("feature_types");
  if (texts == nullptr) return {};
  std::map<std::string, std::uint64_t> counts;
  for (const std::string& text : *texts) ++counts[text];
  if (counts.size() < 2) return {};
  std::string out;
  for (const auto& [type, n] : counts)
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", format_count(n), shown_text(type));
  return out;
}

class OpenedTenx final : public OpenedFile {
 public:
  const std::shared_ptr<const RowSource>& matrix() const override { return matrix_; }
  const std::shared_ptr<const Table>& obs() const override { return obs_; }
  const std::shared_ptr<const Table>& var() const override { return var_; }
  ByteCount file_bytes() const override { return values_->file() != nullptr ? values_->file()->size() : 0; }
  Result<std::vector<std::string>> other_matrices() const override { return std::vector<std::string>(); }
  Result<std::optional<bool>> looks_like_counts(const std::string&) const override {
    return anndata::looks_like_counts(*values_);
  }
  std::vector<Note> notes() const override { return notes_; }

  std::shared_ptr<const RowSource> matrix_;
  std::shared_ptr<const store::Array> values_;
  std::shared_ptr<const Table> obs_, var_;
  Reservation held_;  // of var
  std::vector<Note> notes_;
};

}  // namespace

// Files of AnnData and MuData are left alone, whatever groups they have.
bool is_tenx(const store::Group& root) {
  if (root.has("obs") || root.has("mod")) return false;
  const auto groups = matrix_groups(root);
  // A refusal comes back when the file is opened as one.
  return groups.ok() ? !groups->empty() : is_refusal(groups.status());
}

Result<std::shared_ptr<const OpenedFile>> open_tenx(const std::shared_ptr<const store::Group>& root,
                                                    const OpenOptions& options, MemoryBudget& index_budget) {
  if (options.matrix != "X") {
    return Status::invalid_argument(
        fmt::format("{}: matrix='{}': a 10x file has one matrix for each genome (genome=) and no layers",
                    root->file_label(), options.matrix));
  }
  PENSTOCK_ASSIGN_OR_RETURN(const auto group, choose_group(*root, options.genome));
  PENSTOCK_ASSIGN_OR_RETURN(CsrParts parts, open_parts(*group));
  auto out = std::make_shared<OpenedTenx>();
  out->values_ = parts.data;
  out->notes_ = notes_of(*root);
  const RowIndex n_rows = parts.n_rows;
  const ColIndex n_cols = parts.n_cols;
  PENSTOCK_ASSIGN_OR_RETURN(out->obs_, CellTable::open(*group, n_rows));
  PENSTOCK_ASSIGN_OR_RETURN(Features features, Features::read(*group, n_cols, index_budget));
  PENSTOCK_ASSIGN_OR_RETURN(out->matrix_, CsrSource::open(std::move(parts), index_budget));

  std::vector<bool> marked(n_cols, true);
  const std::string where = group->where();
  // In version 2 the genome has chosen the group already.
  if (group->has("features")) {
    PENSTOCK_RETURN_IF_ERROR(choose(features, "genome", options.genome, "genome", where, marked));
  }
  PENSTOCK_RETURN_IF_ERROR(
      choose(features, "feature_types", options.feature_type, "feature_type", where, marked));
  if (const std::string types = types_of(features); !types.empty() && options.feature_type.empty()) {
    out->notes_.push_back(
        {NoteKind::feature_types,
         fmt::format("{}: features of several types: {}; feature_type= takes those of one", where, types)});
  }
  if (const auto kept = static_cast<ColIndex>(std::count(marked.begin(), marked.end(), true));
      kept < n_cols) {
    // Each option alone has some, or it would have been refused above.
    if (kept == 0) {
      return Status::not_found(fmt::format("{}: no feature has both genome='{}' and feature_type='{}'", where,
                                           options.genome, options.feature_type));
    }
    PENSTOCK_ASSIGN_OR_RETURN(const Reservation work, reserve_for(where, index_budget, MemoryTag::index,
                                                                  n_cols * sizeof(std::uint32_t)));
    // Which column each feature of the file becomes: of four, with the second unmarked, 0, dropped, 1, 2.
    std::vector<std::uint32_t> to(n_cols, ColumnMap::kDropped);
    std::uint32_t next = 0;
    for (ColIndex c = 0; c < n_cols; ++c) {
      if (marked[c]) to[c] = next++;
    }
    PENSTOCK_ASSIGN_OR_RETURN(auto map, ColumnMap::create(to, kept, index_budget));
    out->matrix_ = std::make_shared<const MappedSource>(std::move(out->matrix_), std::move(map));
    features.keep(marked);
  }
  auto [var, held] = std::move(features).table();
  out->var_ = std::move(var);
  out->held_ = std::move(held);
  return std::shared_ptr<const OpenedFile>(std::move(out));
}

Status verify_tenx(const std::shared_ptr<const store::Group>& root, VerifyLog& log, MemoryBudget& index,
                   MemoryBudget& work) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto groups, matrix_groups(*root));
  ArrayVerifier arrays(log, work);
  for (const auto& [name, group] : groups) {
    log.matrix(name);
    const auto parts = open_parts(*group);
    if (!parts.ok()) {
      PENSTOCK_RETURN_IF_ERROR(log.take(parts.status()));
      continue;
    }
    const bool integers = parts->indices->dtype().cls == store::TypeClass::number &&
                          !is_floating(parts->indices->dtype().number) && parts->indices->shape().size() == 1;
    PENSTOCK_RETURN_IF_ERROR(arrays.run(*parts->data));
    PENSTOCK_RETURN_IF_ERROR(
        // 0 would mean that column numbers are not to be checked.
        arrays.run(*parts->indices, integers ? std::max<ColIndex>(parts->n_cols, 1) : 0));
    PENSTOCK_RETURN_IF_ERROR(arrays.run(*parts->indptr));
    // As a user would open this one; beside /matrix nobody can open another.
    if (log.counting() || (name != "matrix" && root->has("matrix"))) continue;
    OpenOptions options;
    if (name != "matrix") options.genome = name;
    const auto opened = open_tenx(root, options, index);
    if (!opened.ok()) {
      PENSTOCK_RETURN_IF_ERROR(log.take(opened.status()));
      continue;
    }
    PENSTOCK_RETURN_IF_ERROR(verify_table(*(*opened)->obs(), log, index));
    PENSTOCK_RETURN_IF_ERROR(verify_table(*(*opened)->var(), log, index));
  }
  return {};
}

}  // namespace penstock::anndata
