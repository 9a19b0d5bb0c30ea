// Columns as text, for names of rows and genes. Spelling is Python's, since names are compared with what
// pandas and anndata would show: floats as repr() does, True and False, "nan" for what is missing.
#include "source/column_text.h"

#include "source/numbers.h"

namespace penstock {

ByteCount string_bytes(const std::vector<std::string>& strings) {
  ByteCount bytes = strings.capacity() * sizeof(std::string);
  // A string of up to 15 characters lies inside of the string itself (libstdc++), and takes nothing beside
  // it.
  for (const std::string& s : strings) bytes += s.capacity() > 15 ? s.capacity() + 1 : 0;
  return bytes;
}

std::vector<std::string> texts_of(Column&& column) {
  if (column.kind == Column::Kind::string) return std::move(column.strings);
  std::vector<std::string> texts(column.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    switch (column.kind) {
      case Column::Kind::integer:
        texts[i] = integer_text(column.integers[i], column.is_unsigned);
        break;
      case Column::Kind::floating:
        texts[i] = float_text(column.floats[i]);
        break;
      default:
        texts[i] = column.booleans[i] != 0 ? "True" : "False";
        break;
    }
  }
  return texts;
}

Result<TextReader> TextReader::open(std::shared_ptr<const TableColumn> column, MemoryBudget& budget) {
  TextReader reader;
  if (column->encoding() == TableColumn::Encoding::categorical) {
    PENSTOCK_ASSIGN_OR_RETURN(reader.categories_, column->categories(budget));
  }
  reader.column_ = std::move(column);
  return reader;
}

Result<std::vector<std::string>> TextReader::read(std::uint64_t first, std::uint64_t count) const {
  const std::uint64_t n_categories = categories_ ? categories_->names.size() : 0;
  PENSTOCK_ASSIGN_OR_RETURN(Column rows, column_->read(first, count, n_categories));
  if (categories_) {
    std::vector<std::string> texts(rows.codes.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      texts[i] = rows.codes[i] < 0 ? "nan" : categories_->names[static_cast<std::size_t>(rows.codes[i])];
    }
    return texts;
  }
  // Taken out first: texts_of() uses the column up.
  const std::vector<std::uint8_t> missing = std::move(rows.missing);
  std::vector<std::string> texts = texts_of(std::move(rows));
  for (std::size_t i = 0; i < missing.size(); ++i) {
    if (missing[i] != 0) texts[i] = "nan";
  }
  return texts;
}

}  // namespace penstock
