// A label is at hand in one of two ways; Note [Residency] in loader/residency.h says when in which. A
// *resident* column was read once, when the loader was made, and lies in memory as an array over all rows of
// the files: 100 million cells of a column with 50 categories take 100 MB, one byte each. A column that
// *streams* is read again with each block, next to the block's X, and decoded into the thread's scratch:
//
//     | values of column 0 | values of column 2 | what the decoder needs        |     (column 1 is resident)
//       rows x 4 bytes       rows x 8 bytes       as much as the hungriest one
//
// On its way a value has up to four forms. Example: file 0 has the categories "a" and "c", file 1 has "b" and
// "c", so that the label's are "a", "b" and "c":
//
//     in file 1               int32    1            ("c", the second category of this file)
//     resident, if it is      int8     2            (codes = {-1, 1, 2}, at index 1 + 1)
//     in the window's record  int32    2
//     in a batch              int64    2            (what torch wants of a class)
//
// A missing value is code -1 in all of them; the tables of codes begin with an entry for it.

#include "setup/row_labels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/checked.h"
#include "base/load.h"
#include "memory/reserve_for.h"
#include "memory/reserved_buffer.h"
#include "source/label_integers.h"
#include "source/read_requests.h"

namespace penstock::loader {
namespace {

constexpr RowIndex kRowsAtOnce = 1 << 16;  // when columns are read to become resident

// Bytes of a resident value: codes in the narrowest signed type.
std::uint32_t resident_width(const internal::LabelColumn& label) {
  if (label.kind != ObsKind::category) return static_cast<std::uint32_t>(obs_value_bytes(label.kind));
  if (label.categories.size() <= 127) return 1;
  return label.categories.size() <= 32767 ? 2 : 4;
}

// One file whose column cannot be read by ranges makes the column resident for all files: a View has the
// values of a column in one place.
bool streams(const internal::LabelColumn& label) {
  return std::all_of(label.files.begin(), label.files.end(),
                     [](const auto& f) { return f.column->streamable(); });
}

template <class T>
void store(std::byte* p, T value) {
  std::memcpy(p, &value, sizeof(T));
}

// One value as the file has it (local code, or a number of the file's kind) -> the label's kind, at the width
// of a record. True when the value is missing. The kind of a label is the widest over the files, so that a
// file can only have the same kind or a narrower one: booleans may become any number, integers become
// fractions. decode() has checked that local codes are in range.
bool convert_value(const internal::LabelColumn& label, std::uint32_t file, const std::byte* in,
                   std::byte* out) {
  const auto& source = label.files[file];
  const ObsKind from = source.column->kind();
  switch (label.kind) {
    case ObsKind::category: {
      const auto local = load<std::int32_t>(in);
      const std::int32_t code = source.codes[static_cast<std::size_t>(local + 1)];
      store(out, code);
      return code < 0;
    }
    case ObsKind::boolean:
      *out = *in;
      return false;
    case ObsKind::integer:
      store(out, from == ObsKind::boolean ? std::int64_t{std::to_integer<std::uint8_t>(*in)}
                                          : load<std::int64_t>(in));
      return false;
    case ObsKind::floating32: {
      const float value = from == ObsKind::boolean ? std::to_integer<std::uint8_t>(*in) : load<float>(in);
      store(out, value);
      return std::isnan(value);
    }
    case ObsKind::floating64: {
      double value = 0;
      switch (from) {
        case ObsKind::boolean:
          value = std::to_integer<std::uint8_t>(*in);
          break;
        case ObsKind::integer:
          value = static_cast<double>(load<std::int64_t>(in));
          break;
        case ObsKind::floating32:
          value = load<float>(in);
          break;
        default:
          value = load<double>(in);
      }
      store(out, value);
      return std::isnan(value);
    }
  }
  return false;
}

// Whether a file's integers among other files' fractions are labels as they are. A double holds every
// integer up to 2^53. A larger one, an identifier say, would become another label without a word; it is
// refused instead, with its row.
Status check_exact(const internal::LabelColumn& label, std::uint32_t file, RowRange rows,
                   const std::byte* values) {
  if (label.kind != ObsKind::floating64 || label.files[file].column->kind() != ObsKind::integer) return {};
  const std::string where = "obs '" + label.name + "'";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    PENSTOCK_RETURN_IF_ERROR(check_label_integer(where, rows.first + i,
                                                 load<std::int64_t>(values + i * sizeof(std::int64_t)),
                                                 NumericType::i64, label.kind));
  }
  return {};
}

}  // namespace

ArrayType delivered_type(ObsKind kind) {
  switch (kind) {
    case ObsKind::category:
    case ObsKind::integer:
      return ArrayType::i64;
    case ObsKind::floating32:
      return ArrayType::f32;
    case ObsKind::floating64:
      return ArrayType::f64;
    case ObsKind::boolean:
      return ArrayType::boolean;
  }
  return ArrayType::i64;
}

ByteCount RowLabels::resident_bytes(std::span<const internal::LabelColumn> labels, std::uint64_t rows) {
  ByteCount bytes = 0;
  for (const auto& label : labels) bytes += rows * resident_width(label);
  return bytes;
}

// Reserves before it maps, column by column. Rows that are not selected have a place too, so that the row
// number in the file is the index and nothing has to be looked up for each row of a batch. Hidden columns
// have no place in the record, since nobody gets them.
Result<RowLabels> RowLabels::build(std::vector<internal::LabelColumn> labels, std::size_t n_hidden,
                                   std::span<const internal::FilePart> parts, bool resident,
                                   MemoryBudget& budget) {
  RowLabels out;
  out.n_travelling_ = labels.size() - n_hidden;
  std::uint64_t rows = 0;
  std::vector<std::uint64_t> first_row;
  for (const auto& part : parts) {
    first_row.push_back(rows);
    rows += part.source->traits().n_rows;
  }
  PENSTOCK_ASSIGN_OR_RETURN(out.reservation_, budget.reserve(MemoryTag::obs, 0));
  for (const auto& label : labels) {
    Column column;
    column.kind = label.kind;
    if (out.columns_.size() < out.n_travelling_) {
      column.record_offset = out.record_bytes_;
      // A boolean takes four bytes, so that what follows the labels in a record stays a multiple of four.
      out.record_bytes_ += round_up(obs_value_bytes(label.kind), 4);
    }
    column.resident = resident || !streams(label);
    std::uint64_t missing = 0;
    if (column.resident) {
      column.width = resident_width(label);
      const ByteCount bytes = rows * column.width;
      PENSTOCK_RETURN_IF_ERROR(grow(out.reservation_, budget, MemoryTag::obs, out.held_bytes_ + bytes));
      out.held_bytes_ += bytes;
      PENSTOCK_ASSIGN_OR_RETURN(column.values, Slab::map(bytes, false));
      for (std::uint32_t f = 0; f < parts.size(); ++f) {
        PENSTOCK_RETURN_IF_ERROR(
            fill_resident(label, f, parts[f].source->traits().n_rows, budget, parts[f].selected.get(),
                          column.values.data() + first_row[f] * column.width, column.width, &missing));
      }
      column.first_row = first_row;
    }
    out.missing_.push_back(missing);
    out.columns_.push_back(std::move(column));
  }
  out.labels_ = std::move(labels);
  return out;
}

Status RowLabels::fill_resident(const internal::LabelColumn& label, std::uint32_t file, std::uint64_t n_rows,
                                MemoryBudget& budget, const internal::Bitmap* selected, std::byte* out,
                                std::uint32_t width, std::uint64_t* missing) {
  const ObsColumn& column = *label.files[file].column;
  const std::size_t item = obs_value_bytes(column.kind());
  CodecContext codec;
  RequestList list;
  // What the rows of one turn take; the first is the largest, so that they grow once.
  const std::string what = "reading obs '" + label.name + "'";
  ReservedBuffer bytes(what, &budget, MemoryTag::obs), scratch(what, &budget, MemoryTag::obs),
      values(what, &budget, MemoryTag::obs);
  // In equal steps: reading a column takes as much memory for a billion rows as for 65,536.
  for (RowIndex first = 0; first < n_rows; first += kRowsAtOnce) {
    const RowRange range{first, std::min(n_rows, first + kRowsAtOnce)};
    list.clear();
    PENSTOCK_RETURN_IF_ERROR(column.requests(range, list));
    list.coalesce(kCoalesceGap, kCoalesceMax);
    PENSTOCK_ASSIGN_OR_RETURN(const Fetched fetched, read_requests(list, bytes));
    PENSTOCK_RETURN_IF_ERROR(scratch.grow_to(column.scratch_bytes(range.size())));
    PENSTOCK_RETURN_IF_ERROR(values.grow_to(range.size() * item));
    const std::span<std::byte> decoded = values.first(range.size() * item);
    Scratch lent{scratch.bytes(), &codec};
    PENSTOCK_RETURN_IF_ERROR(column.decode(range, fetched, lent, decoded));
    PENSTOCK_RETURN_IF_ERROR(check_exact(label, file, range, decoded.data()));
    for (RowIndex r = range.first; r < range.last; ++r) {
      std::byte value[8];
      const bool is_missing = convert_value(label, file, decoded.data() + (r - range.first) * item, value);
      // Only selected rows count, because a user who left out what is missing should not be warned of it.
      if (is_missing && (selected == nullptr || selected->contains(static_cast<std::uint32_t>(r))))
        ++*missing;
      std::memcpy(out + r * width, value, width);  // little-endian: a narrow code is the low bytes
    }
  }
  return {};
}

Status RowLabels::requests(std::uint32_t file, RowRange rows, RequestList& list) const {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (!columns_[i].resident) PENSTOCK_RETURN_IF_ERROR(labels_[i].files[file].column->requests(rows, list));
  }
  return {};
}

// The widest file decides: the scratch is taken once, for blocks of any file. 64 bytes are a cache line, to
// which decoders like their output to be aligned; the last 64 are for a scratch that does not begin at one.
ByteCount RowLabels::scratch_bytes(RowIndex max_rows) const {
  // The decoded values of every streamed column side by side, and behind them the scratch of the hungriest.
  ByteCount values = 0, scratch = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].resident) continue;
    ByteCount widest = 0;
    for (const auto& f : labels_[i].files) {
      scratch = std::max(scratch, f.column->scratch_bytes(max_rows));
      widest = std::max<ByteCount>(widest, obs_value_bytes(f.column->kind()));
    }
    values += round_up(max_rows * widest, 64);
  }
  return values + (values == 0 ? 0 : round_up(scratch, 64) + 64);
}

Result<RowLabels::View> RowLabels::prepare(std::uint32_t file, RowRange rows, const Fetched& fetched,
                                           Scratch scratch) const {
  View view;
  view.labels_ = this;
  view.file_ = file;
  view.rows_ = rows;
  view.streamed_ = scratch.bytes.data();
  std::span<std::byte> free = scratch.bytes;
  // Values first (their places follow from the row count), then decode each with what is left as scratch.
  ByteCount offset = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (!columns_[i].resident) {
      offset += round_up(rows.size() * obs_value_bytes(labels_[i].files[file].column->kind()), 64);
    }
  }
  Scratch behind{offset <= free.size() ? free.subspan(offset) : std::span<std::byte>(), scratch.codec};
  offset = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].resident) continue;
    const ObsColumn& column = *labels_[i].files[file].column;
    const ByteCount bytes = rows.size() * obs_value_bytes(column.kind());
    PENSTOCK_RETURN_IF_ERROR(column.decode(rows, fetched, behind, free.subspan(offset, bytes)));
    PENSTOCK_RETURN_IF_ERROR(check_exact(labels_[i], file, rows, free.data() + offset));
    offset += round_up(bytes, 64);
  }
  return view;
}

// Called for every row of every block: one pass over the columns, which carries along where the next streamed
// one begins. read() is for a single column and adds that up each time.
void RowLabels::View::write(RowIndex row, std::byte* record) const {
  const std::byte* streamed = streamed_;
  for (std::size_t i = 0; i < labels_->n_travelling_; ++i) {
    read(i, row, streamed, record + labels_->columns_[i].record_offset);
    streamed += streamed_bytes(i);
  }
}

void RowLabels::View::read(std::size_t column, RowIndex row, std::byte* value) const {
  const std::byte* streamed = streamed_;
  for (std::size_t i = 0; i < column; ++i) streamed += streamed_bytes(i);
  read(column, row, streamed, value);
}

ByteCount RowLabels::View::streamed_bytes(std::size_t column) const {
  if (labels_->columns_[column].resident) return 0;
  return round_up(rows_.size() * obs_value_bytes(labels_->labels_[column].files[file_].column->kind()), 64);
}

void RowLabels::View::read(std::size_t column_number, RowIndex row, const std::byte* streamed,
                           std::byte* out) const {
  const Column& column = labels_->columns_[column_number];
  if (!column.resident) {
    const internal::LabelColumn& label = labels_->labels_[column_number];
    const std::size_t item = obs_value_bytes(label.files[file_].column->kind());
    convert_value(label, file_, streamed + (row - rows_.first) * item, out);
    return;
  }
  const std::byte* value = column.values.data() + (column.first_row[file_] + row) * column.width;
  if (column.kind != ObsKind::category) {
    std::memcpy(out, value, column.width);
  } else {
    const std::int32_t code = column.width == 1   ? load<std::int8_t>(value)
                              : column.width == 2 ? load<std::int16_t>(value)
                                                  : load<std::int32_t>(value);
    store(out, code);
  }
}

// Nothing in a record is aligned but the record itself (plan/record_layout.h), hence load and memcpy, which
// become single moves. Missing codes and NaN are counted here, where each row that is delivered passes once.
std::uint64_t RowLabels::unpack(const std::byte* record, std::uint64_t row,
                                std::span<std::byte* const> outputs) const {
  std::uint64_t missing = 0;
  for (std::size_t i = 0; i < n_travelling_; ++i) {
    const Column& column = columns_[i];
    const std::byte* in = record + column.record_offset;
    switch (column.kind) {
      case ObsKind::category: {
        const std::int64_t code = load<std::int32_t>(in);
        missing += code < 0 ? 1 : 0;
        store(outputs[i] + row * 8, code);
        break;
      }
      case ObsKind::boolean:
        outputs[i][row] = *in;
        break;
      case ObsKind::floating32:
        missing += std::isnan(load<float>(in)) ? 1 : 0;
        std::memcpy(outputs[i] + row * 4, in, 4);
        break;
      case ObsKind::floating64:
        missing += std::isnan(load<double>(in)) ? 1 : 0;
        [[fallthrough]];
      case ObsKind::integer:
        std::memcpy(outputs[i] + row * 8, in, 8);
        break;
    }
  }
  return missing;
}

}  // namespace penstock::loader
