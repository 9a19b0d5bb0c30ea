#include "penstock/stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace penstock {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

LoaderStats some_stats() {
  LoaderStats s;
  s.rows = 123;
  s.bytes_read = 45;
  s.worker_idle_seconds = 4;
  s.idle_for_reads_seconds = 1;
  s.idle_for_pages_seconds = 0.5;
  s.memory.limit = 1000;
  s.memory.used_by_tag[4] = 77;
  return s;
}

TEST(LoaderStats, JsonIsOneLine) {
  const std::string text = some_stats().to_json();
  EXPECT_EQ(text.find('\n'), std::string::npos);
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["rows"], 123);
  EXPECT_EQ(json["idle_for_pages_seconds"], 0.5);
  EXPECT_EQ(json["memory"]["used_by_tag"]["window"], 77);
}

TEST(LoaderStats, PrometheusHasEveryFamilyOnce) {
  const std::string text = some_stats().to_prometheus();
  EXPECT_THAT(text,
              HasSubstr("# HELP penstock_rows_total Cells delivered.\n# TYPE penstock_rows_total counter\n"
                        "penstock_rows_total 123\n"));
  EXPECT_THAT(text, HasSubstr("\npenstock_read_bytes_total 45\n"));
  EXPECT_THAT(text, HasSubstr("penstock_worker_idle_seconds_total{reason=\"other\"} 2.5\n"));
  EXPECT_THAT(text, HasSubstr("penstock_memory_bytes{tag=\"window\"} 77\n"));
  EXPECT_EQ(text.back(), '\n');
}

TEST(LoaderStats, PrometheusEscapesLabels) {
  const std::string text =
      some_stats().to_prometheus({{"run", "a\\b \"c\"\nd"}, {"0bad", "x"}, {"__own", "x"}, {"tag", "x"}});
  EXPECT_THAT(text, HasSubstr("penstock_rows_total{run=\"a\\\\b \\\"c\\\"\\nd\"} 123\n"));
  EXPECT_THAT(text, HasSubstr("penstock_memory_bytes{run=\"a\\\\b \\\"c\\\"\\nd\",tag=\"window\"} 77\n"));
  EXPECT_THAT(text, Not(HasSubstr("0bad")));
  EXPECT_THAT(text, Not(HasSubstr("__own")));
}

}  // namespace
}  // namespace penstock
