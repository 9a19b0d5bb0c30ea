#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "io/file.h"

namespace penstock {
namespace {

class PosixFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/penstock_io_XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  static std::string read(const File& file, ByteOffset offset, std::size_t n) {
    std::string text(n, '?');
    const Status s = file.read_at(offset, std::as_writable_bytes(std::span(text)));
    return s.ok() ? text : s.to_string();
  }
  static std::size_t open_descriptors() {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
    return n;
  }

  std::string folder_;
};

TEST_F(PosixFileTest, ReadsWholeSpans) {
  auto file = open_posix_file(write("a", "0123456789"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->size(), 10u);
  EXPECT_EQ((*file)->label(), folder_ + "/a");
  EXPECT_EQ(read(**file, 3, 4), "3456");
  EXPECT_EQ(read(**file, 10, 0), "");
}

TEST_F(PosixFileTest, PastTheEndIsCorruptAndNamesTheRange) {
  auto file = open_posix_file(write("a", "0123456789"));
  ASSERT_TRUE(file.ok());
  std::byte out[4];
  for (const ByteOffset offset : {ByteOffset{7}, ByteOffset{11}, ~ByteOffset{0}}) {
    const Status s = (*file)->read_at(offset, out);
    EXPECT_EQ(s.code(), StatusCode::corrupt);
    EXPECT_NE(s.message().find(folder_ + "/a"), std::string::npos);
  }
  EXPECT_NE((*file)->read_at(7, out).message().find("4 bytes at 0x7"), std::string::npos);
}

TEST_F(PosixFileTest, WhatIsNotARegularFile) {
  EXPECT_EQ(open_posix_file(folder_ + "/none").status().code(), StatusCode::not_found);
  EXPECT_EQ(open_posix_file(folder_ + "/none").status().system_errno(), ENOENT);
  EXPECT_EQ(open_posix_file(folder_).status().code(), StatusCode::invalid_argument);
  const std::string fifo = folder_ + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(open_posix_file(fifo).status().code(), StatusCode::invalid_argument);
}

TEST_F(PosixFileTest, ShrunkenFileIsAnIoError) {
  const std::string path = write("a", std::string(10000, 'x'));
  auto file = open_posix_file(path);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::truncate(path.c_str(), 100), 0);
  std::vector<std::byte> out(1000);
  const Status s = (*file)->read_at(50, out);
  EXPECT_EQ(s.code(), StatusCode::io_error);
  EXPECT_NE(s.message().find("shrunk"), std::string::npos);
}

TEST_F(PosixFileTest, ManyFilesShareFewDescriptorsAndNoticeReplacement) {
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  rlimit low = old;
  low.rlim_cur = 40;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  std::vector<std::shared_ptr<const File>> files;
  for (int i = 0; i < 200; ++i) {
    auto file = open_posix_file(write("f" + std::to_string(i), "file " + std::to_string(i)));
    ASSERT_TRUE(file.ok()) << file.status().message();
    files.push_back(*file);
    ASSERT_LE(open_descriptors(), 36u);
  }
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 200; ++i) {
      EXPECT_EQ(read(*files[static_cast<std::size_t>(i)], 0, files[static_cast<std::size_t>(i)]->size()),
                "file " + std::to_string(i));
    }
  }
  // f0 is long evicted: another file under its name must not be read for it.
  write("new", "FILE 0");
  std::filesystem::rename(folder_ + "/new", folder_ + "/f0");
  EXPECT_NE(read(*files[0], 0, 6).find("io_error"), std::string::npos);
  std::filesystem::remove(folder_ + "/f1");
  EXPECT_NE(read(*files[1], 0, 6).find("cannot be reopened"), std::string::npos);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
}

TEST_F(PosixFileTest, ManyThreadsUnderEviction) {
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  rlimit low = old;
  low.rlim_cur = 32;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  std::vector<std::shared_ptr<const File>> files;
  for (int i = 0; i < 40; ++i) {
    auto file =
        open_posix_file(write("t" + std::to_string(i), std::string(64, static_cast<char>('0' + i % 10))));
    ASSERT_TRUE(file.ok());
    files.push_back(*file);
  }
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t k = 0; k < 2000; ++k) {
        const std::size_t i = (k * 7 + t * 13) % files.size();
        if (read(*files[i], 10, 5) != std::string(5, static_cast<char>('0' + i % 10))) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
}

}  // namespace
}  // namespace penstock
