// A CSR batch that was in a user's hands to dense: checked row by row, and read only through checked ids.
// Users get CSR batches as arrays that they may write into, and may do so in another thread while this runs.
// So everything is checked, and the check is not believed: an id is read once to see whether the row is in
// order, and again when its value is placed, and the second read is compared with the bound as well. What a
// race can do is to spoil the result, not to write outside of it.
//
// Nearly all rows are ascending, as the loader makes them, and take the fast way of densify_blocks.h. The
// others (users may have permuted columns, or added duplicates) are summed in place.
#include <cstring>

#include "batch/cast.h"
#include "batch/densify.h"
#include "batch/densify_blocks.h"
#include "batch/numeric.h"
#include "batch/stream.h"

namespace penstock::batch {
namespace {

// Index is i32 or i64; negative indices become huge.
template <class Index>
struct CsrIds {
  const std::byte* indices;
  std::size_t at(std::size_t i) const {
    return static_cast<std::make_unsigned_t<Index>>(load<Index>(indices, i));
  }
};

struct RowCheck {
  bool in_range;
  bool ascending;
};
template <class Index>
RowCheck check_row(CsrIds<Index> ids, std::size_t n, std::size_t n_cols) {
  // Without a branch in the loop: rows that are in order are read to their end anyway.
  bool in_range = n == 0 || ids.at(0) < n_cols;
  bool ascending = true;
  for (std::size_t i = 1; i < n; ++i) {
    in_range &= ids.at(i) < n_cols;
    ascending &= ids.at(i - 1) < ids.at(i);
  }
  return {in_range, ascending};
}

template <class Index>
class Rows {
 public:
  Rows(const CsrArrays& csr, NumericType out_type) : csr_(csr), out_type_(out_type) {}

  bool densify(std::size_t first, std::size_t last, std::byte* out) const {
    const CsrIds<Index> ptr{csr_.indptr};
    std::size_t begin = ptr.at(first);
    // Where a part begins later is the end of the part before, which checks it.
    if (first == 0 && begin != 0) return false;
    alignas(64) std::byte scratch[internal::kBlockBytes] = {};
    for (std::size_t r = first; r < last; ++r) {
      const std::size_t end = ptr.at(r + 1);
      // With this and the loop's begin = end, all of [begin, end) lies inside of the arrays; a negative
      // number is huge.
      if (end < begin || end > csr_.nnz) return false;
      const RowCheck check = check_row(ids_from(begin), end - begin, csr_.n_cols);
      if (!check.in_range) return false;
      std::byte* dst = out + (r - first) * csr_.n_cols * numeric_size(out_type_);
      if (check.ascending) {
        ascending_row(begin, end - begin, scratch, dst);
      } else {
        any_row(begin, end - begin, dst);
      }
      begin = end;
    }
    return last < csr_.n_rows || begin == csr_.nnz;
  }

 private:
  CsrIds<Index> ids_from(std::size_t begin) const { return {csr_.indices + begin * sizeof(Index)}; }

  const std::byte* elements(std::size_t first, std::size_t count, std::byte* buffer) const {
    const std::byte* from = csr_.values + first * numeric_size(csr_.value_type);
    if (csr_.value_type == out_type_) return from;
    convert_values(from, csr_.value_type, count, buffer, out_type_);
    return buffer;
  }

  void ascending_row(std::size_t begin, std::size_t n, std::byte* scratch, std::byte* dst) const {
    const auto fill = [&](std::size_t first, std::size_t count, std::byte* buffer) {
      return elements(begin + first, count, buffer);
    };
    internal::visit_width(numeric_size(out_type_), [&]<class Bits>(Bits) {
      internal::densify_ascending<Bits>(ids_from(begin), n, fill, scratch, csr_.n_cols, dst);
    });
  }

  // Columns in any order, duplicates summed: in place, since the row is not built from left to right. The ids
  // are checked again, because their owner may be writing to them.
  void any_row(std::size_t begin, std::size_t n, std::byte* dst) const {
    const CsrIds<Index> ids = ids_from(begin);
    std::memset(dst, 0, csr_.n_cols * numeric_size(out_type_));
    visit_numeric(out_type_, [&]<class T>(std::type_identity<T>) {
      std::byte buffer[sizeof(T)];
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t column = ids.at(i);
        if (column >= csr_.n_cols) continue;
        store(dst, column, sum(load<T>(dst, column), load<T>(elements(begin + i, 1, buffer), 0)));
      }
    });
  }

  const CsrArrays& csr_;
  NumericType out_type_;
};

}  // namespace

bool densify_csr(const CsrArrays& csr, std::size_t first, std::size_t last, NumericType out_type,
                 std::byte* out) {
  bool valid = false;
  if (csr.index_type == NumericType::i32) {
    valid = Rows<std::int32_t>(csr, out_type).densify(first, last, out);
  } else if (csr.index_type == NumericType::i64) {
    valid = Rows<std::int64_t>(csr, out_type).densify(first, last, out);
  }
  stream_fence();
  return valid;
}

}  // namespace penstock::batch
