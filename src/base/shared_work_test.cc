#include "base/shared_work.h"

#include <gtest/gtest.h>

#include <chrono>
#include <semaphore>
#include <thread>
#include <vector>

namespace penstock {
namespace {

// As an engine's worker: helps whenever there is something to help with.
class Helper {
 public:
  explicit Helper(SharedWork& work)
      : thread_([this, &work] {
          while (!stop_) {
            if (work.offered()) work.help();
            std::this_thread::yield();
          }
        }) {}
  ~Helper() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

TEST(SharedWork, ACallerAloneDoesAllOfIt) {
  SharedWork work;
  std::vector<int> done(100);
  work.run(done.size(), [&](std::size_t i) { ++done[i]; });
  EXPECT_EQ(done, std::vector<int>(100, 1));
  EXPECT_FALSE(work.offered());
  work.run(0, [](std::size_t) { FAIL(); });
}

TEST(SharedWork, EachPartOnceWhoeverHelps) {
  SharedWork work;
  Helper one(work);
  Helper two(work);
  for (int round = 0; round < 2000; ++round) {
    std::vector<int> done(static_cast<std::size_t>(round % 7));
    work.run(done.size(), [&](std::size_t i) { ++done[i]; });
    ASSERT_EQ(done, std::vector<int>(done.size(), 1)) << round;
  }
}

TEST(SharedWork, ThreadsHelpWhileTheCallerIsBusy) {
  SharedWork work;
  std::binary_semaphore woken(0), helped(0);
  work.on_offer([&] { woken.release(); });
  std::thread helper([&] {
    woken.acquire();
    work.help();
  });
  const auto caller = std::this_thread::get_id();
  // The caller's part ends only when the other one was done by the helper.
  work.run(2, [&](std::size_t) {
    if (std::this_thread::get_id() == caller) {
      EXPECT_TRUE(helped.try_acquire_for(std::chrono::seconds(120)));
    } else {
      helped.release();
    }
  });
  helper.join();
}

TEST(SharedWork, SeveralCallersAtOnce) {
  SharedWork work;
  Helper helper(work);
  std::vector<std::thread> callers;
  std::atomic<int> done = 0;
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) work.run(5, [&](std::size_t) { ++done; });
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(done, 3 * 200 * 5);
}

}  // namespace
}  // namespace penstock
