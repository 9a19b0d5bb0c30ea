#include "memory/slab.h"

#include <gtest/gtest.h>

#include <cstring>

namespace penstock {
namespace {

TEST(Slab, IsZeroedAndAligned) {
  for (const bool huge : {false, true}) {
    auto slab = Slab::map(5 << 20, huge);
    ASSERT_TRUE(slab.ok());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(slab->data()) % (huge ? 2 << 20 : 4096), 0u);
    for (ByteCount i = 0; i < slab->size(); i += 4096) EXPECT_EQ(slab->data()[i], std::byte{0});
    std::memset(slab->data(), 7, slab->size());
    slab->discard_from(8192);
    EXPECT_EQ(slab->data()[8191], std::byte{7});
    EXPECT_EQ(slab->data()[8192], std::byte{0});
  }
}

TEST(Slab, EmptyAndMoved) {
  Slab a = *Slab::map(0, false);
  EXPECT_EQ(a.size(), 0u);
  Slab b = *Slab::map(4096, false);
  std::byte* p = b.data();
  a = std::move(b);
  EXPECT_EQ(a.data(), p);
}

TEST(Slab, ImpossibleSizeIsAnError) {
  const auto slab = Slab::map(ByteCount{1} << 62, false);
  ASSERT_FALSE(slab.ok());
  EXPECT_EQ(slab.status().code(), StatusCode::budget);
}

}  // namespace
}  // namespace penstock
