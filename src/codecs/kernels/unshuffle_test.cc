#include "codecs/kernels/unshuffle.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include "codecs/kernels/unshuffle_ref.h"
#include "codecs/testing.h"

namespace penstock::internal {
namespace {

using penstock::testing::Bytes;
using penstock::testing::GuardedBytes;

class Unshuffle : public ::testing::TestWithParam<std::int64_t> {
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

TEST_P(Unshuffle, equals_the_plain_loop) {
  for (const std::size_t item_size : {1, 2, 3, 4, 5, 7, 8, 12, 16, 33}) {
    for (const std::size_t n : {0,   1,   2,   3,   7,   8,   15,  16,   31,   63,   64,   65,
                                127, 128, 129, 130, 255, 256, 257, 1000, 1023, 4096, 11345}) {
      const GuardedBytes in(penstock::testing::noise(n));
      const GuardedBytes out(n);
      Bytes expected(n);
      unshuffle_ref(in.span().data(), n, item_size, expected.data());
      unshuffle(in.span().data(), n, item_size, out.span().data());
      ASSERT_EQ(out.copy(), expected) << "item size " << item_size << ", " << n << " bytes";
    }
  }
}

TEST_P(Unshuffle, undoes_a_shuffle) {
  for (const std::size_t item_size : {2, 4, 8}) {
    const Bytes raw = penstock::testing::noise(1003);
    const Bytes stored = penstock::testing::shuffled(raw, item_size);
    Bytes out(raw.size());
    unshuffle(stored.data(), stored.size(), item_size, out.data());
    EXPECT_EQ(out, raw);
  }
}

std::vector<std::int64_t> targets() { return hwy::SupportedAndGeneratedTargets(); }
std::string target_name(const ::testing::TestParamInfo<std::int64_t>& info) {
  return hwy::TargetName(info.param);
}

INSTANTIATE_TEST_SUITE_P(EveryTarget, Unshuffle, ::testing::ValuesIn(targets()), target_name);

}  // namespace
}  // namespace penstock::internal
