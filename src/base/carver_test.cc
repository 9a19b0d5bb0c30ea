#include "base/carver.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/load.h"

namespace penstock {
namespace {

struct Parts {
  std::span<std::byte> odd;
  std::span<std::uint64_t> numbers;
  std::span<std::byte> none, last;
};

Parts parts(Carver& memory) {
  return {memory.bytes(3), memory.array<std::uint64_t>(10), memory.bytes(0), memory.bytes(64)};
}

TEST(Carver, MeasuresWhatItHandsOut) {
  Carver measured;
  const Parts nothing = parts(measured);
  EXPECT_TRUE(nothing.odd.empty() && nothing.numbers.empty() && nothing.last.empty());
  EXPECT_EQ(measured.used(), 64u + 128u + 0u + 64u);

  alignas(Carver::kAlign) std::byte memory[256];
  Carver carver(memory);
  const Parts real = parts(carver);
  EXPECT_EQ(carver.used(), measured.used());
  EXPECT_EQ(real.odd.data(), memory);
  EXPECT_EQ(real.odd.size(), 3u);
  EXPECT_EQ(reinterpret_cast<std::byte*>(real.numbers.data()), memory + 64);
  EXPECT_EQ(real.numbers.size(), 10u);
  EXPECT_TRUE(real.none.empty());
  EXPECT_EQ(real.last.data(), memory + 192);
}

// Sizes from a file: a sum that wrapped would ask for little and hand out much.
TEST(Carver, SizesThatDoNotFitANumberAddUpToTheLargestOne) {
  constexpr ByteCount kMost = ~ByteCount{0};
  Carver bytes;
  bytes.bytes(kMost / 2);
  bytes.bytes(kMost / 2 + 2);
  EXPECT_EQ(bytes.used(), kMost);
  bytes.bytes(64);
  EXPECT_EQ(bytes.used(), kMost);
  Carver rounded;
  rounded.bytes(kMost - 3);
  EXPECT_GE(rounded.used(), kMost - 3);
  Carver elements;
  elements.array<std::uint64_t>(kMost / 8 + 1);
  EXPECT_EQ(elements.used(), kMost);
}

TEST(Load, ReadsAtAnyAlignment) {
  std::byte bytes[1 + 2 * sizeof(std::uint32_t)];
  const std::uint32_t values[] = {7, 0xdeadbeef};
  std::memcpy(bytes + 1, values, sizeof(values));
  EXPECT_EQ(load<std::uint32_t>(bytes + 1), 7u);
  EXPECT_EQ(load<std::uint32_t>(bytes + 1, 1), 0xdeadbeef);
}

}  // namespace
}  // namespace penstock
