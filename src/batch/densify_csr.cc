// A CSR batch that was in a user's hands to dense: checked row by row, and read only through checked ids.
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
  bool in_range = n == 0 || ids.at(0) < n_cols;
  bool ascending = true;
  for (std::size_t i = 1; i < n; ++i) {
    in_range &= ids.at(i) < n_cols;
    ascending &= ids.at(i - 1) < ids.at(i);
  }
  return {in_range, ascending};
}

template <class Index>
struct Csr {
  const std::byte* indptr;
  const std::byte* indices;
  const std::byte* values;
  NumericType value_type;
  NumericType out_type;
  std::size_t n_cols;
  std::byte* row;

  const std::byte* elements(std::size_t first, std::size_t count, std::byte* buffer) const {
    const std::byte* from = values + first * numeric_size(value_type);
    if (value_type == out_type) return from;
    convert_values(from, value_type, count, buffer, out_type);
    return buffer;
  }

  void ascending_row(std::size_t begin, std::size_t n, std::byte* dst) const {
    const auto fill = [&](std::size_t first, std::size_t count, std::byte* buffer) {
      return elements(begin + first, count, buffer);
    };
    internal::visit_width(numeric_size(out_type), [&]<class Bits>(Bits) {
      const CsrIds<Index> ids{indices + begin * sizeof(Index)};
      internal::densify_ascending<Bits>(ids, n, fill, row, n_cols, dst);
    });
  }

  // Columns in any order, duplicates summed: the whole scratch row is needed. The ids are checked again,
  // because their owner may be writing to them.
  void any_row(std::size_t begin, std::size_t n, std::byte* dst) const {
    const CsrIds<Index> ids{indices + begin * sizeof(Index)};
    visit_numeric(out_type, [&]<class T>(std::type_identity<T>) {
      std::byte buffer[sizeof(T)];
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t column = ids.at(i);
        if (column >= n_cols) continue;
        const T value = load<T>(elements(begin + i, 1, buffer), 0);
        store(row, column, sum(load<T>(row, column), value));
      }
      internal::stream_block(dst, row, n_cols * sizeof(T));
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t column = ids.at(i);
        if (column < n_cols) store(row, column, T{});
      }
    });
  }

  bool densify(std::size_t nnz, std::size_t n_rows, std::byte* out) const {
    const CsrIds<Index> ptr{indptr};
    std::size_t begin = ptr.at(0);
    if (begin != 0) return false;
    for (std::size_t r = 0; r < n_rows; ++r) {
      const std::size_t end = ptr.at(r + 1);
      if (end < begin || end > nnz) return false;
      const RowCheck check = check_row(CsrIds<Index>{indices + begin * sizeof(Index)}, end - begin, n_cols);
      if (!check.in_range) return false;
      std::byte* dst = out + r * n_cols * numeric_size(out_type);
      if (check.ascending) {
        ascending_row(begin, end - begin, dst);
      } else {
        any_row(begin, end - begin, dst);
      }
      begin = end;
    }
    return begin == nnz;
  }
};

}  // namespace

bool densify_csr(const std::byte* indptr, const std::byte* indices, NumericType index_type,
                 const std::byte* values, NumericType value_type, std::size_t nnz, std::size_t n_rows,
                 std::size_t n_cols, NumericType out_type, std::byte* row, std::byte* out) {
  bool valid = false;
  if (index_type == NumericType::i32) {
    valid = Csr<std::int32_t>{indptr, indices, values, value_type, out_type, n_cols, row}.densify(nnz, n_rows,
                                                                                                  out);
  } else if (index_type == NumericType::i64) {
    valid = Csr<std::int64_t>{indptr, indices, values, value_type, out_type, n_cols, row}.densify(nnz, n_rows,
                                                                                                  out);
  }
  stream_fence();
  return valid;
}

}  // namespace penstock::batch
