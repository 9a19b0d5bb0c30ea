#include "loader/labels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/checked.h"
#include "loader/sync_read.h"
#include "memory/reserve_for.h"

namespace penstock::loader {
namespace {

constexpr RowIndex kRowsAtOnce = 1 << 16;  // when columns are read to become resident

// Bytes of a resident value: codes in the narrowest signed type.
std::uint32_t resident_width(const internal::Label& label) {
  if (label.kind != ObsKind::category) return static_cast<std::uint32_t>(obs_value_bytes(label.kind));
  if (label.categories.size() <= 127) return 1;
  return label.categories.size() <= 32767 ? 2 : 4;
}

bool streams(const internal::Label& label) {
  return std::all_of(label.files.begin(), label.files.end(),
                     [](const auto& f) { return f.column->streamable(); });
}

ByteCount output_width(ObsKind kind) { return kind == ObsKind::category ? 8 : obs_value_bytes(kind); }

template <class T>
T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}
template <class T>
void store(std::byte* p, T value) {
  std::memcpy(p, &value, sizeof(T));
}

// One value as the file has it (local code, or a number of the file's kind) -> the label's kind, at the width
// of a record. True when the value is missing.
bool convert_value(const internal::Label& label, std::uint32_t file, const std::byte* in, std::byte* out) {
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

}  // namespace

ByteCount Labels::resident_bytes(std::span<const internal::Label> labels, std::uint64_t rows) {
  ByteCount bytes = 0;
  for (const auto& label : labels) bytes += rows * resident_width(label);
  return bytes;
}

Result<Labels> Labels::build(std::vector<internal::Label> labels, std::size_t n_hidden,
                             std::span<const internal::FilePart> parts, bool resident, MemoryBudget& budget) {
  Labels out;
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
      out.record_bytes_ += round_up(obs_value_bytes(label.kind), 4);
      out.output_bytes_ += output_width(label.kind);
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

Status Labels::fill_resident(const internal::Label& label, std::uint32_t file, std::uint64_t n_rows,
                             MemoryBudget& budget, const internal::Bitmap* selected, std::byte* out,
                             std::uint32_t width, std::uint64_t* missing) {
  const ObsColumn& column = *label.files[file].column;
  const std::size_t item = obs_value_bytes(column.kind());
  CodecContext codec;
  RequestList list;
  std::vector<std::byte> bytes, scratch_bytes, values;
  for (RowIndex first = 0; first < n_rows; first += kRowsAtOnce) {
    const RowRange range{first, std::min(n_rows, first + kRowsAtOnce)};
    list.clear();
    PENSTOCK_RETURN_IF_ERROR(column.requests(range, list));
    list.coalesce(kCoalesceGap, kCoalesceMax);
    const ByteCount scratch_needed = column.scratch_bytes(range.size());
    PENSTOCK_ASSIGN_OR_RETURN(
        const Reservation held,
        budget.reserve(MemoryTag::obs, list.total_bytes() + scratch_needed + 64 + range.size() * item));
    bytes.resize(list.total_bytes());
    scratch_bytes.resize(scratch_needed + 64);
    values.resize(range.size() * item);
    PENSTOCK_RETURN_IF_ERROR(read_requests(list, bytes));
    const auto address = reinterpret_cast<std::uintptr_t>(scratch_bytes.data());
    Scratch scratch{std::span(scratch_bytes).subspan(round_up(address, 64) - address), &codec};
    PENSTOCK_RETURN_IF_ERROR(column.decode(range, Fetched(list.requests(), bytes.data()), scratch, values));
    for (RowIndex r = range.first; r < range.last; ++r) {
      std::byte value[8];
      const bool is_missing = convert_value(label, file, values.data() + (r - range.first) * item, value);
      if (is_missing && (selected == nullptr || selected->contains(static_cast<std::uint32_t>(r))))
        ++*missing;
      std::memcpy(out + r * width, value, width);  // little-endian: a narrow code is the low bytes
    }
  }
  return {};
}

Status Labels::requests(std::uint32_t file, RowRange rows, RequestList& list) const {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (!columns_[i].resident) PENSTOCK_RETURN_IF_ERROR(labels_[i].files[file].column->requests(rows, list));
  }
  return {};
}

ByteCount Labels::scratch_bytes(RowIndex max_rows) const {
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

Result<Labels::View> Labels::prepare(std::uint32_t file, RowRange rows, const Fetched& fetched,
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
    offset += round_up(bytes, 64);
  }
  return view;
}

void Labels::View::write(RowIndex row, std::byte* record) const {
  const std::byte* streamed = streamed_;
  for (std::size_t i = 0; i < labels_->n_travelling_; ++i) {
    read(i, row, streamed, record + labels_->columns_[i].record_offset);
    streamed += streamed_bytes(i);
  }
}

void Labels::View::read(std::size_t column, RowIndex row, std::byte* value) const {
  const std::byte* streamed = streamed_;
  for (std::size_t i = 0; i < column; ++i) streamed += streamed_bytes(i);
  read(column, row, streamed, value);
}

ByteCount Labels::View::streamed_bytes(std::size_t column) const {
  if (labels_->columns_[column].resident) return 0;
  return round_up(rows_.size() * obs_value_bytes(labels_->labels_[column].files[file_].column->kind()), 64);
}

void Labels::View::read(std::size_t column_number, RowIndex row, const std::byte* streamed,
                        std::byte* out) const {
  const Column& column = labels_->columns_[column_number];
  if (!column.resident) {
    const internal::Label& label = labels_->labels_[column_number];
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

std::uint64_t Labels::unpack(const std::byte* record, std::uint64_t row,
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
