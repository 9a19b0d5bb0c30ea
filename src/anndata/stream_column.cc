// Columns of fixed-width values, read by ranges of rows out of fetched bytes.
#include "anndata/stream_column.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/checked.h"
#include "source/label_integers.h"
#include "source/numbers.h"

namespace penstock::anndata {

namespace {

using Encoding = FrameColumn::Encoding;

ObsKind kind_of(const FrameColumn& column) {
  switch (column.encoding) {
    case Encoding::categorical:
      return ObsKind::category;
    case Encoding::boolean:
      return ObsKind::boolean;
    case Encoding::number:
      if (!is_floating(column.values->dtype().number)) return ObsKind::integer;
      // float16 goes out as float32, which holds all of its values.
      return column.values->dtype().number == NumericType::f64 ? ObsKind::floating64 : ObsKind::floating32;
    // Of the kinds of labels only floats have a value that means "missing". float64 holds integers up to 2^53
    // exactly; check_exact() refuses those beyond.
    default:
      return ObsKind::floating64;  // nullable: missing = NaN
  }
}

template <class T>
std::span<T> as(std::span<std::byte> out) {
  return {reinterpret_cast<T*>(out.data()), out.size() / sizeof(T)};
}

class StreamColumn final : public ObsColumn {
 public:
  StreamColumn(FrameColumn column, std::uint64_t n_categories)
      : column_(std::move(column)),
        kind_(kind_of(column_)),
        last_code_(static_cast<std::int64_t>(std::min<std::uint64_t>(n_categories, 0x7fffffff)) - 1) {}

  ObsKind kind() const override { return kind_; }
  RowIndex n_rows() const override { return column_.size(); }
  bool streamable() const override { return true; }

  Status requests(RowRange rows, RequestList& list) const override {
    column_.values->add_requests(rows.first, rows.size(), Heads::whole, list);
    if (column_.mask) column_.mask->add_requests(rows.first, rows.size(), Heads::whole, list);
    return {};
  }

  // The stored values of the rows, the mask of the rows, then what the arrays need to decode, one after the
  // other. For 1,000 rows of a nullable int16: values at byte 0 (2,000 bytes, rounded up to 2,048), the mask
  // at 2,048 (1,000 rounded up to 1,024), and the rest from 3,072 on.
  ByteCount scratch_bytes(RowIndex max_rows) const override {
    const RowIndex rows = std::min(max_rows, n_rows());
    ByteCount step = column_.values->range_scratch_bytes();
    if (column_.mask) step = std::max(step, column_.mask->range_scratch_bytes());
    return values_bytes(rows) + mask_bytes(rows) + round_up(step, 64);
  }

  Status decode(RowRange rows, const Fetched& fetched, Scratch& scratch,
                std::span<std::byte> out) const override {
    const store::Array& values = *column_.values;
    const std::size_t n = rows.size();
    const ByteCount needed = scratch_bytes(n);
    if (scratch.bytes.size() < needed || out.size() != n * obs_value_bytes(kind_)) {
      return Status::internal(fmt::format("{}: a scratch of {} bytes ({} are needed) or an output of {}",
                                          column_.where, scratch.bytes.size(), needed, out.size()));
    }
    // A mask has one byte an element (frame.cc has checked it), so n rows take n bytes.
    const auto raw = scratch.bytes.first(n * values.dtype().size);
    const auto mask = scratch.bytes.subspan(values_bytes(n), column_.mask ? n : 0);
    const auto step = scratch.bytes.subspan(values_bytes(n) + mask_bytes(n));
    PENSTOCK_RETURN_IF_ERROR(values.decode_range(rows.first, n, fetched, step, *scratch.codec, raw));
    if (column_.mask) {
      PENSTOCK_RETURN_IF_ERROR(
          column_.mask->decode_range(rows.first, n, fetched, step, *scratch.codec, mask));
    }
    PENSTOCK_RETURN_IF_ERROR(convert(rows, raw.data(), out));
    // Integers are looked at as they are stored; in `out` they may have been rounded already.
    PENSTOCK_RETURN_IF_ERROR(check_exact(rows, raw.data(), mask));
    if (column_.mask) {
      const auto numbers = as<double>(out);
      for (std::size_t i = 0; i < n; ++i) {
        if (mask[i] != std::byte{0}) numbers[i] = std::numeric_limits<double>::quiet_NaN();
      }
    }
    return {};
  }

 private:
  // Rounded up, so that what follows begins on a cache line.
  ByteCount values_bytes(RowIndex rows) const { return round_up(rows * column_.values->dtype().size, 64); }
  ByteCount mask_bytes(RowIndex rows) const { return column_.mask ? round_up(rows, 64) : 0; }

  Status convert(RowRange rows, const std::byte* raw, std::span<std::byte> out) const {
    const NumericType type = column_.values->dtype().number;
    switch (kind_) {
      case ObsKind::category:
        return convert_codes(rows, raw, as<std::int32_t>(out));
      case ObsKind::integer:
        to_int64(type, raw, as<std::int64_t>(out));
        return {};
      case ObsKind::floating32:
        to_float(type, raw, as<float>(out));
        return {};
      case ObsKind::boolean:
        // Bytes of the file are not trusted to be 0 or 1.
        for (std::size_t i = 0; i < out.size(); ++i)
          out[i] = raw[i] != std::byte{0} ? std::byte{1} : std::byte{0};
        return {};
      case ObsKind::floating64:
        break;
    }
    const auto numbers = as<double>(out);
    if (column_.encoding == Encoding::nullable_boolean) {
      for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = raw[i] != std::byte{0} ? 1 : 0;
    } else {
      to_double(type, raw, numbers);
    }
    return {};
  }

  // Whether integers that are not missing (empty mask: none is) fit the kind of label that they become. Only
  // two can fail to: a uint64 as int64, and a nullable integer of 64 bits as float64. Both have 8 bytes,
  // which is what is loaded. What lies under a mask may be any number, and is none of a user's concern.
  Status check_exact(RowRange rows, const std::byte* raw, std::span<const std::byte> mask) const {
    const NumericType type = column_.values->dtype().number;
    const bool may_not = kind_ == ObsKind::integer ? type == NumericType::u64
                                                   : column_.encoding == Encoding::nullable_number &&
                                                         is_integer(type) && numeric_size(type) == 8;
    if (!may_not) return {};
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!mask.empty() && mask[i] != std::byte{0}) continue;
      PENSTOCK_RETURN_IF_ERROR(
          check_label_integer(column_.where, rows.first + i, load<std::int64_t>(raw, i), type, kind_));
    }
    return {};
  }

  // A code indexes names and counts later on, where nobody checks it again.
  Status convert_codes(RowRange rows, const std::byte* raw, std::span<std::int32_t> out) const {
    return with_integer(column_.values->dtype().number, [&]<class T>() -> Status {
      for (std::size_t i = 0; i < out.size(); ++i) {
        const auto code = static_cast<std::int64_t>(load<T>(raw, i));
        if (code < -1 || code > last_code_) {
          return Status::corrupt(fmt::format("{}: the code of row {} is {}, expected -1 to {}", column_.where,
                                             rows.first + i, code, last_code_));
        }
        out[i] = static_cast<std::int32_t>(code);
      }
      return {};
    });
  }

  const FrameColumn column_;
  const ObsKind kind_;
  // -1 where the list is empty: then every value has to be missing.
  const std::int64_t last_code_;
};

}  // namespace

std::shared_ptr<const ObsColumn> stream_column(FrameColumn column, std::uint64_t n_categories) {
  return std::make_shared<StreamColumn>(std::move(column), n_categories);
}

}  // namespace penstock::anndata
