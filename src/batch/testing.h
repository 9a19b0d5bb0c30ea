// Helpers of the kernel tests: every instruction set, unaligned inputs, and outputs with guards behind.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstddef>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/types.h"
#include "batch/compact_row.h"
#include "batch/numeric.h"

namespace penstock::batch::testing {

inline constexpr NumericType kTypes[] = {NumericType::i8,   NumericType::i16, NumericType::i32,
                                         NumericType::i64,  NumericType::u8,  NumericType::u16,
                                         NumericType::u32,  NumericType::u64, NumericType::f16,
                                         NumericType::bf16, NumericType::f32, NumericType::f64};

// Under the address sanitizer every path and every tail is wanted, for every instruction set and type; the
// repetitions that only look for wrong contents are left to the plain build, which runs them all.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#else
inline constexpr bool kAddressSanitizer = false;
#endif

// 0 to 70 for every tail of every vector, then a usual row and a long one.
inline std::vector<std::size_t> lengths() {
  std::vector<std::size_t> all;
  for (std::size_t n = 0; n <= 70; ++n) all.push_back(n);
  all.insert(all.end(), {127, 128, 129, 511, 512, 513, 1400});
  if (!kAddressSanitizer) all.push_back(5000);
  return all;
}

// A copy at an odd address, in an allocation that ends with it (for the address sanitizer).
class Unaligned {
 public:
  template <class T>
  explicit Unaligned(const std::vector<T>& values) : bytes_(1 + values.size() * sizeof(T)) {
    if (!values.empty()) std::memcpy(bytes_.data() + 1, values.data(), values.size() * sizeof(T));
  }
  const std::byte* data() const { return bytes_.data() + 1; }

 private:
  std::vector<std::byte> bytes_;
};

// n elements of garbage at an address that is aligned for T and no better, and a guard on both sides.
template <class T>
class Output {
 public:
  explicit Output(std::size_t n) : size_(n), bytes_(kGuard + n * sizeof(T) + kGuard, kGarbage) {}
  ~Output() {
    for (std::size_t i = 0; i < kGuard; ++i) {
      EXPECT_EQ(bytes_[i], kGarbage) << "written before the output";
      EXPECT_EQ(bytes_[bytes_.size() - kGuard + i], kGarbage) << "written behind the output of " << size_;
    }
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  T* data() { return reinterpret_cast<T*>(bytes_.data() + kGuard); }
  std::byte* bytes() { return bytes_.data() + kGuard; }
  std::vector<std::byte> copy(std::size_t n) const {
    return {bytes_.begin() + kGuard, bytes_.begin() + static_cast<std::ptrdiff_t>(kGuard + n)};
  }
  std::vector<std::byte> copy() const { return copy(size_ * sizeof(T)); }

 private:
  static constexpr std::size_t kGuard = 72;  // a multiple of 8, not of 16
  static constexpr std::byte kGarbage{0xA5};
  std::size_t size_;
  std::vector<std::byte> bytes_;
};

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// Runs the tests once per instruction set that was compiled and that this machine has.
class EveryTarget : public ::testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override { use(GetParam()); }
  void TearDown() override { use(0); }

 private:
  static void use(std::int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

inline std::string target_name(const ::testing::TestParamInfo<std::int64_t>& info) {
  return hwy::TargetName(info.param);
}

}  // namespace penstock::batch::testing

#define PENSTOCK_EVERY_TARGET(fixture)                                                              \
  INSTANTIATE_TEST_SUITE_P(Simd, fixture, ::testing::ValuesIn(hwy::SupportedAndGeneratedTargets()), \
                           ::penstock::batch::testing::target_name)
