// What the values of a matrix column become on their way out of a page: ids (columns of the matrix) or values
// in the narrowest type that holds them. A dictionary is translated once, so that most values cost one
// look-up.
//
// Thread contract: externally synchronised. Memory: tables in the memory they are given; no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/types.h"
#include "parquet/gene_map.h"
#include "parquet/page_values.h"
#include "penstock/status.h"

namespace penstock::parquet {

// The numbers a column of this type holds; `unsupported`, naming it, when a matrix cannot be made of them.
Result<NumericType> matrix_type(const Leaf& column, const std::string& where);

class ColumnTarget {
 public:
  virtual ~ColumnTarget() = default;
  // Takes the dictionary of the row group that follows. Pages without one come without this call.
  virtual Status dictionary(const PageContext& context, const Page& page) = 0;
  virtual void no_dictionary() = 0;
  std::uint32_t dictionary_size() const { return size_; }
  // Bytes of an element that read() writes.
  virtual std::size_t item() const = 0;
  // Whether read() can go on with this page in the type that it has begun with.
  virtual bool takes(const PageValues& values) const = 0;
  // What becomes of an element that is missing: put_missing() writes it; the target has to keep the stored
  // type for that; it cannot be said.
  enum class Missing : std::uint8_t { is_written, needs_stored_type, is_refused };
  virtual Missing missing() const = 0;
  virtual void put_missing(std::byte* out) = 0;
  // The next n values.
  virtual DecodeError read(PageValues& values, std::uint64_t n, std::byte* out) = 0;

 protected:
  std::uint32_t size_ = 0;
};

// Whether one of the elements [first, last), each of `item` bytes (1, 2 or 4), has all bits set.
bool has_all_ones(const std::byte* elements, std::size_t item, std::uint64_t first, std::uint64_t last);

// Bytes of a plain dictionary or of values that are looked at in one go.
inline constexpr std::uint64_t kPiece = 2048;  // values

// Columns of the matrix as uint16, or uint32 when there are more than 65,535.
class IdTarget final : public ColumnTarget {
 public:
  static std::size_t id_size(ColIndex n_cols) { return n_cols < 0xffff ? 2 : 4; }
  static NumericType id_type(ColIndex n_cols) {
    return n_cols < 0xffff ? NumericType::u16 : NumericType::u32;
  }
  // Scratch for dictionaries of at most `entries`.
  static ByteCount scratch(ColIndex n_cols, std::uint64_t entries);

  // `memory`: scratch(map.n_cols(), entries) bytes, aligned to 64.
  IdTarget(const GeneMap& map, NumericType stored, PhysicalType physical, std::uint64_t entries,
           std::byte* memory);
  Status dictionary(const PageContext& context, const Page& page) override;
  void no_dictionary() override;
  std::size_t item() const override { return id_size(map_.n_cols()); }
  bool takes(const PageValues&) const override { return true; }
  // A missing gene is one that the table does not know.
  Missing missing() const override { return Missing::is_written; }
  void put_missing(std::byte* out) override;
  DecodeError read(PageValues& values, std::uint64_t n, std::byte* out) override;
  // True when ids that are no columns may have been written: all bits set. Until the next dictionary.
  bool unknown() const { return unknown_; }

 private:
  template <class Id>
  void translate(std::uint64_t n, Id* out);

  const GeneMap& map_;
  const NumericType stored_;
  const PhysicalType physical_;
  std::byte* const table_;
  const std::uint64_t capacity_;  // entries
  std::byte* const piece_;        // kPiece values as stored
  bool unknown_ = false;
};

// Values as uint8 or uint16 where a row group's dictionary holds nothing else, else as stored.
class ValueTarget final : public ColumnTarget {
 public:
  static ByteCount scratch(NumericType stored, std::uint64_t entries);

  // marks_negative: a negative value may be the mark of a row's first entry. In a narrow type it becomes the
  // largest value of the type, which then stands for nothing else.
  // keep_stored: no narrow types.
  ValueTarget(NumericType stored, PhysicalType physical, bool marks_negative, bool keep_stored,
              std::uint64_t entries, std::byte* memory);
  Status dictionary(const PageContext& context, const Page& page) override;
  void no_dictionary() override;
  std::size_t item() const override { return numeric_size(type_); }
  NumericType type() const { return type_; }
  bool narrow() const { return type_ != stored_; }
  bool takes(const PageValues& values) const override { return values.coded() || !narrow(); }
  // A missing value is NaN; integers have none.
  Missing missing() const override;
  void put_missing(std::byte* out) override;
  DecodeError read(PageValues& values, std::uint64_t n, std::byte* out) override;
  // Whether element i of what read() wrote is a mark (as stored: negative).
  bool is_mark(const std::byte* values, std::uint64_t i) const;
  // Whether elements [first, last) have a mark in a narrow type, where it would be taken for a value.
  bool has_mark(const std::byte* values, std::uint64_t first, std::uint64_t last) const;

 private:
  template <class T>
  NumericType narrowest();
  template <class T, class Narrow>
  void fill(Narrow* out) const;

  const NumericType stored_;
  const PhysicalType physical_;
  const bool marks_negative_, keep_stored_;
  std::byte* const as_stored_;  // the dictionary
  std::byte* const narrow_;     // the same in type_
  const std::uint64_t capacity_;
  NumericType type_;
  bool has_marks_ = false;  // the dictionary, in a narrow type
};

}  // namespace penstock::parquet
