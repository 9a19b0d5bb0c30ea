#include <gtest/gtest.h>

#include "batch/cast.h"
#include "batch/compact_row_ref.h"
#include "batch/densify.h"
#include "batch/testing.h"

namespace penstock::batch {
namespace {

using testing::Output;
using testing::Unaligned;

template <class Index>
struct Csr {
  std::vector<Index> indptr;
  std::vector<Index> indices;
  std::size_t n_cols;
};

template <class Index>
Csr<Index> random_csr(std::size_t n_rows, std::size_t n_cols, bool sorted, unsigned seed) {
  std::mt19937 random(seed);
  Csr<Index> csr{{0}, {}, n_cols};
  for (std::size_t r = 0; r < n_rows; ++r) {
    std::size_t column = 0;
    for (std::size_t i = random() % 40; i-- > 0;) {
      column = sorted ? column + 1 + random() % 50 : random() % n_cols;
      if (column >= n_cols) break;
      csr.indices.push_back(static_cast<Index>(column));
    }
    csr.indptr.push_back(static_cast<Index>(csr.indices.size()));
  }
  return csr;
}

template <class Index>
void expect_dense(const Csr<Index>& csr, NumericType in_type, NumericType out_type) {
  const std::size_t n_rows = csr.indptr.size() - 1;
  const std::size_t nnz = csr.indices.size();
  const std::size_t size = numeric_size(out_type);
  std::mt19937 random(3);
  std::vector<std::uint16_t> counts(nnz);
  for (std::uint16_t& count : counts) count = static_cast<std::uint16_t>(random() % 300);
  std::vector<std::byte> values(nnz * numeric_size(in_type));
  std::vector<std::byte> converted(nnz * size);
  ref::expand_values(testing::bytes_of(counts).data(), ValueClass::u16, nnz, values.data(), in_type);
  ref::convert_values(values.data(), in_type, nnz, converted.data(), out_type);
  std::vector<std::byte> expected(n_rows * csr.n_cols * size);
  visit_numeric(out_type, [&]<class Out>(std::type_identity<Out>) {
    for (std::size_t r = 0; r < n_rows; ++r) {
      for (auto i = static_cast<std::size_t>(csr.indptr[r]); i < static_cast<std::size_t>(csr.indptr[r + 1]);
           ++i) {
        const std::size_t at = r * csr.n_cols + static_cast<std::size_t>(csr.indices[i]);
        store(expected.data(), at, sum(load<Out>(expected.data(), at), load<Out>(converted.data(), i)));
      }
    }
  });
  const Unaligned indptr(csr.indptr);
  const Unaligned indices(csr.indices);
  const Unaligned from(values);
  const CsrArrays arrays{.indptr = indptr.data(),
                         .indices = indices.data(),
                         .index_type = sizeof(Index) == 4 ? NumericType::i32 : NumericType::i64,
                         .values = from.data(),
                         .value_type = in_type,
                         .nnz = nnz,
                         .n_rows = n_rows,
                         .n_cols = csr.n_cols};
  Output<std::byte> out(expected.size());
  ASSERT_TRUE(densify_csr(arrays, 0, n_rows, out_type, out.data()));
  ASSERT_EQ(out.copy(), expected) << numeric_name(in_type) << " to " << numeric_name(out_type);
  // In parts, each where its rows belong.
  const std::size_t middle = n_rows / 3;
  Output<std::byte> parts(expected.size());
  ASSERT_TRUE(densify_csr(arrays, middle, n_rows, out_type, parts.data() + middle * csr.n_cols * size));
  ASSERT_TRUE(densify_csr(arrays, 0, middle, out_type, parts.data()));
  ASSERT_EQ(parts.copy(), expected) << numeric_name(in_type) << " to " << numeric_name(out_type);
}

class DensifyCsr : public testing::EveryTarget {};

TEST_P(DensifyCsr, every_pair_of_types) {
  for (const bool sorted : {true, false}) {
    const auto csr32 = random_csr<std::int32_t>(20, 700, sorted, 1);
    const auto csr64 = random_csr<std::int64_t>(7, 5000, sorted, 2);
    for (const NumericType in_type : testing::kTypes) {
      for (const NumericType out_type : testing::kTypes) {
        expect_dense(csr32, in_type, out_type);
        expect_dense(csr64, in_type, out_type);
      }
    }
  }
}

TEST_P(DensifyCsr, no_rows_and_empty_rows) {
  expect_dense<std::int32_t>({{0}, {}, 10}, NumericType::f32, NumericType::f32);
  expect_dense<std::int32_t>({{0, 0, 0}, {}, 10}, NumericType::f32, NumericType::f32);
}

PENSTOCK_EVERY_TARGET(DensifyCsr);

template <class Index>
bool accepted(std::vector<Index> indptr, std::vector<Index> indices, std::size_t n_cols) {
  const Unaligned ptr(indptr);
  const Unaligned ids(indices);
  const Unaligned values(std::vector<float>(indices.size(), 1.0F));
  const CsrArrays arrays{.indptr = ptr.data(),
                         .indices = ids.data(),
                         .index_type = sizeof(Index) == 4 ? NumericType::i32 : NumericType::i64,
                         .values = values.data(),
                         .value_type = NumericType::f32,
                         .nnz = indices.size(),
                         .n_rows = indptr.size() - 1,
                         .n_cols = n_cols};
  Output<float> out(arrays.n_rows * n_cols);
  const bool whole = densify_csr(arrays, 0, arrays.n_rows, NumericType::f32, out.bytes());
  // What is refused as a whole is refused in one of its parts, whichever way it is cut.
  for (std::size_t cut = 1; cut < arrays.n_rows; ++cut) {
    const bool head = densify_csr(arrays, 0, cut, NumericType::f32, out.bytes());
    const bool tail = densify_csr(arrays, cut, arrays.n_rows, NumericType::f32, out.bytes());
    EXPECT_EQ(head && tail, whole) << cut;
  }
  return whole;
}

template <class Index>
void invalid_matrices() {
  EXPECT_TRUE(accepted<Index>({0, 2, 3}, {0, 4, 1}, 5));
  EXPECT_TRUE(accepted<Index>({0, 2, 3}, {4, 4, 1}, 5));
  EXPECT_FALSE(accepted<Index>({1, 2, 3}, {0, 4, 1}, 5));  // does not start at zero
  EXPECT_FALSE(accepted<Index>({0, 2, 2}, {0, 4, 1}, 5));  // does not end at nnz
  EXPECT_FALSE(accepted<Index>({0, 2, 4}, {0, 4, 1}, 5));  // ends behind nnz
  EXPECT_FALSE(accepted<Index>({0, 4, 3}, {0, 4, 1}, 5));  // falls
  EXPECT_FALSE(accepted<Index>({0, -1, 3}, {0, 4, 1}, 5));
  EXPECT_FALSE(accepted<Index>({0, 2, 3}, {0, 5, 1}, 5));  // a column too many
  EXPECT_FALSE(accepted<Index>({0, 2, 3}, {-1, 4, 1}, 5));
  EXPECT_FALSE(accepted<Index>({0, 2, 3}, {0, 4, std::numeric_limits<Index>::max()}, 5));
  EXPECT_FALSE(accepted<Index>({0, 2, 3}, {0, 4, std::numeric_limits<Index>::min()}, 5));
  EXPECT_FALSE(accepted<Index>({0}, {3}, 5));
}

TEST(DensifyCsrInvalid, indices_of_both_sizes) {
  invalid_matrices<std::int32_t>();
  invalid_matrices<std::int64_t>();
}

TEST(DensifyCsrInvalid, other_index_types) {
  const std::byte nothing{};
  EXPECT_FALSE(
      densify_csr({.indptr = &nothing, .index_type = NumericType::f32}, 0, 0, NumericType::f32, nullptr));
}

}  // namespace
}  // namespace penstock::batch
