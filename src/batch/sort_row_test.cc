#include <gtest/gtest.h>

#include <map>

#include "batch/cast.h"
#include "batch/compact_row.h"
#include "batch/testing.h"

namespace penstock::batch {
namespace {

using testing::Output;

template <class Id, class T>
void expect_sorted(const std::vector<Id>& ids, const std::vector<T>& values, NumericType type) {
  std::map<Id, T> expected;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto [at, added] = expected.emplace(ids[i], values[i]);
    if (!added) at->second = sum(at->second, values[i]);
  }
  Output<Id> out_ids(ids.size());
  Output<T> out_values(ids.size());
  Output<std::byte> scratch(sort_scratch_bytes(ids.size()) + 1);
  if (!ids.empty()) {
    std::memcpy(out_ids.data(), ids.data(), ids.size() * sizeof(Id));
    std::memcpy(out_values.bytes(), values.data(), ids.size() * sizeof(T));
  }
  // An odd address: the scratch may lie anywhere.
  const std::size_t n = sort_row(out_ids.data(), out_values.bytes(), type, ids.size(), scratch.data() + 1);
  std::vector<Id> want_ids;
  std::vector<T> want_values;
  for (const auto& [id, value] : expected) {
    want_ids.push_back(id);
    want_values.push_back(value);
  }
  ASSERT_EQ(n, expected.size());
  ASSERT_EQ(out_ids.copy(n * sizeof(Id)), testing::bytes_of(want_ids));
  ASSERT_EQ(out_values.copy(n * sizeof(T)), testing::bytes_of(want_values)) << numeric_name(type);
}

template <class Id>
void all_types_and_lengths() {
  std::vector<std::size_t> lengths = testing::lengths();
  lengths.push_back(testing::kAddressSanitizer ? 20000 : 200000);
  for (const NumericType type : testing::kTypes) {
    visit_numeric(type, [&]<class T>(std::type_identity<T>) {
      for (const std::size_t n : lengths) {
        if (n > 5000 && type != NumericType::f32) continue;
        std::mt19937 random(static_cast<unsigned>(n));
        for (const std::uint64_t range :
             {std::uint64_t{3}, std::uint64_t{n + 1}, std::uint64_t{60000}, std::uint64_t{1} << 32}) {
          std::vector<Id> ids(n);
          std::vector<T> values(n);
          for (std::size_t i = 0; i < n; ++i) {
            ids[i] = static_cast<Id>(random() % range);
            values[i] = cast<T>(static_cast<float>(random() % 1000) / 8);
          }
          expect_sorted(ids, values, type);
        }
      }
    });
  }
}

TEST(SortRow, ids_of_16_bits) { all_types_and_lengths<std::uint16_t>(); }
TEST(SortRow, ids_of_32_bits) { all_types_and_lengths<std::uint32_t>(); }

TEST(SortRow, sums_in_the_order_of_the_file) {
  // 1e8 + 1 + ... loses the ones when added one by one, and keeps them in another order.
  std::vector<std::uint16_t> ids(9, 5);
  std::vector<float> values(9, 1.0F);
  values[0] = 1e8F;
  std::byte scratch[1024];
  ASSERT_LE(sort_scratch_bytes(9), sizeof(scratch));
  EXPECT_EQ(sort_row(ids.data(), reinterpret_cast<std::byte*>(values.data()), NumericType::f32, 9, scratch),
            1U);
  EXPECT_EQ(values[0], 1e8F);
}

}  // namespace
}  // namespace penstock::batch
