#include <gtest/gtest.h>

#include <numeric>

#include "batch/compact_row.h"
#include "batch/compact_row_ref.h"
#include "batch/testing.h"

namespace penstock::batch {
namespace {

using testing::Output;
using testing::Unaligned;

template <class T>
constexpr NumericType type_of() {
  if constexpr (std::is_signed_v<T>) {
    return sizeof(T) == 1   ? NumericType::i8
           : sizeof(T) == 2 ? NumericType::i16
           : sizeof(T) == 4 ? NumericType::i32
                            : NumericType::i64;
  } else {
    return sizeof(T) == 1   ? NumericType::u8
           : sizeof(T) == 2 ? NumericType::u16
           : sizeof(T) == 4 ? NumericType::u32
                            : NumericType::u64;
  }
}

template <class Id, class T>
void expect_like_reference(const std::vector<T>& ids, std::uint64_t n_cols) {
  const Unaligned in(ids);
  std::vector<Id> expected(ids.size());
  const NarrowResult want = ref::narrow_ids(in.data(), type_of<T>(), ids.size(), n_cols, expected.data());
  Output<Id> out(ids.size());
  const NarrowResult got = narrow_ids(in.data(), type_of<T>(), ids.size(), n_cols, out.data());
  ASSERT_EQ(got.in_range, want.in_range);
  ASSERT_EQ(got.ascending, want.ascending);
  ASSERT_EQ(got.bad, want.bad);
  if (want.in_range) {
    ASSERT_EQ(out.copy(), testing::bytes_of(expected));
  }
}

template <class Id, class T>
void all_cases(std::uint64_t n_cols) {
  std::mt19937_64 random(7);
  const std::uint64_t top = std::min<std::uint64_t>(n_cols - 1, std::numeric_limits<T>::max());
  for (const std::size_t n : testing::lengths()) {
    std::vector<T> ids(n);
    for (std::size_t i = 0; i < n; ++i)
      ids[i] = static_cast<T>(top - std::min<std::uint64_t>(top, n - 1 - i));
    expect_like_reference<Id>(ids, n_cols);
    if (n == 0) continue;
    for (int round = 0; round < (testing::kAddressSanitizer ? 2 : 12); ++round) {
      const std::size_t i = random() % n;
      const std::size_t j = random() % n;
      std::vector<T> changed = ids;
      std::swap(changed[i], changed[j]);
      expect_like_reference<Id>(changed, n_cols);
      changed = ids;
      changed[i] = changed[j];
      expect_like_reference<Id>(changed, n_cols);
      for (const T bad : {static_cast<T>(n_cols), static_cast<T>(-1), std::numeric_limits<T>::min(),
                          std::numeric_limits<T>::max(), static_cast<T>(std::uint64_t{1} << 32),
                          static_cast<T>((std::uint64_t{1} << 40) + 5)}) {
        changed = ids;
        changed[i] = bad;
        expect_like_reference<Id>(changed, n_cols);
      }
    }
  }
}

class NarrowIds : public testing::EveryTarget {};

TEST_P(NarrowIds, to_16_bits) {
  for (const std::uint64_t n_cols : {65536, 62710, 100, 1}) {
    all_cases<std::uint16_t, std::int32_t>(n_cols);
    all_cases<std::uint16_t, std::uint32_t>(n_cols);
    all_cases<std::uint16_t, std::int64_t>(n_cols);
    all_cases<std::uint16_t, std::uint64_t>(n_cols);
    all_cases<std::uint16_t, std::int16_t>(n_cols);
    all_cases<std::uint16_t, std::uint16_t>(n_cols);
    all_cases<std::uint16_t, std::int8_t>(n_cols);
    all_cases<std::uint16_t, std::uint8_t>(n_cols);
  }
}

TEST_P(NarrowIds, to_32_bits) {
  for (const std::uint64_t n_cols :
       {std::uint64_t{1} << 32, std::uint64_t{3'000'000'000}, std::uint64_t{1} << 31, std::uint64_t{65537}}) {
    all_cases<std::uint32_t, std::int32_t>(n_cols);
    all_cases<std::uint32_t, std::uint32_t>(n_cols);
    all_cases<std::uint32_t, std::int64_t>(n_cols);
    all_cases<std::uint32_t, std::uint64_t>(n_cols);
    all_cases<std::uint32_t, std::int16_t>(n_cols);
  }
}

TEST_P(NarrowIds, says_where_the_first_bad_id_is) {
  std::vector<std::int32_t> ids(1000);
  std::iota(ids.begin(), ids.end(), 0);
  ids[700] = -3;
  ids[900] = 5000;
  Output<std::uint16_t> out(ids.size());
  const Unaligned in(ids);
  const NarrowResult result = narrow_ids(in.data(), NumericType::i32, ids.size(), 1000, out.data());
  EXPECT_FALSE(result.in_range);
  EXPECT_FALSE(result.ascending);
  EXPECT_EQ(result.bad, 700U);
}

PENSTOCK_EVERY_TARGET(NarrowIds);

TEST(NarrowIdsScalar, forced) {
  force_scalar(true);
  all_cases<std::uint16_t, std::int32_t>(62710);
  EXPECT_STREQ(simd_target(), "SCALAR");
  force_scalar(false);
  EXPECT_STREQ(simd_target(), hwy::TargetName(hwy::SupportedAndGeneratedTargets().front()));
}

TEST(NarrowIdsScalar, floating_ids_are_not_ids) {
  const std::vector<float> ids = {1.0F};
  Output<std::uint16_t> out(1);
  EXPECT_FALSE(narrow_ids(Unaligned(ids).data(), NumericType::f32, 1, 10, out.data()).in_range);
}

}  // namespace
}  // namespace penstock::batch
