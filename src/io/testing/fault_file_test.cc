#include "io/testing/fault_file.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "io/testing/memory_file.h"

namespace penstock::testing {
namespace {

std::shared_ptr<FaultFile> make(Faults faults = {}) {
  std::vector<std::byte> bytes(100);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  return std::make_shared<FaultFile>(std::make_shared<MemoryFile>(std::move(bytes), "m"), std::move(faults));
}

TEST(FaultFileTest, CountsAndPassesThrough) {
  auto file = make();
  std::byte out[10];
  ASSERT_TRUE(file->read_at(20, out).ok());
  EXPECT_EQ(out[3], std::byte{23});
  EXPECT_EQ(file->reads(), 1u);
  EXPECT_EQ(file->bytes_read(), 10u);
  EXPECT_EQ(file->label(), "m");
}

TEST(FaultFileTest, FailsTheNthReadOnce) {
  auto file = make({.fail_nth_read = 2});
  std::byte out[10];
  EXPECT_TRUE(file->read_at(0, out).ok());
  const Status s = file->read_at(0, out);
  EXPECT_EQ(s.code(), StatusCode::io_error);
  EXPECT_EQ(s.system_errno(), EIO);
  EXPECT_TRUE(file->read_at(0, out).ok());
}

TEST(FaultFileTest, FailsAtAByteAfterAShortRead) {
  auto file = make({.fail_at = 50, .short_before_error = true});
  std::byte out[10] = {};
  EXPECT_TRUE(file->read_at(40, out).ok());
  EXPECT_EQ(file->read_at(46, out).code(), StatusCode::io_error);
  EXPECT_EQ(out[0], std::byte{46});
}

TEST(FaultFileTest, FlipsTruncatesShrinks) {
  auto file = make({.flips = {{.offset = 5, .mask = 0x80}}});
  std::byte out[10];
  ASSERT_TRUE(file->read_at(0, out).ok());
  EXPECT_EQ(out[5], std::byte{0x85});
  file->set({.truncate_to = 50});
  EXPECT_EQ(file->size(), 50u);
  EXPECT_EQ(file->read_at(45, out).code(), StatusCode::corrupt);
  file->set({.shrink_to = 50});
  EXPECT_EQ(file->size(), 100u);
  EXPECT_EQ(file->read_at(45, out).code(), StatusCode::io_error);
}

TEST(FaultFileTest, ShortReadsAndInterruptsAreGoneOnWith) {
  auto file = make({.short_reads = true, .interrupts = true});
  std::byte out[100];
  ASSERT_TRUE(file->read_at(0, out).ok());
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(out[i], static_cast<std::byte>(i));
}

TEST(FaultFileTest, FailsForEverAndVanishes) {
  auto file = make({.fail_nth_read = 2, .fail_for_ever = true});
  std::byte out[10];
  EXPECT_TRUE(file->read_at(0, out).ok());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(file->read_at(0, out).system_errno(), EIO);
  file->set({.vanish_at_read = 1});
  EXPECT_EQ(file->read_at(0, out).system_errno(), ENOENT);
}

}  // namespace
}  // namespace penstock::testing
