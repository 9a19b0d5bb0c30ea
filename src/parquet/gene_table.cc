// The table that says what tokens stand for. It is Parquet, or CSV where var= names such a file. Both ways
// end in a GeneMap and in a Table of var, whose rows are the columns of the matrix.
//
// CSV is small and comes without types, so that it is read whole, cut into fields, and each column gets the
// narrowest type that all of its fields have. parse_csv() follows RFC 4180: fields may stand in double
// quotes, inside of which commas and line ends are text and two double quotes are one: "say ""no""" is the
// text [say "no"].
#include "parquet/gene_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "io/folder.h"
#include "memory/reserve_for.h"
#include "parquet/metadata.h"
#include "parquet/table.h"
#include "source/memory_table.h"

namespace penstock::parquet {
namespace {

constexpr const char* kToken = "token_id";
constexpr const char* kNames[] = {"ensembl_id", "gene_symbol"};
// Gene tables have some megabytes. What is larger is another file.
constexpr ByteCount kMostText = 256 << 20;

Status no_tokens(const std::string& path, const std::vector<std::string>& columns) {
  return Status::not_found(fmt::format("{}: a gene table needs a column '{}'; it has: {}", path, kToken,
                                       fmt::join(columns, ", ")));
}

// As a number when all of it is one.
// "12x" is no number, although from_chars reads the 12.
template <class T>
bool parse_number(const std::string& text, T* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

// The narrowest of integer, float and string that holds all fields.
Column column_of(std::string name, std::vector<std::string> fields) {
  Column out;
  out.name = std::move(name);
  std::vector<std::int64_t> integers(fields.size());
  std::vector<double> floats(fields.size());
  // Looking ends with the first field that is no number at all.
  bool all_integers = !fields.empty(), all_floats = !fields.empty();
  for (std::size_t i = 0; i < fields.size() && all_floats; ++i) {
    all_integers = all_integers && parse_number(fields[i], &integers[i]);
    all_floats = parse_number(fields[i], &floats[i]);
  }
  if (all_integers && all_floats) {
    out.kind = Column::Kind::integer;
    out.dtype = "int64";
    out.integers = std::move(integers);
  } else if (all_floats) {
    out.kind = Column::Kind::floating;
    out.dtype = "float64";
    out.floats = std::move(floats);
  } else {
    out.kind = Column::Kind::string;
    out.dtype = "string";
    out.strings = std::move(fields);
  }
  return out;
}

Result<std::shared_ptr<const GeneTable>> from_csv(const std::string& path, const File& file,
                                                  const std::shared_ptr<MemoryBudget>& budget) {
  if (file.size() > kMostText) {
    return Status::unsupported(fmt::format("{}: a gene table of {}; at most {} are read", path,
                                           format_bytes(file.size()), format_bytes(kMostText)));
  }
  // The text, and the characters of its fields.
  PENSTOCK_ASSIGN_OR_RETURN(Reservation held,
                            reserve_for(path, *budget, MemoryTag::index, file.size() * 2 + 4096));
  std::string text(file.size(), '\0');
  PENSTOCK_RETURN_IF_ERROR(file.read_at(0, std::as_writable_bytes(std::span(text))));
  // And the fields themselves, which a text of commas has as many of as characters: in lines that double while
  // they grow, then in columns, whose numbers lie beside the fields that they were read from.
  constexpr ByteCount kField = 5 * sizeof(std::string);
  const auto n_fields = static_cast<ByteCount>(
      std::count_if(text.begin(), text.end(), [](char c) { return c == ',' || c == '\n' || c == '\r'; }));
  PENSTOCK_RETURN_IF_ERROR(
      resize_for(path, *budget, held, MemoryTag::index, file.size() * 2 + 4096 + (n_fields + 1) * kField));
  PENSTOCK_ASSIGN_OR_RETURN(auto lines, parse_csv(text, path));
  if (lines.empty()) return Status::corrupt(path + ": no header line");
  const std::vector<std::string> header = std::move(lines.front());
  const auto n = lines.size() - 1;
  std::vector<Column> columns;
  std::int64_t index = -1;
  std::vector<std::int64_t> tokens;
  for (std::size_t c = 0; c < header.size(); ++c) {
    std::vector<std::string> fields;
    fields.reserve(n);
    // Fields move from lines to columns, so that each text is in memory once. parse_csv() has seen to it that
    // all lines have as many fields.
    for (std::size_t i = 1; i < lines.size(); ++i) fields.push_back(std::move(lines[i][c]));
    columns.push_back(column_of(header[c], std::move(fields)));
  }
  const auto find = [&](const std::string& name) {
    return static_cast<std::int64_t>(std::find(header.begin(), header.end(), name) - header.begin());
  };
  const auto token = static_cast<std::size_t>(find(kToken));
  if (token == header.size()) return no_tokens(path, header);
  if (columns[token].kind != Column::Kind::integer) {
    return Status::corrupt(fmt::format("{}: column '{}' holds something else than integers", path, kToken));
  }
  tokens = columns[token].integers;
  for (const char* name : kNames) {
    if (index < 0 && find(name) < static_cast<std::int64_t>(header.size())) index = find(name);
  }
  auto out = std::make_shared<GeneTable>();
  PENSTOCK_ASSIGN_OR_RETURN(out->map, GeneMap::create(tokens, *budget));
  struct Kept {
    Reservation held;
    std::shared_ptr<const Table> table;
  };
  // The reservation lives as long as the table that was made of the text, wherever that is kept.
  auto kept = std::make_shared<Kept>(Kept{std::move(held), memory_table(std::move(columns), index, n, path)});
  out->var = std::shared_ptr<const Table>(kept, kept->table.get());
  return std::shared_ptr<const GeneTable>(std::move(out));
}

Result<std::shared_ptr<const GeneTable>> from_parquet(std::shared_ptr<const File> file,
                                                      const std::shared_ptr<MemoryBudget>& budget) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto metadata, read_metadata(*file, *budget));
  TableOptions options;
  for (const char* name : kNames) {
    // The first of kNames that the table has names its rows.
    if (options.index.empty() && metadata->find(name) != nullptr) options.index = name;
  }
  auto out = std::make_shared<GeneTable>();
  const std::string path = file->label();
  PENSTOCK_ASSIGN_OR_RETURN(out->var, make_table(std::move(file), *metadata, budget, options));
  if (!out->var->has(kToken)) return no_tokens(path, out->var->columns());
  PENSTOCK_ASSIGN_OR_RETURN(const auto column, out->var->column(kToken));
  PENSTOCK_ASSIGN_OR_RETURN(const auto held,
                            reserve_for(path, *budget, MemoryTag::index, column->size() * 8));
  PENSTOCK_ASSIGN_OR_RETURN(const Column tokens, column->read(0, column->size(), 0));
  if (tokens.kind != Column::Kind::integer || !tokens.missing.empty()) {
    return Status::corrupt(fmt::format("{}: column '{}' holds something else than integers", path, kToken));
  }
  PENSTOCK_ASSIGN_OR_RETURN(out->map, GeneMap::create(tokens.integers, *budget));
  return std::shared_ptr<const GeneTable>(std::move(out));
}

}  // namespace

Result<std::vector<std::vector<std::string>>> parse_csv(std::string_view text, const std::string& label) {
  std::vector<std::vector<std::string>> lines;
  std::vector<std::string> fields;
  std::string field;
  bool quoted = false, was_quoted = false;
  const auto wrong = [&](const char* what) {
    return Status::corrupt(fmt::format("{}: line {}: {}", label, lines.size() + 1, what));
  };
  const auto end_field = [&] {
    fields.push_back(std::move(field));
    field.clear();
    was_quoted = false;
  };
  // A field is text until a comma, a line end, or the end of the file; `quoted` is true between two quotes.
  // Carriage returns outside of quotes belong to the line end.
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        field += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        field += c;
        ++i;
      } else {
        quoted = false;
      }
      continue;
    }
    if (c == '"') {
      if (!field.empty() || was_quoted) return wrong("a quote inside a field");
      quoted = was_quoted = true;
    } else if (c == ',') {
      end_field();
    } else if (c == '\n') {
      end_field();
      // An empty line is no line of one empty field.
      if (!(fields.size() == 1 && fields[0].empty())) {
        if (!lines.empty() && fields.size() != lines.front().size()) {
          return wrong("another number of fields than the header line has");
        }
        lines.push_back(std::move(fields));
      }
      fields.clear();
    } else if (c != '\r') {
      field += c;
    }
  }
  if (quoted) return wrong("a quote that is not closed");
  // The last line may have no line end.
  if (!field.empty() || !fields.empty()) {
    end_field();
    if (!lines.empty() && fields.size() != lines.front().size()) {
      return wrong("another number of fields than the header line has");
    }
    lines.push_back(std::move(fields));
  }
  return lines;
}

Result<std::shared_ptr<const GeneTable>> open_gene_table(const std::string& path, const FileOpener& opener,
                                                         const std::shared_ptr<MemoryBudget>& budget) {
  PENSTOCK_ASSIGN_OR_RETURN(auto file, opener(path));
  return path.ends_with(".csv") ? from_csv(path, *file, budget) : from_parquet(std::move(file), budget);
}

std::string find_gene_table(const std::string& path) {
  for (const char* beside :
       {"gene_metadata.parquet", "metadata/gene_metadata.parquet", "../metadata/gene_metadata.parquet"}) {
    const std::string candidate = inside(folder_of(path), beside);
    if (is_file(candidate)) return normal_path(candidate);
  }
  return {};
}

}  // namespace penstock::parquet
