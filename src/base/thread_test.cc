#include "base/thread.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <vector>

namespace penstock {
namespace {

TEST(Thread, RunsAndIsJoined) {
  std::atomic<int> ran{0};
  std::vector<Thread> threads;
  for (int i = 0; i < 20; ++i) {
    auto thread = Thread::start([&ran] { ++ran; });
    ASSERT_TRUE(thread.ok());
    threads.push_back(*std::move(thread));
  }
  for (Thread& thread : threads) thread.join();
  EXPECT_EQ(ran, 20);
  EXPECT_FALSE(threads.front().joinable());
}

TEST(Thread, ItsStackIsDeepEnoughForALargeFrame) {
  int sum = 0;
  auto thread = Thread::start([&sum] {
    volatile char frame[512 << 10];
    for (std::size_t i = 0; i < sizeof(frame); i += 4096) frame[i] = 1;
    sum = frame[0] + frame[4096];
  });
  ASSERT_TRUE(thread.ok());
  thread->join();
  EXPECT_EQ(sum, 2);
}

// Until the system says no: a Status, and what was started can be joined. In a child, whose limit is its own.
TEST(Thread, ARefusedThreadIsAStatus) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers need terabytes of address space";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "sanitizers need terabytes of address space";
#endif
#endif
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit limit{256 << 20, 256 << 20};
    setrlimit(RLIMIT_AS, &limit);
    std::atomic<bool> stop{false};
    std::vector<Thread> threads;
    threads.reserve(4096);
    bool refused = false;
    while (!refused && threads.size() < 4096) {
      auto thread = Thread::start([&stop] {
        while (!stop) usleep(1000);
      });
      refused = !thread.ok();
      if (thread.ok()) threads.push_back(*std::move(thread));
    }
    stop = true;
    for (Thread& thread : threads) thread.join();
    _exit(refused && threads.size() > 10 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace penstock
