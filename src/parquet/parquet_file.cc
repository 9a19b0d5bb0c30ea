#include "parquet/parquet_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "parquet/coo_source.h"
#include "parquet/list_source.h"
#include "parquet/pandas_index.h"
#include "parquet/table.h"
#include "parquet/verify.h"
#include "parquet/wide_source.h"
#include "source/memory_table.h"

namespace penstock::parquet {
namespace {

namespace fs = std::filesystem;

// How many row groups are looked at, over all files of a Dataset (see ListColumns::walk).
constexpr std::uint64_t kWalk = 4096;

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

class ParquetFile final : public OpenedFile {
 public:
  std::shared_ptr<const RowSource> source;
  std::shared_ptr<const Table> obs_table, var_table;
  std::vector<std::shared_ptr<const File>> files;  // the matrix first
  std::vector<std::string> others;

  const std::shared_ptr<const RowSource>& matrix() const override { return source; }
  const std::shared_ptr<const Table>& obs() const override { return obs_table; }
  const std::shared_ptr<const Table>& var() const override { return var_table; }
  ByteCount file_bytes() const override {
    ByteCount bytes = 0;
    for (const auto& file : files) bytes += file->size();
    return bytes;
  }
  Result<std::vector<std::string>> other_matrices() const override { return others; }
  // Values lie behind levels and dictionaries: not worth a look.
  Result<std::optional<bool>> looks_like_counts(const std::string&) const override {
    return std::optional<bool>();
  }
  std::uint64_t verify_chunks() const override {
    std::uint64_t chunks = 0;
    for (const auto& file : files) chunks += column_chunks(*file);
    return chunks;
  }
  Result<Dataset::VerifyCounts> verify(const Verifier& verifier, MemoryBudget& budget) const override {
    Dataset::VerifyCounts sum;
    for (const auto& file : files) PENSTOCK_RETURN_IF_ERROR(verify_file(*file, verifier, budget, &sum));
    return sum;
  }
};

enum class Layout { lists, triplets, wide };

bool is_number(const Leaf& c) {
  return c.shape == Leaf::Shape::flat && (c.type == PhysicalType::int32 || c.type == PhysicalType::int64 ||
                                          c.type == PhysicalType::float32 || c.type == PhysicalType::float64);
}

const Leaf* list_column(const FileMetadata& metadata, const std::string& name) {
  const Leaf* column = metadata.find(name);
  return column != nullptr && column->shape == Leaf::Shape::list ? column : nullptr;
}

// Beside the three there may be the index that pandas keeps of a table that was sorted.
bool has_triplets(const FileMetadata& metadata) {
  const PandasIndex index = pandas_index(metadata);
  std::size_t found = 0;
  for (const Leaf& c : metadata.columns) {
    const bool named = c.name == "row" || c.name == "col" || c.name == "data";
    if (named ? !is_number(c) : !index.holds(c.name)) return false;
    found += named ? 1 : 0;
  }
  return found == 3;
}

// The columns of a wide matrix: all numbers but the names of the rows.
std::vector<std::size_t> wide_columns(const FileMetadata& metadata, const PandasIndex& index) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < metadata.columns.size(); ++i) {
    if (is_number(metadata.columns[i]) && !index.holds(metadata.columns[i].name)) out.push_back(i);
  }
  return out;
}

std::string column_list(const FileMetadata& metadata) {
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(metadata.columns.size(), 12); ++i) {
    const Leaf& c = metadata.columns[i];
    text +=
        fmt::format("{}{} ({}{})", i == 0 ? "" : ", ", c.name, c.shape == Leaf::Shape::flat ? "" : "list of ",
                    c.logical_text.empty() ? physical_name(c.type) : c.logical_text.c_str());
  }
  if (metadata.columns.size() > 12) text += fmt::format(" and {} more", metadata.columns.size() - 12);
  return text;
}

Result<Layout> layout_of(const FileMetadata& metadata, const OpenOptions& options) {
  const bool lists = list_column(metadata, options.genes) != nullptr &&
                     list_column(metadata, options.expressions) != nullptr;
  const bool triplets = has_triplets(metadata);
  const PandasIndex index = pandas_index(metadata);
  const bool numbers = !wide_columns(metadata, index).empty();
  const bool all_numbers =
      numbers && std::all_of(metadata.columns.begin(), metadata.columns.end(),
                             [&](const Leaf& c) { return is_number(c) || index.holds(c.name); });
  const std::string& asked = options.matrix;
  if (asked == "lists" && lists) return Layout::lists;
  if (asked == "triplets" && triplets) return Layout::triplets;
  if (asked == "wide" && numbers) return Layout::wide;
  if (asked == "X") {
    if (lists) return Layout::lists;
    if (triplets) return Layout::triplets;
    if (all_numbers) return Layout::wide;
  }
  return Status::unsupported(
      fmt::format("{}: no matrix in it{}. Read are: list columns of genes and of values (here '{}' and '{}': "
                  "name others with genes= "
                  "and expressions=), triplets in columns row, col and data, and one numeric column per gene "
                  "(matrix=\"wide\" where "
                  "other columns lie beside them). Its columns: {}",
                  metadata.label, asked == "X" ? "" : fmt::format(" for matrix=\"{}\"", asked), options.genes,
                  options.expressions, column_list(metadata)));
}

// The shape that pqdata keeps in the file's key-value metadata.
struct Shape {
  std::uint64_t rows = 0, cols = 0;
};
std::optional<Shape> shape_of(const FileMetadata& metadata) {
  const auto found = metadata.key_value.find("array");
  if (found == metadata.key_value.end()) return std::nullopt;
  const auto json = nlohmann::json::parse(found->second, nullptr, false);
  if (!json.is_object() || !json.contains("shape")) return std::nullopt;
  const auto& shape = json["shape"];
  if (!shape.is_array() || shape.size() != 2 || !shape[0].is_number_unsigned() ||
      !shape[1].is_number_unsigned()) {
    return std::nullopt;
  }
  return Shape{shape[0].get<std::uint64_t>(), shape[1].get<std::uint64_t>()};
}

// Opens one file, or a folder, step by step.
class Opener {
 public:
  Opener(std::string path, OpenContext& context)
      : path_(std::move(path)),
        context_(context),
        options_(*context.options),
        out_(std::make_shared<ParquetFile>()) {}

  Result<std::shared_ptr<const OpenedFile>> run() {
    PENSTOCK_RETURN_IF_ERROR(is_pqdata(path_) ? folder() : single());
    PENSTOCK_RETURN_IF_ERROR(check_sizes());
    return std::shared_ptr<const OpenedFile>(out_);
  }

 private:
  Result<std::shared_ptr<const File>> open(const std::string& path) {
    PENSTOCK_ASSIGN_OR_RETURN(auto file, context_.opener(path));
    out_->files.push_back(file);
    return file;
  }

  Status single() {
    PENSTOCK_ASSIGN_OR_RETURN(const auto file, open(path_));
    PENSTOCK_ASSIGN_OR_RETURN(const auto metadata, read_metadata(*file, *context_.budget));
    PENSTOCK_ASSIGN_OR_RETURN(const Layout layout, layout_of(*metadata, options_));
    switch (layout) {
      case Layout::lists:
        return lists(file, *metadata);
      case Layout::triplets:
        PENSTOCK_RETURN_IF_ERROR(triplets(file, *metadata, std::nullopt));
        return numbered_tables();
      case Layout::wide:
        PENSTOCK_RETURN_IF_ERROR(wide(file, *metadata));
        out_->obs_table = make_table(file, *metadata, context_.budget, {wide_names_, ""});
        return {};
    }
    return {};
  }

  Status lists(const std::shared_ptr<const File>& file, const FileMetadata& metadata) {
    PENSTOCK_RETURN_IF_ERROR(gene_table());
    ListColumns columns;
    columns.file = file;
    columns.genes = metadata.index_of(*list_column(metadata, options_.genes));
    columns.values = metadata.index_of(*list_column(metadata, options_.expressions));
    columns.map = context_.genes->map;
    columns.label = fmt::format("{}: {}, {}", path_, options_.genes, options_.expressions);
    columns.walk = std::max<std::uint64_t>(1, kWalk / std::max<std::size_t>(1, context_.n_files));
    PENSTOCK_ASSIGN_OR_RETURN(out_->source, ListSource::open(metadata, std::move(columns), *context_.budget));
    out_->obs_table =
        make_table(file, metadata, context_.budget, {{options_.genes, options_.expressions}, ""});
    out_->var_table = context_.genes->var;
    return {};
  }

  // One for all files of a Dataset.
  Status gene_table() {
    if (context_.genes) return {};
    std::string path = options_.var.empty() ? find_gene_table(path_) : options_.var;
    if (path.empty()) {
      return Status::not_found(
          fmt::format("{}: column '{}' names genes by numbers, and there is no gene table that says what "
                      "they are: gene_metadata.parquet "
                      "beside the file or in metadata/, or the file that var= names (Parquet or CSV with "
                      "columns token_id, ensembl_id, "
                      "gene_symbol)",
                      path_, options_.genes));
    }
    PENSTOCK_ASSIGN_OR_RETURN(context_.genes, open_gene_table(path, context_.opener, context_.budget));
    return {};
  }

  Status triplets(const std::shared_ptr<const File>& file, const FileMetadata& metadata,
                  std::optional<Shape> tables) {
    const auto shape = shape_of(metadata);
    if (!shape && !tables) {
      return Status::not_found(
          fmt::format("{}: triplets without the shape of their matrix: neither key-value metadata 'array' "
                      "nor obs.parquet and "
                      "var.parquet beside the file",
                      path_));
    }
    const Shape s = shape ? *shape : *tables;
    CooColumns columns;
    columns.file = file;
    columns.row = metadata.index_of(*metadata.find("row"));
    columns.col = metadata.index_of(*metadata.find("col"));
    columns.data = metadata.index_of(*metadata.find("data"));
    columns.n_rows = s.rows;
    columns.n_cols = s.cols;
    columns.label = file->label() + ": row, col, data";
    PENSTOCK_ASSIGN_OR_RETURN(out_->source, CooSource::open(metadata, std::move(columns), *context_.budget));
    return {};
  }

  Status wide(const std::shared_ptr<const File>& file, const FileMetadata& metadata) {
    WideColumns columns;
    columns.file = file;
    columns.columns = wide_columns(metadata, pandas_index(metadata));
    for (const std::size_t i : columns.columns) wide_names_.insert(metadata.columns[i].name);
    const std::uint64_t n = columns.columns.size();
    penstock::Column index;
    index.kind = penstock::Column::Kind::string;
    index.name = "gene";
    index.dtype = "string";
    for (const std::size_t i : columns.columns) index.strings.push_back(metadata.columns[i].name);
    columns.label = fmt::format("{}: {} columns", path_, format_count(n));
    PENSTOCK_ASSIGN_OR_RETURN(out_->source, WideSource::open(metadata, std::move(columns), *context_.budget));
    std::vector<penstock::Column> of_var;
    of_var.push_back(std::move(index));
    out_->var_table = memory_table(std::move(of_var), 0, n, path_ + ": names of columns");
    return {};
  }

  Status numbered_tables() {
    const SourceTraits& t = out_->source->traits();
    out_->obs_table = memory_table({}, -1, t.n_rows, path_ + ": rows");
    out_->var_table = memory_table({}, -1, t.n_cols, path_ + ": columns");
    return {};
  }

  // --- pqdata ---

  Status folder() {
    const fs::path root(path_);
    const bool raw = options_.matrix.starts_with("raw/");
    const bool is_layout =
        options_.matrix == "lists" || options_.matrix == "triplets" || options_.matrix == "wide";
    const fs::path matrix = root / ((is_layout ? std::string("X") : options_.matrix) + ".parquet");
    if (!is_file(matrix)) {
      return Status::not_found(fmt::format("{}: no matrix '{}'; there are: {}", path_, options_.matrix,
                                           fmt::join(matrices(), ", ")));
    }
    PENSTOCK_ASSIGN_OR_RETURN(const auto file, open(matrix.string()));
    PENSTOCK_ASSIGN_OR_RETURN(const auto metadata, read_metadata(*file, *context_.budget));
    PENSTOCK_RETURN_IF_ERROR(table(root / "obs.parquet", &out_->obs_table));
    PENSTOCK_RETURN_IF_ERROR(
        table(raw ? root / "raw" / "var.parquet" : root / "var.parquet", &out_->var_table));
    if (has_triplets(*metadata)) {
      PENSTOCK_RETURN_IF_ERROR(
          triplets(file, *metadata, Shape{out_->obs_table->n_rows(), out_->var_table->n_rows()}));
    } else {
      const auto var = out_->var_table;
      PENSTOCK_RETURN_IF_ERROR(wide(file, *metadata));
      out_->var_table = var;
    }
    for (const std::string& name : matrices()) {
      if (name != options_.matrix) out_->others.push_back(name);
    }
    return {};
  }

  Status table(const fs::path& path, std::shared_ptr<const Table>* out) {
    if (!is_file(path)) {
      return Status::path_not_found(
          fmt::format("{}: not there, so '{}' is no pqdata folder", path.string(), path_));
    }
    PENSTOCK_ASSIGN_OR_RETURN(const auto file, open(path.string()));
    PENSTOCK_ASSIGN_OR_RETURN(const auto metadata, read_metadata(*file, *context_.budget));
    *out = make_table(file, *metadata, context_.budget, {});
    return {};
  }

  std::vector<std::string> matrices() const {
    const fs::path root(path_);
    std::vector<std::string> names;
    if (is_file(root / "X.parquet")) names.push_back("X");
    if (is_file(root / "raw" / "X.parquet")) names.push_back("raw/X");
    std::error_code error;
    std::vector<std::string> layers;
    for (fs::directory_iterator it(root / "layers", error), end; !error && it != end; it.increment(error)) {
      if (it->path().extension() == ".parquet") layers.push_back("layers/" + it->path().stem().string());
    }
    std::sort(layers.begin(), layers.end());
    names.insert(names.end(), layers.begin(), layers.end());
    return names;
  }

  Status check_sizes() const {
    const SourceTraits& t = out_->source->traits();
    const auto differ = [&](const Table& table, const char* axis, std::uint64_t n) {
      return Status::corrupt(fmt::format("{}: {} {}, but {} has {} rows", out_->source->label(), n, axis,
                                         table.where(), table.n_rows()));
    };
    if (out_->obs_table->n_rows() != t.n_rows) return differ(*out_->obs_table, "rows", t.n_rows);
    if (out_->var_table->n_rows() != t.n_cols) return differ(*out_->var_table, "columns", t.n_cols);
    return {};
  }

  const std::string path_;
  OpenContext& context_;
  const OpenOptions& options_;
  std::shared_ptr<ParquetFile> out_;
  std::set<std::string> wide_names_;
};

}  // namespace

bool is_pqdata(const std::string& path) {
  const fs::path root(path);
  if (!is_file(root / "obs.parquet")) return false;
  std::error_code error;
  return is_file(root / "X.parquet") || is_file(root / "raw" / "X.parquet") ||
         fs::is_directory(root / "layers", error);
}

Result<std::shared_ptr<const OpenedFile>> open_parquet(const std::string& path, OpenContext& context) {
  return Opener(path, context).run();
}

}  // namespace penstock::parquet
