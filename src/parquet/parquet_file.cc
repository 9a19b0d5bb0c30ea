// Opening a Parquet file or a pqdata folder as one file of a Dataset: which layout it has (layout.h), the
// source of its rows, and the tables of obs and var. Where these come from differs:
//
//                 obs                                       var
//     lists       flat columns beside the lists             the gene table, one for all files
//     triplets    row numbers                               column numbers
//     wide        columns that are no genes                 names of the columns
//     pqdata      obs.parquet                               var.parquet, or raw/var.parquet
//
// Last of all the sizes of the three are compared (check_sizes): a folder whose tables belong to another
// matrix would name every row and gene wrongly.
#include "parquet/parquet_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "io/folder.h"
#include "memory/growing.h"
#include "memory/reserve_for.h"
#include "parquet/coo_source.h"
#include "parquet/layout.h"
#include "parquet/list_source.h"
#include "parquet/table.h"
#include "parquet/wide_source.h"
#include "source/memory_table.h"

namespace penstock::parquet {
namespace {

// How many row groups are looked at, over all files of a Dataset (see ListColumns::walk).
// Shared out among the files, so that what opening looks at does not grow with their number.
constexpr std::uint64_t kWalk = 4096;

class ParquetFile final : public OpenedFile {
 public:
  std::shared_ptr<const RowSource> source;
  std::shared_ptr<const Table> obs_table, var_table;
  std::vector<std::shared_ptr<const File>> files;  // the matrix first
  std::vector<std::string> others;
  std::vector<Note> remarks;

  const std::shared_ptr<const RowSource>& matrix() const override { return source; }
  const std::shared_ptr<const Table>& obs() const override { return obs_table; }
  const std::shared_ptr<const Table>& var() const override { return var_table; }
  ByteCount file_bytes() const override {
    ByteCount bytes = 0;
    for (const auto& file : files) bytes += file->size();
    return bytes;
  }
  Result<std::vector<std::string>> other_matrices() const override { return others; }
  std::vector<Note> notes() const override { return remarks; }
  // Values lie behind levels and dictionaries: not worth a look.
  Result<std::optional<bool>> looks_like_counts(const std::string&) const override {
    return std::optional<bool>();
  }
};

// The shape that pqdata keeps in the file's key-value metadata.
struct Shape {
  std::uint64_t rows = 0, cols = 0;
};
std::optional<Shape> shape_of(const FileMetadata& metadata) {
  if (metadata.array.empty()) return std::nullopt;
  const auto json = nlohmann::json::parse(metadata.array, nullptr, false);
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
  Opener(std::string path, const OpenContext& context, SharedTables& tables)
      : path_(std::move(path)),
        context_(context),
        tables_(tables),
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
    PENSTOCK_ASSIGN_OR_RETURN(const MatrixLayout layout, find_layout(*metadata, options_));
    switch (layout.kind) {
      case MatrixLayout::Kind::lists:
        return lists(file, *metadata, layout);
      case MatrixLayout::Kind::triplets:
        PENSTOCK_RETURN_IF_ERROR(triplets(file, *metadata, layout.triplets, std::nullopt));
        return numbered_tables();
      case MatrixLayout::Kind::wide:
        PENSTOCK_RETURN_IF_ERROR(wide(file, *metadata, layout.wide));
        return obs_beside(file, *metadata, layout.wide);
    }
    return {};
  }

  // The columns that are not the matrix's.
  Status obs_beside(const std::shared_ptr<const File>& file, const FileMetadata& metadata,
                    const std::vector<std::size_t>& taken) {
    TableOptions options;
    // `taken` is sorted: layouts list their columns in the order of the file.
    options.leave_out = [&](const Leaf& column) {
      return std::binary_search(taken.begin(), taken.end(), metadata.index_of(column));
    };
    PENSTOCK_ASSIGN_OR_RETURN(out_->obs_table, make_table(file, metadata, context_.budget, options));
    return {};
  }

  Status lists(const std::shared_ptr<const File>& file, const FileMetadata& metadata,
               const MatrixLayout& layout) {
    PENSTOCK_RETURN_IF_ERROR(gene_table());
    ListColumns columns;
    columns.file = file;
    columns.genes = layout.genes;
    columns.values = layout.values;
    columns.map = tables_.genes->map;
    columns.label = fmt::format("{}: {}, {}", path_, options_.genes, options_.expressions);
    columns.walk = std::max<std::uint64_t>(1, kWalk / std::max<std::size_t>(1, context_.n_files));
    PENSTOCK_ASSIGN_OR_RETURN(out_->source, ListSource::open(metadata, columns, *context_.budget));
    std::vector<std::size_t> taken{layout.genes, layout.values};
    // obs_beside() searches it; values may stand before genes in the file.
    std::sort(taken.begin(), taken.end());
    PENSTOCK_RETURN_IF_ERROR(obs_beside(file, metadata, taken));
    out_->var_table = tables_.genes->var;
    return {};
  }

  // One for all files of a Dataset.
  Status gene_table() {
    if (tables_.genes) return {};
    // The first file of the Dataset decides where it is looked for, and all files have one table of genes.
    std::string path = options_.var.empty() ? find_gene_table(path_) : options_.var;
    if (path.empty()) {
      return Status::not_found(
          fmt::format("{}: column '{}' names genes by numbers, and there is no gene table that says what "
                      "they are: gene_metadata.parquet beside the file or in metadata/, or the file that "
                      "var= names (Parquet or CSV with columns token_id, ensembl_id, gene_symbol)",
                      path_, options_.genes));
    }
    PENSTOCK_ASSIGN_OR_RETURN(tables_.genes, open_gene_table(path, context_.opener, context_.budget));
    return {};
  }

  Status triplets(const std::shared_ptr<const File>& file, const FileMetadata& metadata,
                  const Triplets& found, std::optional<Shape> tables) {
    const auto name = [&](std::size_t column) { return metadata.columns[column].path; };
    const auto shape = shape_of(metadata);
    CooColumns columns;
    // What the file states counts before what the tables beside it have; check_sizes() finds out if they
    // differ.
    if (shape || tables) {
      const Shape s = shape ? *shape : *tables;
      columns.shape = {s.rows, s.cols};
    } else if (found.of_pqdata && options_.row.empty() && options_.col.empty() && options_.value.empty()) {
      // A file of pqdata was written with its shape. If it is gone, so may be rows and columns at the end,
      // and only the user can say that there were none.
      return Status::not_found(fmt::format(
          "{}: triplets without the shape of their matrix: neither key-value metadata 'array' "
          "nor obs.parquet and var.parquet beside the file in a pqdata folder. If it ends with its "
          "largest row and column, say row=\"row\", col=\"col\", value=\"data\"",
          path_));
    }
    columns.file = file;
    columns.row = found.row;
    columns.col = found.col;
    columns.data = found.value;
    columns.label =
        fmt::format("{}: {}, {}, {}", file->label(), name(found.row), name(found.col), name(found.value));
    PENSTOCK_ASSIGN_OR_RETURN(out_->source, CooSource::open(metadata, columns, *context_.budget));
    if (!shape && !tables) {
      out_->remarks.push_back(
          {NoteKind::shape_implied,
           fmt::format(
               "{}: the file states no shape: {} x {} follows from its largest numbers of a row and of a "
               "column; empty rows and columns behind them, if there were any, are not known",
               path_, format_count(out_->source->traits().n_rows),
               format_count(out_->source->traits().n_cols))});
    }
    return {};
  }

  Status wide(const std::shared_ptr<const File>& file, const FileMetadata& metadata,
              const std::vector<std::size_t>& numbers) {
    PENSTOCK_RETURN_IF_ERROR(name_genes(metadata, numbers));
    WideColumns columns;
    columns.file = file;
    columns.columns = numbers;
    columns.names = tables_.wide_names;
    columns.label = fmt::format("{}: {} columns", path_, format_count(numbers.size()));
    PENSTOCK_ASSIGN_OR_RETURN(out_->source, WideSource::open(metadata, std::move(columns), *context_.budget));
    out_->var_table = tables_.wide_var;
    return {};
  }

  // The names of the columns as a table of genes; one for all files that have the same.
  Status name_genes(const FileMetadata& metadata, const std::vector<std::size_t>& numbers) {
    const auto name = [&](std::size_t i) -> const std::string& { return metadata.columns[numbers[i]].name; };
    // Names of 60,000 genes take megabytes. Files of one Dataset mostly have the same, and then share one
    // table.
    if (tables_.wide_names != nullptr) {
      const auto& known = tables_.wide_names->strings;
      bool same = known.size() == numbers.size();
      for (std::size_t i = 0; same && i < known.size(); ++i) same = known[i] == name(i);
      if (same) return {};
    }
    // The reservation lives as long as the last file that uses the names.
    struct Named {
      Reservation held;
      penstock::Column column;
    };
    ByteCount bytes = sizeof(Named) + numbers.size() * sizeof(std::string);
    for (std::size_t i = 0; i < numbers.size(); ++i) bytes += heap_bytes(name(i));
    auto named = std::make_shared<Named>();
    PENSTOCK_ASSIGN_OR_RETURN(
        named->held, reserve_for(path_ + ": names of columns", *context_.budget, MemoryTag::index, bytes));
    penstock::Column& column = named->column;
    column.kind = penstock::Column::Kind::string;
    column.name = "gene";
    column.dtype = "string";
    column.strings.reserve(numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) column.strings.push_back(name(i));
    tables_.wide_names = std::shared_ptr<const penstock::Column>(named, &named->column);
    tables_.wide_var = names_table(tables_.wide_names, path_ + ": names of columns");
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
    if (!options_.obs.empty()) {
      return Status::invalid_argument(fmt::format(
          "{}: obs= names columns of a single wide file; this folder has its obs in obs.parquet", path_));
    }
    const bool raw = options_.matrix.starts_with("raw/");
    const bool is_layout =
        options_.matrix == "lists" || options_.matrix == "triplets" || options_.matrix == "wide";
    const std::string name = is_layout ? "X" : options_.matrix;
    const std::string matrix = inside(path_, name + ".parquet");
    if (!is_file(matrix)) {
      return Status::not_found(fmt::format("{}: no matrix '{}'; there are: {}", path_, options_.matrix,
                                           fmt::join(pqdata_matrices(path_), ", ")));
    }
    PENSTOCK_ASSIGN_OR_RETURN(const auto file, open(matrix));
    PENSTOCK_ASSIGN_OR_RETURN(const auto metadata, read_metadata(*file, *context_.budget));
    // The tables come first: their sizes are the matrix's shape where the file does not state it.
    PENSTOCK_RETURN_IF_ERROR(table(inside(path_, "obs.parquet"), &out_->obs_table));
    PENSTOCK_RETURN_IF_ERROR(table(inside(path_, raw ? "raw/var.parquet" : "var.parquet"), &out_->var_table));
    PENSTOCK_RETURN_IF_ERROR(matrix_of_folder(file, *metadata));
    for (const std::string& other : pqdata_matrices(path_)) {
      if (other != name) out_->others.push_back(other);
    }
    return {};
  }

  Status matrix_of_folder(const std::shared_ptr<const File>& file, const FileMetadata& metadata) {
    const Shape shape{out_->obs_table->n_rows(), out_->var_table->n_rows()};
    const bool named = !options_.row.empty() || !options_.col.empty() || !options_.value.empty();
    const auto found = find_triplets(metadata);
    // A layout that is asked for by name is the one that is there, or an error.
    const std::string_view is = found || named ? "triplets" : "wide";
    const std::string& asked = options_.matrix;
    if ((asked == "lists" || asked == "triplets" || asked == "wide") && asked != is) {
      return Status::invalid_argument(
          fmt::format("{}: matrix='{}', but X of this folder is {}: leave matrix= out", path_, asked, is));
    }
    if (named) {
      PENSTOCK_ASSIGN_OR_RETURN(const MatrixLayout layout, find_layout(metadata, options_));
      return triplets(file, metadata, layout.triplets, shape);
    }
    if (found) return triplets(file, metadata, *found, shape);
    const auto var = out_->var_table;
    // wide() puts a table of its columns' names for var; the folder's own var.parquet says more.
    PENSTOCK_RETURN_IF_ERROR(wide(file, metadata, wide_columns(metadata, {})));
    out_->var_table = var;
    return {};
  }

  Status table(const std::string& path, std::shared_ptr<const Table>* out) {
    if (!is_file(path)) {
      return Status::path_not_found(fmt::format("{}: not there, so '{}' is no pqdata folder", path, path_));
    }
    PENSTOCK_ASSIGN_OR_RETURN(const auto file, open(path));
    PENSTOCK_ASSIGN_OR_RETURN(const auto metadata, read_metadata(*file, *context_.budget));
    PENSTOCK_ASSIGN_OR_RETURN(*out, make_table(file, *metadata, context_.budget, {}));
    return {};
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
  const OpenContext& context_;
  SharedTables& tables_;
  const OpenOptions& options_;
  std::shared_ptr<ParquetFile> out_;
};

}  // namespace

bool is_pqdata(const std::string& path) {
  return is_file(inside(path, "obs.parquet")) &&
         (is_file(inside(path, "X.parquet")) || is_file(inside(path, "raw/X.parquet")) ||
          is_folder(inside(path, "layers")));
}

std::vector<std::string> pqdata_matrices(const std::string& path) {
  constexpr std::string_view kEnding = ".parquet";
  std::vector<std::string> names;
  if (is_file(inside(path, "X.parquet"))) names.push_back("X");
  if (is_file(inside(path, "raw/X.parquet"))) names.push_back("raw/X");
  std::vector<std::string> layers;
  for (const std::string& name : names_in(inside(path, "layers"))) {
    if (name.size() <= kEnding.size() || !name.ends_with(kEnding)) continue;
    layers.push_back("layers/" + name.substr(0, name.size() - kEnding.size()));
  }
  std::sort(layers.begin(), layers.end());
  names.insert(names.end(), layers.begin(), layers.end());
  return names;
}

Result<std::shared_ptr<const OpenedFile>> open_parquet(const std::string& path, const OpenContext& context,
                                                       SharedTables& tables) {
  return Opener(path, context, tables).run();
}

}  // namespace penstock::parquet
