// Between the pages of a matrix column and the rows that leave: values as they are stored become values as a
// tile has them. Two targets do so, one for the column that says which gene, one for the column that says how
// many.
//
// Both translate the dictionary once and look up afterwards. A row group has many entries and a dictionary of
// some thousand genes. A gene map costs a search or a random access for each token; the table that is made of
// the dictionary is small and stays in the cache.
//
//     genes     dictionary 7, 19, 4 (tokens)      table 0, 5, 2 (columns; 0xffff: a gene that is not known)
//     values    dictionary 1.0, 3.0, -2.0         table 1, 3, 255 (bytes; 255: the mark that begins a row)
//     a row     indices 2 0 1 and 2 0 1           columns 2 0 5, values 255 1 3
//
// Without a dictionary, genes are translated kPiece at a time, and values stay as they are stored.
#include "parquet/column_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/checked.h"
#include "base/load.h"

namespace penstock::parquet {
namespace {

// Tables begin with a cache line, whatever the number of entries before them is.
constexpr std::uint64_t kAlign = 64;

// f.template operator()<T>() for the types that matrix_type() gives.
template <class F>
decltype(auto) visit(NumericType type, F&& f) {
  switch (type) {
    case NumericType::i32:
      return f.template operator()<std::int32_t>();
    case NumericType::u32:
      return f.template operator()<std::uint32_t>();
    case NumericType::i64:
      return f.template operator()<std::int64_t>();
    case NumericType::u64:
      return f.template operator()<std::uint64_t>();
    case NumericType::f32:
      return f.template operator()<float>();
    default:
      return f.template operator()<double>();
  }
}

// Copies bits: a float is not looked at on its way, so that NaN and -0.0 come out as they went in.
// A table of the stored type looked up as the unsigned integers of its size.
DecodeError gather_stored(PageValues& values, std::size_t size, const std::byte* table, std::byte* out,
                          std::uint64_t n) {
  if (size == 4) {
    return values.gather(reinterpret_cast<const std::uint32_t*>(table), reinterpret_cast<std::uint32_t*>(out),
                         n);
  }
  return values.gather(reinterpret_cast<const std::uint64_t*>(table), reinterpret_cast<std::uint64_t*>(out),
                       n);
}

// The entries of a dictionary page into `out`, as stored.
Status read_dictionary(const PageContext& context, const Page& page, PhysicalType physical, std::size_t size,
                       std::uint64_t capacity, std::byte* out) {
  // The memory was sized by the headers that were seen at open. This page may be another one, if the file was
  // changed since, or belong to a row group that was not looked at.
  if (page.n_values > capacity) {
    return context.label.corrupt(
        page.offset,
        fmt::format("a dictionary of {} entries, at most {} were expected from what was read at open",
                    page.n_values, capacity));
  }
  // Old writers call it PLAIN_DICTIONARY; what it holds is PLAIN.
  if (page.encoding != Encoding::plain && page.encoding != Encoding::plain_dictionary) {
    return context.label.unsupported(page.offset, "a dictionary in " + encoding_name(page.encoding));
  }
  if (page.values.size() < page.n_values * size) {
    return context.label.corrupt(
        page.offset, fmt::format("a dictionary of {} entries of {} bytes in {} bytes", page.n_values, size,
                                 page.values.size()));
  }
  NumberReader reader;
  DecodeError error = NumberReader::open(Encoding::plain, physical, 0, page.values, page.n_values, &reader);
  if (error == DecodeError::ok) error = reader.read(out, page.n_values);
  if (error == DecodeError::ok) return {};
  return context.label.corrupt(page.offset, std::string("dictionary: ") + describe(error));
}

}  // namespace

// Small integers (INT_8 to UINT_16) are stored as int32 and read as that; dictionaries narrow them again.
// Dates, decimals and booleans are no matrix.
Result<NumericType> matrix_type(const Leaf& column, const std::string& where) {
  const bool plain_integer = column.logical == Logical::none || column.logical == Logical::integer;
  switch (column.type) {
    case PhysicalType::int32:
      if (!plain_integer) break;
      return column.logical == Logical::integer && !column.is_signed ? NumericType::u32 : NumericType::i32;
    case PhysicalType::int64:
      if (!plain_integer) break;
      return column.logical == Logical::integer && !column.is_signed ? NumericType::u64 : NumericType::i64;
    case PhysicalType::float32:
      return NumericType::f32;
    case PhysicalType::float64:
      return NumericType::f64;
    default:
      break;
  }
  return Status::unsupported(
      fmt::format("{}: a matrix of {}{}", where, physical_name(column.type),
                  column.logical_text.empty() ? "" : " (" + column.logical_text + ")"));
}

ByteCount IdTarget::scratch(ColIndex n_cols, std::uint64_t entries) {
  // The dictionary as stored is translated in pieces, in the space for a piece.
  return round_up(entries * id_size(n_cols), kAlign) + kPiece * sizeof(std::int64_t) + kAlign;
}

IdTarget::IdTarget(const GeneMap& map, NumericType stored, PhysicalType physical, std::uint64_t entries,
                   std::byte* memory)
    : map_(map),
      stored_(stored),
      physical_(physical),
      table_(memory + kPiece * sizeof(std::int64_t)),
      capacity_(entries),
      piece_(memory) {}

// piece_ holds n values as stored.
template <class Id>
void IdTarget::translate(std::uint64_t n, Id* out) {
  visit(stored_, [&]<class T>() {
    // Collected without a branch, which would sit in the loop of every entry that has no dictionary.
    std::uint32_t all = 0;
    for (std::uint64_t i = 0; i < n; ++i) {
      const T token = load<T>(piece_, i);
      // Beyond int64 there are no tokens.
      const bool fits = std::is_signed_v<T> || sizeof(T) < 8 || static_cast<std::uint64_t>(token) >> 63 == 0;
      const std::uint32_t column = fits ? map_.column(static_cast<std::int64_t>(token)) : GeneMap::kUnknown;
      all |= static_cast<std::uint32_t>(column == GeneMap::kUnknown);
      out[i] = static_cast<Id>(column);
    }
    unknown_ |= all != 0;
  });
}

// In pieces, so that the dictionary as stored (8 bytes an entry) need not be in memory beside its translation
// (2 or 4).
Status IdTarget::dictionary(const PageContext& context, const Page& page) {
  unknown_ = false;
  const std::size_t size = numeric_size(stored_);
  if (page.n_values > capacity_) {
    return context.label.corrupt(
        page.offset,
        fmt::format("a dictionary of {} entries, at most {} were expected from what was read at open",
                    page.n_values, capacity_));
  }
  for (std::uint64_t first = 0; first < page.n_values; first += kPiece) {
    const std::uint64_t n = std::min(kPiece, page.n_values - first);
    Page part = page;
    part.n_values = n;
    // A page that is too short makes the rest empty, and read_dictionary() reports it.
    part.values = page.values.subspan(std::min<std::uint64_t>(first * size, page.values.size()));
    PENSTOCK_RETURN_IF_ERROR(read_dictionary(context, part, physical_, size, kPiece, piece_));
    if (item() == 2) {
      translate(n, reinterpret_cast<std::uint16_t*>(table_) + first);
    } else {
      translate(n, reinterpret_cast<std::uint32_t*>(table_) + first);
    }
  }
  size_ = static_cast<std::uint32_t>(page.n_values);
  return {};
}

void IdTarget::no_dictionary() {
  size_ = 0;
  unknown_ = false;
}

// `unknown_` is not touched where values are coded: it says since dictionary() whether any entry is unknown,
// and that is enough to know that most row groups need no look at their ids.
DecodeError IdTarget::read(PageValues& values, std::uint64_t n, std::byte* out) {
  if (values.coded()) {
    if (item() == 2) {
      return values.gather(reinterpret_cast<const std::uint16_t*>(table_),
                           reinterpret_cast<std::uint16_t*>(out), n);
    }
    return values.gather(reinterpret_cast<const std::uint32_t*>(table_),
                         reinterpret_cast<std::uint32_t*>(out), n);
  }
  for (std::uint64_t first = 0; first < n; first += kPiece) {
    const std::uint64_t part = std::min(kPiece, n - first);
    const DecodeError error = values.read(piece_, part);
    if (error != DecodeError::ok) return error;
    if (item() == 2) {
      translate(part, reinterpret_cast<std::uint16_t*>(out) + first);
    } else {
      translate(part, reinterpret_cast<std::uint32_t*>(out) + first);
    }
  }
  return DecodeError::ok;
}

// All bits set, as GeneMap::kUnknown is, and its lower half for 16 bits.
void IdTarget::put_missing(std::byte* out) {
  unknown_ = true;
  std::memset(out, 0xff, item());
}

// The dictionary as it is stored, and room for its narrow form. Which type that is turns out when the
// dictionary is read; the wider one has 16 bits.
ByteCount ValueTarget::scratch(NumericType stored, std::uint64_t entries) {
  return round_up(entries * numeric_size(stored), kAlign) + round_up(entries * 2, kAlign) + kAlign;
}

ValueTarget::ValueTarget(NumericType stored, PhysicalType physical, bool marks_negative, bool keep_stored,
                         std::uint64_t entries, std::byte* memory)
    : stored_(stored),
      physical_(physical),
      marks_negative_(marks_negative),
      keep_stored_(keep_stored),
      as_stored_(memory),
      narrow_(memory + round_up(entries * numeric_size(stored), kAlign)),
      capacity_(entries),
      type_(stored) {}

// The narrowest type that holds every entry of the dictionary, marks included. Counts are stored as float32
// as a rule, and their dictionary has some hundred entries: 0, 1, 2, ... One look at it tells that all values
// of the row group are a byte, so that they are looked up in a table of bytes, and travel as bytes.
template <class T>
NumericType ValueTarget::narrowest() {
  std::uint32_t most = 0;
  bool exact = true, marks = false;
  for (std::uint32_t i = 0; i < size_; ++i) {
    const T value = load<T>(as_stored_, i);
    if constexpr (std::is_signed_v<T> || std::is_floating_point_v<T>) {
      if (marks_negative_ && value < T{0}) {
        marks = true;
        continue;
      }
    }
    // Written so that a NaN is not in range.
    if (!(value >= T{0} && value <= T{65535})) return stored_;
    const auto whole = static_cast<std::uint32_t>(value);
    exact &= static_cast<T>(whole) == value;
    // -0.0 equals 0 and would come back without its sign.
    if constexpr (std::is_floating_point_v<T>) exact &= !std::signbit(value);
    most = std::max(most, whole);
  }
  if (!exact) return stored_;
  has_marks_ = marks;
  // Worked example: values up to 255 without marks fit a byte. With marks, 255 is taken, and a dictionary
  // that holds it needs 16 bits.
  most += marks ? 1 : 0;  // the largest value of the type is the mark
  return most <= 0xff ? NumericType::u8 : most <= 0xffff ? NumericType::u16 : stored_;
}

template <class T, class Narrow>
void ValueTarget::fill(Narrow* out) const {
  for (std::uint32_t i = 0; i < size_; ++i) {
    const T value = load<T>(as_stored_, i);
    // narrowest() has allowed negative values only where they are marks.
    out[i] = value < T{0} ? std::numeric_limits<Narrow>::max() : static_cast<Narrow>(value);
  }
}

Status ValueTarget::dictionary(const PageContext& context, const Page& page) {
  PENSTOCK_RETURN_IF_ERROR(
      read_dictionary(context, page, physical_, numeric_size(stored_), capacity_, as_stored_));
  size_ = static_cast<std::uint32_t>(page.n_values);
  type_ = stored_;
  has_marks_ = false;
  if (keep_stored_) return {};
  visit(stored_, [&]<class T>() {
    type_ = narrowest<T>();
    if (type_ == NumericType::u8) fill<T>(reinterpret_cast<std::uint8_t*>(narrow_));
    if (type_ == NumericType::u16) fill<T>(reinterpret_cast<std::uint16_t*>(narrow_));
  });
  return {};
}

// Pages without a dictionary hold values as they are stored, and there is no narrow type to go on with.
void ValueTarget::no_dictionary() {
  size_ = 0;
  type_ = stored_;
}

DecodeError ValueTarget::read(PageValues& values, std::uint64_t n, std::byte* out) {
  if (!values.coded()) return values.read(out, n);
  if (type_ == NumericType::u8) {
    return values.gather(reinterpret_cast<const std::uint8_t*>(narrow_), reinterpret_cast<std::uint8_t*>(out),
                         n);
  }
  if (type_ == NumericType::u16) {
    return values.gather(reinterpret_cast<const std::uint16_t*>(narrow_),
                         reinterpret_cast<std::uint16_t*>(out), n);
  }
  return gather_stored(values, numeric_size(stored_), as_stored_, out, n);
}

// A byte cannot be NaN: the rows are decoded again as they are stored (Decoder in list_decode.cc).
ColumnTarget::Missing ValueTarget::missing() const {
  if (stored_ != NumericType::f32 && stored_ != NumericType::f64) return Missing::is_refused;
  return narrow() ? Missing::needs_stored_type : Missing::is_written;
}

void ValueTarget::put_missing(std::byte* out) {
  visit(stored_, [&]<class T>() {
    const T nan = std::numeric_limits<T>::quiet_NaN();  // only floats come here
    std::memcpy(out, &nan, sizeof(nan));
  });
}

bool ValueTarget::is_mark(const std::byte* values, std::uint64_t i) const {
  if (!marks_negative_) return false;
  if (type_ == NumericType::u8) return has_marks_ && load<std::uint8_t>(values, i) == 0xff;
  if (type_ == NumericType::u16) return has_marks_ && load<std::uint16_t>(values, i) == 0xffff;
  return visit(stored_, [&]<class T>() { return load<T>(values, i) < T{0}; });
}

bool ValueTarget::has_mark(const std::byte* values, std::uint64_t first, std::uint64_t last) const {
  return has_marks_ && narrow() && has_all_ones(values, numeric_size(type_), first, last);
}

// The first byte of all ones is looked for, and most have none.
bool has_all_ones(const std::byte* elements, std::size_t item, std::uint64_t first, std::uint64_t last) {
  constexpr std::uint32_t kOnes = 0xffffffff;
  const std::byte* at = elements + first * item;
  const std::byte* const end = elements + last * item;
  while (at < end) {
    at = static_cast<const std::byte*>(std::memchr(at, 0xff, static_cast<std::size_t>(end - at)));
    if (at == nullptr) return false;
    // The byte that was found may be any of its element; only a whole element of ones counts.
    const auto element = static_cast<std::uint64_t>(at - elements) / item;
    if (std::memcmp(elements + element * item, &kOnes, item) == 0) return true;
    at = elements + (element + 1) * item;
  }
  return false;
}

}  // namespace penstock::parquet
