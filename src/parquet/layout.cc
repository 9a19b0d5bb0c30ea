// Which layout a file has, told by names and types of its columns. Nothing in a Parquet file says "this is a
// matrix", so that the order of questions matters:
//
//     1  row=, col= or value= given       triplets, as named
//     2  list columns genes and values    lists
//     3  three columns of numbers, under names that triplets have      triplets
//     4  all columns numbers, or the user says "wide"                  wide, unless it looks like triplets
//     5  anything else                    refused, with the columns and every way to name them
//
// The rule behind it: a file that could be two things is refused with the way to say which. Triplets taken
// for a wide table would be a matrix of three genes, and batches of it would look right.
#include "parquet/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace penstock::parquet {
namespace {

using Kind = MatrixLayout::Kind;

// What the columns of triplets are called: by pqdata, scipy, R's Matrix, TileDB-SOMA, the Human Cell Atlas.
constexpr auto kRows = std::to_array<std::string_view>({"row",
                                                        "rows",
                                                        "row_id",
                                                        "row_idx",
                                                        "row_index",
                                                        "i",
                                                        "cell",
                                                        "cell_id",
                                                        "cell_idx",
                                                        "cell_index",
                                                        "cell_integer_id",
                                                        "barcode_id",
                                                        "barcode_idx",
                                                        "barcode_index",
                                                        "obs_id",
                                                        "obs_idx",
                                                        "obs_index",
                                                        "soma_dim_0",
                                                        "soma_joinid",
                                                        "obs_soma_joinid",
                                                        "cell_soma_joinid"});
constexpr auto kColumns = std::to_array<std::string_view>(
    {"col",        "cols",        "col_id",          "col_idx",         "col_index",
     "column",     "column_id",   "column_idx",      "column_index",    "j",
     "gene",       "gene_id",     "gene_idx",        "gene_index",      "gene_integer_id",
     "feature_id", "feature_idx", "feature_index",   "var_id",          "var_idx",
     "var_index",  "soma_dim_1",  "var_soma_joinid", "gene_soma_joinid"});
constexpr auto kValues = std::to_array<std::string_view>(
    {"data", "value", "values", "val", "x", "count", "counts", "n", "umi", "umis", "umi_count", "umi_counts",
     "n_umi", "expression", "expr", "soma_data"});

template <std::size_t N>
bool among(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_number(const Leaf& c) {
  return c.shape == Leaf::Shape::flat && (c.type == PhysicalType::int32 || c.type == PhysicalType::int64 ||
                                          c.type == PhysicalType::float32 || c.type == PhysicalType::float64);
}

// Dates and times are stored as integers and are no coordinates.
bool is_integer(const Leaf& c) {
  return is_number(c) && (c.type == PhysicalType::int32 || c.type == PhysicalType::int64) &&
         (c.logical == Logical::none || c.logical == Logical::integer);
}

const Leaf* list_column(const FileMetadata& metadata, const std::string& name) {
  const Leaf* column = metadata.find(name);
  return column != nullptr && column->shape == Leaf::Shape::list ? column : nullptr;
}

std::string type_text(const Leaf& c) {
  return c.logical_text.empty() ? physical_name(c.type) : c.logical_text;
}

std::string column_list(const FileMetadata& metadata) {
  const auto& columns = metadata.columns;
  std::string text;
  // A wide file has thousands.
  const std::size_t shown = std::min<std::size_t>(columns.size(), 12);
  for (std::size_t i = 0; i < shown; ++i) {
    const Leaf& c = columns[i];
    // Of a group with several columns each has its path.
    const bool several =
        (i > 0 && columns[i - 1].name == c.name) || (i + 1 < columns.size() && columns[i + 1].name == c.name);
    text += fmt::format("{}{} ({}{})", i == 0 ? "" : ", ", several ? c.path : c.name,
                        c.max_rep == 0 ? "" : "list of ", type_text(c));
  }
  if (columns.size() > shown) text += fmt::format(" and {} more", columns.size() - shown);
  return text;
}

// The columns that are no index of a DataFrame.
std::vector<const Leaf*> data_columns(const FileMetadata& metadata) {
  std::vector<const Leaf*> out;
  for (const Leaf& c : metadata.columns) {
    if (!metadata.pandas.holds(c.name)) out.push_back(&c);
  }
  return out;
}

// --- triplets ---

Status no_column(const FileMetadata& metadata, const char* option, const std::string& name) {
  return Status::not_found(fmt::format("{}: {}='{}': no column of numbers has this name. Its columns: {}",
                                       metadata.label, option, name, column_list(metadata)));
}

// One of the three columns: the one that is named, or the only one with a usual name.
template <std::size_t N>
Result<std::size_t> coordinate(const FileMetadata& metadata, const OpenOptions& options, const char* option,
                               const std::string& named, const std::array<std::string_view, N>& usual) {
  if (!named.empty()) {
    const Leaf* column = metadata.find(named);
    if (column == nullptr || !is_number(*column)) return no_column(metadata, option, named);
    return metadata.index_of(*column);
  }
  const Leaf* found = nullptr;
  std::size_t n = 0;
  for (const Leaf& c : metadata.columns) {
    if (!is_number(c) || !among(usual, c.name)) continue;
    // A column that was named for one of the three cannot be another one. With row="cell" and col="gene"
    // given, "count" is the only one left with a usual name for values.
    if (c.name == options.row || c.name == options.col || c.name == options.value) continue;
    found = &c;
    ++n;
  }
  if (n != 1) {
    return Status::not_found(fmt::format(
        "{}: row=, col= and value= name the three columns of triplets; say {}= too. Its columns: {}",
        metadata.label, option, column_list(metadata)));
  }
  return metadata.index_of(*found);
}

Result<Triplets> named_triplets(const FileMetadata& metadata, const OpenOptions& options) {
  Triplets out;
  PENSTOCK_ASSIGN_OR_RETURN(out.row, coordinate(metadata, options, "row", options.row, kRows));
  PENSTOCK_ASSIGN_OR_RETURN(out.col, coordinate(metadata, options, "col", options.col, kColumns));
  PENSTOCK_ASSIGN_OR_RETURN(out.value, coordinate(metadata, options, "value", options.value, kValues));
  if (out.row == out.col || out.row == out.value || out.col == out.value) {
    return Status::invalid_argument(fmt::format(
        "{}: row='{}', col='{}' and value='{}' must be three different columns", metadata.label,
        metadata.columns[out.row].name, metadata.columns[out.col].name, metadata.columns[out.value].name));
  }
  return out;
}

// Why columns that are all numbers may be coordinates nevertheless; nothing when they are genes.
std::optional<std::string> like_coordinates(const FileMetadata& metadata) {
  const auto columns = data_columns(metadata);
  const Leaf *row = nullptr, *col = nullptr, *value = nullptr;
  // By their names: also in the index that pandas kept, and beside others.
  for (const Leaf& c : metadata.columns) {
    if (is_integer(c) && row == nullptr && among(kRows, c.name)) row = &c;
    if (is_integer(c) && col == nullptr && among(kColumns, c.name)) col = &c;
  }
  if (row == nullptr || col == nullptr) {
    // Without usual names: three columns of numbers of which two are integers. A table of counts of exactly
    // three genes is refused as well, and says matrix="wide".
    if (columns.size() != 3 ||
        std::count_if(columns.begin(), columns.end(), [](const Leaf* c) { return is_integer(*c); }) < 2) {
      return std::nullopt;
    }
    row = col = nullptr;
    // In the order that such tables usually have.
    for (const Leaf* c : columns) {
      if (!is_integer(*c)) continue;
      (row == nullptr ? row : col == nullptr ? col : value) = c;
    }
  }
  for (const Leaf* c : columns) {
    if (c != row && c != col && value == nullptr) value = c;
  }
  return fmt::format(
      "{}: its columns look like coordinates, a row, a column and a value of each entry, not like genes. Say "
      "which is which, perhaps row=\"{}\", col=\"{}\", value=\"{}\"; matrix=\"wide\" where each column is a "
      "gene. Its columns: {}",
      metadata.label, row->name, col->name, value == nullptr ? "..." : value->name, column_list(metadata));
}

// --- wide ---

Status check_obs(const FileMetadata& metadata, const std::vector<std::string>& obs) {
  for (const std::string& name : obs) {
    if (std::any_of(metadata.columns.begin(), metadata.columns.end(),
                    [&](const Leaf& c) { return c.name == name; })) {
      continue;
    }
    return Status::not_found(fmt::format("{}: obs='{}': no column has this name. Its columns: {}",
                                         metadata.label, name, column_list(metadata)));
  }
  return {};
}

// OpenOptions::obs and LoaderOptions::obs are easily taken for each other.
Status obs_of_others(const FileMetadata& metadata, const char* layout) {
  return Status::invalid_argument(fmt::format(
      "{}: obs= names the numeric columns of a wide file that are no genes; this is a file of {}, whose "
      "other columns are obs already: leave obs= out (the Loader's obs= says which travel along)",
      metadata.label, layout));
}

// Of columns that share a name none can be meant by it.
std::string repeated_names(const FileMetadata& metadata) {
  std::set<std::string_view> seen;
  for (const Leaf& c : metadata.columns) {
    if (c.shape == Leaf::Shape::nested || seen.insert(c.name).second) continue;
    return fmt::format("; several columns are named '{}': rename all but one and write the file again",
                       c.name);
  }
  return {};
}

Status no_matrix(const FileMetadata& metadata, const OpenOptions& options) {
  return Status::unsupported(fmt::format(
      "{}: no matrix in it{}. Read are: list columns of genes and of values (here '{}' and '{}': name others "
      "with genes= and expressions=), triplets in columns row, col and data (name others with row=, col= and "
      "value=), and one numeric column per gene (matrix=\"wide\" where other columns lie beside them; obs= "
      "names those of the numeric ones that are no genes). Its columns: {}{}",
      metadata.label, options.matrix == "X" ? "" : fmt::format(" for matrix=\"{}\"", options.matrix),
      options.genes, options.expressions, column_list(metadata), repeated_names(metadata)));
}

}  // namespace

// Beside the three there may be the index that pandas keeps of a table that was sorted.
std::optional<Triplets> find_triplets(const FileMetadata& metadata) {
  const auto columns = data_columns(metadata);
  if (columns.size() != 3) return std::nullopt;
  const Leaf *row = nullptr, *col = nullptr, *value = nullptr;
  for (const Leaf* c : columns) {
    if (!is_number(*c)) return std::nullopt;
    if (among(kRows, c->name)) row = c;
    if (among(kColumns, c->name)) col = c;
    if (among(kValues, c->name)) value = c;
  }
  if (row == nullptr || col == nullptr || value == nullptr) return std::nullopt;
  const bool of_pqdata = row->name == "row" && col->name == "col" && value->name == "data";
  return Triplets{metadata.index_of(*row), metadata.index_of(*col), metadata.index_of(*value), of_pqdata};
}

std::vector<std::size_t> wide_columns(const FileMetadata& metadata, const std::vector<std::string>& obs) {
  const std::set<std::string_view> named(obs.begin(), obs.end());
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < metadata.columns.size(); ++i) {
    const Leaf& c = metadata.columns[i];
    if (is_number(c) && !metadata.pandas.holds(c.name) && !named.contains(c.name)) out.push_back(i);
  }
  return out;
}

Result<MatrixLayout> find_layout(const FileMetadata& metadata, const OpenOptions& options) {
  const std::string& asked = options.matrix;
  MatrixLayout out;
  if (!options.row.empty() || !options.col.empty() || !options.value.empty()) {
    if (asked != "X" && asked != "triplets") return no_matrix(metadata, options);
    out.kind = Kind::triplets;
    PENSTOCK_ASSIGN_OR_RETURN(out.triplets, named_triplets(metadata, options));
    return out;
  }
  PENSTOCK_RETURN_IF_ERROR(check_obs(metadata, options.obs));
  const Leaf *genes = list_column(metadata, options.genes),
             *values = list_column(metadata, options.expressions);
  const auto triplets = find_triplets(metadata);
  if (genes != nullptr && values != nullptr && (asked == "X" || asked == "lists")) {
    if (!options.obs.empty()) return obs_of_others(metadata, "lists");
    out.kind = Kind::lists;
    out.genes = metadata.index_of(*genes);
    out.values = metadata.index_of(*values);
    return out;
  }
  if (triplets && (asked == "X" || asked == "triplets")) {
    if (!options.obs.empty()) return obs_of_others(metadata, "triplets");
    out.kind = Kind::triplets;
    out.triplets = *triplets;
    return out;
  }
  out.kind = Kind::wide;
  out.wide = wide_columns(metadata, options.obs);
  // Naming obs= says that the other columns are genes.
  const bool said = asked == "wide" || (asked == "X" && !options.obs.empty());
  const auto columns = data_columns(metadata);
  const bool only_numbers =
      std::all_of(columns.begin(), columns.end(), [](const Leaf* c) { return is_number(*c); });
  if (out.wide.empty() || !(said || (asked == "X" && only_numbers))) return no_matrix(metadata, options);
  if (!said) {
    if (const auto why = like_coordinates(metadata)) return Status::unsupported(*why);
  }
  return out;
}

}  // namespace penstock::parquet
