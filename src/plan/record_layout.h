// How a row lies in the shuffle window: its record, described once. Scatter writes through it, batches are
// assembled through it, and the division of the budget asks it for sizes.
//
//   byte 0   row number       int64, of the whole dataset
//        8   labels           RowLabels::record_bytes(), a multiple of 4
//            total            float64, where the loader keeps totals
//            obsm             obsm_bytes() of vectors, one behind the other
//            -- end of the fixed part: fixed_bytes(), equal for all records of a loader --
//            column ids       n of id_bytes() each: u16, or u32 above 65,536 columns
//            values           n, as narrow as the row allows: batch/compact_row.h
//
// What else travels with each row and is of fixed width gets its place in the constructor, in front of the
// ids, and an accessor here. How many entries there are, and how wide values are, is said by
// the row's entry in the window's table (engine/window.h), not by the record.
//
// Nothing but the record itself is aligned, to kAlign; numbers are copied in and out.
//
// Thread contract: immutable, pure functions.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/checked.h"
#include "base/load.h"
#include "base/types.h"

namespace penstock::plan {

class RecordLayout {
 public:
  static constexpr ByteCount kAlign = 8;
  // What is planned for row number, labels and total, whichever of them there are: the window, and with it
  // the order of rows, must not depend on which labels travel along. Vectors of obsm are planned for
  // besides: they may be as large as the row itself.
  static constexpr ByteCount kPlannedFixed = 24;

  // Of rows that carry nothing but their number and entries in up to 65,536 columns.
  RecordLayout() = default;
  // obsm_bytes: below kMostObsm.
  RecordLayout(ColIndex n_cols, ByteCount label_bytes, bool has_total, ByteCount obsm_bytes = 0)
      : has_total_(has_total),
        id_bytes_(id_bytes(n_cols)),
        total_(kLabels + label_bytes),
        obsm_(total_ + (has_total ? sizeof(double) : 0)),
        fixed_(obsm_ + obsm_bytes) {}

  // Of one column id in the window.
  static constexpr std::size_t id_bytes(ColIndex n_cols) { return n_cols <= 65'536 ? 2 : 4; }
  std::size_t id_bytes() const { return id_bytes_; }
  bool has_total() const { return has_total_; }
  ByteCount obsm_bytes() const { return fixed_ - obsm_; }
  ByteCount fixed_bytes() const { return fixed_; }
  // Of a record with n entries whose values take `value_bytes` together.
  ByteCount bytes(std::uint32_t n, ByteCount value_bytes) const {
    return fixed_ + ByteCount{n} * id_bytes_ + value_bytes;
  }
  // What such a record takes from its page.
  static constexpr ByteCount taken(ByteCount bytes) { return round_up(bytes, kAlign); }
  // What to plan for a row of so many entries whose values take so many bytes each: estimates, both. At most
  // kMostPlanned.
  ByteCount planned_bytes(double entries, double bytes_per_value) const {
    const double variable = std::ceil(entries * (static_cast<double>(id_bytes_) + bytes_per_value));
    const ByteCount fixed = kPlannedFixed + obsm_bytes();
    if (!(variable < static_cast<double>(kMostPlanned - fixed))) return kMostPlanned;
    return taken(fixed + static_cast<ByteCount>(variable));
  }
  // A window never holds rows with so many bytes of obsm.
  static constexpr ByteCount kMostObsm = ByteCount{1} << 32;
  static constexpr ByteCount kMostPlanned = ByteCount{1}
                                            << 40;  // a row longer than any, at 16 bytes an entry

  // The parts of a record; Byte is std::byte, const or not.
  template <class Byte>
  Byte* labels(Byte* record) const {
    return record + kLabels;
  }
  template <class Byte>
  Byte* obsm(Byte* record) const {
    return record + obsm_;
  }
  template <class Byte>
  Byte* ids(Byte* record) const {
    return record + fixed_;
  }
  template <class Byte>
  Byte* values(Byte* record, std::uint32_t n) const {
    return record + fixed_ + ByteCount{n} * id_bytes_;
  }

  static std::int64_t row_number(const std::byte* record) { return load<std::int64_t>(record); }
  static void set_row_number(std::byte* record, std::int64_t row) { std::memcpy(record, &row, sizeof(row)); }
  // has_total() only.
  double total(const std::byte* record) const { return load<double>(record + total_); }
  void set_total(std::byte* record, double total) const {
    std::memcpy(record + total_, &total, sizeof(total));
  }

 private:
  static constexpr ByteCount kLabels = sizeof(std::int64_t);  // behind the row number

  bool has_total_ = false;
  std::size_t id_bytes_ = 2;
  ByteCount total_ = kLabels, obsm_ = kLabels, fixed_ = kLabels;
};

}  // namespace penstock::plan
