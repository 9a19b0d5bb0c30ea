#include "codecs/kernels/bit_unpack.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include "codecs/kernels/bit_unpack_ref.h"
#include "codecs/testing.h"

namespace penstock::internal {
namespace {

using penstock::testing::GuardedBytes;

class BitUnpack : public ::testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override {
    hwy::SetSupportedTargetsForTest(GetParam());
    hwy::GetChosenTarget().Update(GetParam());
  }
  void TearDown() override {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

TEST_P(BitUnpack, equals_the_plain_loop_at_every_width) {
  for (int width = 0; width <= 32; ++width) {
    for (const std::size_t n : {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65, 100, 512, 1003}) {
      const GuardedBytes in(penstock::testing::noise((n * static_cast<std::size_t>(width) + 7) / 8));
      std::vector<std::uint32_t> expected(n, 0xa5a5a5a5), out(n + 1, 0xa5a5a5a5);
      const std::uint32_t most = bit_unpack_ref(in.span().data(), width, n, expected.data());
      ASSERT_EQ(bit_unpack(in.span().data(), in.span().size(), width, n, out.data()), most)
          << "width " << width << ", " << n;
      ASSERT_EQ(out.back(), 0xa5a5a5a5) << "width " << width << ", " << n;
      out.pop_back();
      ASSERT_EQ(out, expected) << "width " << width << ", " << n;
      // With more bytes behind.
      const GuardedBytes more(penstock::testing::noise(in.span().size() + 13));
      bit_unpack_ref(more.span().data(), width, n, expected.data());
      bit_unpack(more.span().data(), more.span().size(), width, n, out.data());
      ASSERT_EQ(out, expected) << "width " << width << ", " << n;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Simd, BitUnpack, ::testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const ::testing::TestParamInfo<std::int64_t>& target) {
                           return hwy::TargetName(target.param);
                         });

}  // namespace
}  // namespace penstock::internal
