#include "engine/recorder.h"

#include <gtest/gtest.h>

#include <chrono>

namespace penstock::loader {
namespace {

LoaderSample sample_at(double seconds) {
  LoaderSample s;
  s.seconds = seconds;
  s.rows = static_cast<std::uint64_t>(seconds * 1000);
  return s;
}

TEST(Recorder, KeepsEverySampleOfAShortRun) {
  Recorder r;
  for (int i = 0; i < 100; ++i) {
    const double t = i * Recorder::kFirstInterval;
    ASSERT_TRUE(r.due(t + 1e-9));
    r.add(sample_at(t));
    ASSERT_FALSE(r.due(t + 0.9 * Recorder::kFirstInterval));
  }
  ASSERT_EQ(r.samples().size(), 100u);
  EXPECT_DOUBLE_EQ(r.samples()[99].seconds, 99 * Recorder::kFirstInterval);
}

TEST(Recorder, GetsCoarserAndNeverLarger) {
  Recorder r;
  double last = 0;
  for (double t = 0; t < 60; t += 1e-4) {
    if (!r.due(t)) continue;
    r.add(sample_at(t));
    last = t;
    ASSERT_LE(r.samples().size(), Recorder::kSamples);
  }
  const auto samples = r.samples();
  EXPECT_GE(samples.size(), Recorder::kSamples / 2 - 1);
  EXPECT_DOUBLE_EQ(samples.back().seconds, last);
  EXPECT_LT(samples.front().seconds, 1.1 * r.interval());
  for (std::size_t i = 1; i < samples.size(); ++i) {
    EXPECT_GT(samples[i].seconds, samples[i - 1].seconds);
    EXPECT_GE(samples[i].rows, samples[i - 1].rows);
    EXPECT_LE(samples[i].seconds - samples[i - 1].seconds, 1.1 * r.interval());
  }
}

// Samples that come without being due (the end of an epoch) cannot overflow it either.
TEST(Recorder, TakesAnyNumberOfForcedSamples) {
  Recorder r;
  for (int i = 0; i < 10'000; ++i) r.add(sample_at(i));
  EXPECT_LE(r.samples().size(), Recorder::kSamples);
  EXPECT_DOUBLE_EQ(r.samples().back().seconds, 9999);
}

}  // namespace
}  // namespace penstock::loader
