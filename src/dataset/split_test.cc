#include "dataset/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "anndata/table.h"
#include "anndata/testing/memory_group.h"
#include "dataset/apportion.h"
#include "dataset/group_assignment.h"
#include "dataset/testing/parts.h"

namespace penstock::internal {
namespace {

using namespace penstock::testing;  // NOLINT: the builders
using testing::ample;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Rows;
using testing::rows_of;
using testing::whole;

// A few selections to select from again.
std::vector<Parts> starting_points(MemoryBudget& budget) {
  const Parts all = whole({10, 0, 37, 1, 0, 200});
  std::vector<Parts> out{all, whole({5}), whole({0}), whole({})};
  out.push_back(*select_slice(all, 3, 230, 1, budget));
  out.push_back(*select_slice(all, 1, 248, 3, budget));
  out.push_back(*select_slice(out.back(), 2, 70, 2, budget));
  std::vector<std::uint8_t> mask(248);
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = i % 7 < 3 ? 1 : 0;
  out.push_back(*select_mask(all, mask, budget));
  return out;
}

std::vector<Parts> split_or_die(const Parts& from, const std::vector<double>& fractions, std::uint64_t seed,
                                MemoryBudget& budget) {
  auto out = split(from, fractions, seed, 0, budget);
  EXPECT_TRUE(out.ok()) << out.status().to_string();
  return std::move(out).value();
}

TEST(Split, PartsAreDisjointAndOfExactSize) {
  const auto budget = ample();
  for (const Parts& from : starting_points(*budget)) {
    const Rows rows = rows_of(from);
    const double n = static_cast<double>(rows.size());
    for (const std::vector<double>& fractions : {std::vector<double>{0.9, 0.1},
                                                 {0.7, 0.2, 0.1},
                                                 {1.0 / 3, 1.0 / 3, 1.0 / 3},
                                                 {0.25},
                                                 {1.0},
                                                 {0.0, 1.0}}) {
      const auto parts = split_or_die(from, fractions, 0, *budget);
      std::set<std::int64_t> seen;
      double end = 0, begin = 0;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        const Rows mine = rows_of(parts[i]);
        ASSERT_TRUE(std::is_sorted(mine.begin(), mine.end()));
        ASSERT_EQ(parts[i].size(), from.size());
        end += fractions[i];
        ASSERT_EQ(static_cast<double>(mine.size()), std::nearbyint(end * n) - std::nearbyint(begin * n));
        begin = end;
        for (const std::int64_t row : mine) ASSERT_TRUE(seen.insert(row).second);
      }
      ASSERT_TRUE(std::includes(rows.begin(), rows.end(), seen.begin(), seen.end()));
    }
  }
}

TEST(Split, IsReproducibleFromTheSeed) {
  const auto budget = ample();
  const Parts all = whole({100, 900});
  const auto a = split_or_die(all, {0.5, 0.5}, 1, *budget), b = split_or_die(all, {0.5, 0.5}, 1, *budget),
             c = split_or_die(all, {0.5, 0.5}, 2, *budget);
  EXPECT_EQ(rows_of(a[0]), rows_of(b[0]));
  EXPECT_NE(rows_of(a[0]), rows_of(c[0]));
  // Spread over the whole: each file gives about half.
  EXPECT_NEAR(static_cast<double>(a[0][0].n_selected), 50, 20);
}

TEST(Split, LargeSetsAreSplitByRuns) {
  const auto budget = ample();
  const std::uint64_t n = 1'000'003;
  const Parts all = whole({n / 3, n - n / 3});
  const auto parts = split_or_die(all, {0.8, 0.15, 0.05}, 9, *budget);
  std::uint64_t total = 0;
  std::vector<std::uint8_t> owner(n, 0);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    for (const std::int64_t row : rows_of(parts[i])) {
      ASSERT_EQ(owner[static_cast<std::size_t>(row)], 0);
      owner[static_cast<std::size_t>(row)] = static_cast<std::uint8_t>(i + 1);
    }
    total += selected_rows(parts[i]);
  }
  EXPECT_EQ(total, n);
  EXPECT_EQ(selected_rows(parts[0]), 800'002u);
  // Rows change hands at the borders of runs of 256, and at most twice elsewhere (where a part ends in a
  // run).
  int elsewhere = 0;
  for (std::size_t i = 1; i < n; ++i) elsewhere += owner[i] != owner[i - 1] && i % 256 != 0 ? 1 : 0;
  EXPECT_LE(elsewhere, 2);
  // A selection of such a set is split by runs of its own positions.
  const Parts odd = *select_slice(whole({3 * n}), 0, 3 * n, 2, *budget);
  const auto halves = split_or_die(odd, {0.5, 0.5}, 9, *budget);
  EXPECT_EQ(selected_rows(halves[0]) + selected_rows(halves[1]), selected_rows(odd));
}

TEST(Split, BadFractionsAreRefused) {
  const auto budget = ample();
  const Parts all = whole({10});
  for (const std::vector<double>& bad : {std::vector<double>{},
                                         {-0.1},
                                         {0.6, 0.6},
                                         {std::nan("")},
                                         {std::numeric_limits<double>::infinity()}}) {
    EXPECT_EQ(split(all, bad, 0, 0, *budget).status().code(), StatusCode::invalid_argument);
  }
}

TEST(Split, UnitIsTheLengthOfRuns) {
  const auto budget = ample();
  const Parts all = whole({300, 700});
  const auto parts = split(all, std::vector{0.5, 0.5}, 3, 100, *budget).value();
  for (const Parts& part : parts) {
    const Rows rows = rows_of(part);
    ASSERT_EQ(rows.size(), 500u);
    for (std::size_t i = 0; i < rows.size(); ++i)
      ASSERT_EQ(rows[i] % 100, static_cast<std::int64_t>(i % 100));
  }
  // Longer than everything: cut once.
  const auto halves = split(all, std::vector{0.5, 0.5}, 3, ~std::uint64_t{0}, *budget).value();
  EXPECT_EQ(rows_of(halves[0]).back(), 499);
}

TEST(Split, SinglesOfASeedStayWhatTheyWere) {
  const auto budget = ample();
  const Rows rows = rows_of(split_or_die(whole({4, 6}), {0.3, 0.7}, 7, *budget)[0]);
  EXPECT_THAT(rows, ElementsAre(0, 5, 6));
}

// --- apportion ---

void expect_rounded(const std::vector<std::uint64_t>& sizes, const std::vector<double>& shares,
                    std::uint64_t seed) {
  const auto budget = ample();
  const auto table = apportion(sizes, shares, seed, *budget);
  ASSERT_TRUE(table.ok()) << table.status().to_string();
  const auto near = [](std::uint64_t have, double want) {
    ASSERT_GE(static_cast<double>(have), std::floor(want + 1e-6));
    ASSERT_LE(static_cast<double>(have), std::ceil(want - 1e-6));
  };
  std::uint64_t n = 0;
  std::vector<std::uint64_t> totals(shares.size(), 0);
  for (std::size_t s = 0; s < sizes.size(); ++s) {
    std::uint64_t sum = 0;
    for (std::size_t p = 0; p < shares.size(); ++p) {
      const std::uint64_t count = table->counts[s * shares.size() + p];
      near(count, shares[p] * static_cast<double>(sizes[s]));
      sum += count;
      totals[p] += count;
    }
    ASSERT_EQ(sum, sizes[s]);
    n += sizes[s];
  }
  for (std::size_t p = 0; p < shares.size(); ++p) near(totals[p], shares[p] * static_cast<double>(n));
}

TEST(Apportion, EveryCountAndTotalIsRight) {
  std::mt19937_64 random(1);
  for (std::uint64_t round = 0; round < 400; ++round) {
    std::vector<std::uint64_t> sizes(random() % 40);
    for (auto& size : sizes) size = random() % (round % 3 == 0 ? 3 : 60);
    std::vector<double> shares(1 + random() % 9);
    double sum = 0;
    for (auto& share : shares) sum += share = static_cast<double>(random() % (round % 2 == 0 ? 1000 : 3));
    if (sum == 0) sum = shares[0] = 1;
    for (auto& share : shares) share /= sum;
    expect_rounded(sizes, shares, round);
  }
  expect_rounded(std::vector<std::uint64_t>(1000, 1), std::vector<double>(10, 0.1), 0);
  expect_rounded(std::vector<std::uint64_t>(3, 4'000'000'001), {0.8, 0.1, 0.1}, 0);
}

TEST(Apportion, TablesAreReserved) {
  const auto small = MemoryBudget::create(1000);
  EXPECT_EQ(apportion(std::vector<std::uint64_t>(1000, 5), std::vector{0.5, 0.5}, 0, *small).status().code(),
            StatusCode::budget);
  EXPECT_EQ(small->usage().used, 0u);
}

// --- groups ---

GroupRows groups_of(const std::vector<std::uint64_t>& sizes) {
  GroupRows out;
  out.sizes = {0};
  for (const std::uint64_t size : sizes) {
    out.strata.push_back(0);
    out.rows.push_back(size);
    out.begins.push_back(out.rows.size());
    out.sizes[0] += size;
  }
  return out;
}

std::vector<std::uint64_t> rows_by_part(const std::vector<std::uint64_t>& sizes,
                                        const std::vector<double>& shares, std::uint64_t seed) {
  const auto budget = ample();
  const auto part_of = assign_groups(groups_of(sizes), shares, shares.size(), seed, *budget).value();
  std::vector<std::uint64_t> out(shares.size(), 0);
  for (std::size_t g = 0; g < sizes.size(); ++g) out[part_of[g]] += sizes[g];
  EXPECT_EQ(budget->usage().used, 0u);
  return out;
}

TEST(GroupAssignment, SharesAreMetWhereGroupsAllow) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_THAT(rows_by_part(std::vector<std::uint64_t>(10, 7), {0.8, 0.1, 0.1}, seed),
                ElementsAre(56, 7, 7));
    EXPECT_THAT(rows_by_part({50, 30, 10, 5, 5}, {0.5, 0.5}, seed), ElementsAre(50, 50));
    // Small fractions still get a group.
    const auto sparse = rows_by_part(std::vector<std::uint64_t>(10, 7), {0.9, 0.05, 0.05}, seed);
    EXPECT_THAT(sparse, ElementsAre(56, 7, 7));
    EXPECT_THAT(rows_by_part({100, 1}, {0.5, 0, 0.5}, seed)[1], 0u);
  }
  // Many groups of any size: within the smallest few.
  std::mt19937_64 random(2);
  std::vector<std::uint64_t> sizes(200);
  double n = 0;
  for (auto& size : sizes) n += static_cast<double>(size = 1 + random() % 500);
  const auto rows = rows_by_part(sizes, {0.8, 0.1, 0.1}, 5);
  EXPECT_NEAR(static_cast<double>(rows[0]), 0.8 * n, 0.005 * n);
  EXPECT_NEAR(static_cast<double>(rows[1]), 0.1 * n, 0.005 * n);
}

TEST(GroupAssignment, SeedsDiffer) {
  const auto budget = ample();
  const GroupRows groups = groups_of(std::vector<std::uint64_t>(30, 4));
  const std::vector<double> shares{0.5, 0.5};
  const auto a = assign_groups(groups, shares, 2, 1, *budget).value();
  EXPECT_EQ(a, assign_groups(groups, shares, 2, 1, *budget).value());
  EXPECT_NE(a, assign_groups(groups, shares, 2, 2, *budget).value());
}

// --- columns ---

struct Table {
  Table() {
    std::vector<ObsTable::File> files;
    const auto add = [&](const char* path, const MemoryGroup::Children& columns) {
      files.push_back({path, anndata::make_table(*anndata::Frame::open(frame(path, 4, columns)))});
    };
    add("a.h5ad", {{"donor", categorical({0, 1, -1, 0}, {"x", "y"})},
                   {"batch", numbers<std::int64_t>({7, 7, -1, 7})},
                   {"text", strings({"p", "q", "p", "q"})},
                   {"maybe", nullable("nullable-integer", numbers<std::int64_t>({0, 0, 5, 0}), {0, 1, 0, 1})},
                   {"score", numbers<float>({1, 2, 3, 4})}});
    add("b.h5ad", {{"donor", categorical({1, 0, 0, -1}, {"new", "x"})},
                   {"batch", numbers<std::int16_t>({7, -1, 7, -1})},
                   {"text", strings({"r", "p", "q", "r"})},
                   {"maybe", numbers<std::int64_t>({5, 0, 0, 1})},
                   {"score", numbers<float>({1, 2, 3, 4})}});
    obs = std::make_unique<ObsTable>(std::move(files), budget);
  }
  std::vector<std::uint32_t> keys(const std::vector<std::string>& columns, const Parts& parts,
                                  const std::vector<std::int32_t>* labels = nullptr) const {
    const auto keys = RowKeys::read(*obs, columns, labels, parts, *budget);
    EXPECT_TRUE(keys.ok()) << keys.status().to_string();
    std::vector<std::uint32_t> out;
    for (std::uint64_t i = 0; i < keys->n_rows(); ++i) out.push_back((*keys)[i]);
    return out;
  }
  std::shared_ptr<MemoryBudget> budget = ample();
  std::unique_ptr<ObsTable> obs;
  Parts parts = whole({4, 4});
};

TEST(RowKeys, NumbersByFirstAppearanceOverAllFiles) {
  const Table t;
  EXPECT_THAT(t.keys({"donor"}, t.parts), ElementsAre(0, 1, 2, 0, 0, 3, 3, 2));
  EXPECT_THAT(t.keys({"batch"}, t.parts), ElementsAre(0, 0, 1, 0, 0, 1, 0, 1));
  EXPECT_THAT(t.keys({"text"}, t.parts), ElementsAre(0, 1, 0, 1, 2, 0, 1, 2));
  EXPECT_THAT(t.keys({"maybe"}, t.parts), ElementsAre(0, 1, 2, 1, 2, 0, 0, 3));
  EXPECT_THAT(t.keys({"batch", "text"}, t.parts), ElementsAre(0, 1, 2, 1, 3, 2, 1, 4));
  EXPECT_THAT(t.keys({"donor"}, *select_slice(t.parts, 1, 8, 2, *t.budget)), ElementsAre(0, 1, 2, 3));
  EXPECT_TRUE(t.keys({"donor"}, *select_slice(t.parts, 0, 0, 1, *t.budget)).empty());
  const Status score =
      RowKeys::read(*t.obs, std::vector<std::string>{"score"}, nullptr, t.parts, *t.budget).status();
  EXPECT_EQ(score.code(), StatusCode::invalid_argument);
  EXPECT_THAT(score.message(), HasSubstr("pandas.cut"));
}

TEST(RowKeys, LabelsThatAreNoColumn) {
  const Table t;
  const std::vector<std::int32_t> labels{5, 5, -1, 0, -7, 5, 1'000'000, 0};
  EXPECT_THAT(t.keys({}, t.parts, &labels), ElementsAre(0, 0, 1, 2, 1, 0, 3, 2));
  EXPECT_THAT(t.keys({"batch"}, t.parts, &labels), ElementsAre(0, 0, 1, 2, 3, 4, 5, 6));
  const Parts some = *select_slice(t.parts, 1, 8, 3, *t.budget);
  const std::vector<std::int32_t> three{2, 2, 1};
  EXPECT_THAT(t.keys({}, some, &three), ElementsAre(0, 0, 1));
  const Status status = RowKeys::read(*t.obs, {}, &labels, some, *t.budget).status();
  EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  EXPECT_THAT(status.message(), HasSubstr("8 labels for 3 selected rows"));
}

TEST(RowKeys, LabelsAreCounted) {
  const Table t;
  const std::vector<std::int32_t> labels(1'000'000);
  const Parts parts = whole({labels.size()});
  for (const std::uint64_t bytes : {500'000, 4'500'000}) {
    const auto budget = MemoryBudget::create(bytes);
    EXPECT_EQ(RowKeys::read(*t.obs, {}, &labels, parts, *budget).status().code(), StatusCode::budget);
    EXPECT_EQ(budget->usage().used, 0u);
  }
  const auto budget = MemoryBudget::create(6'000'000);
  const auto keys = RowKeys::read(*t.obs, {}, &labels, parts, *budget);
  ASSERT_TRUE(keys.ok());
  EXPECT_LT(budget->usage().used, 1'100'000u);  // the labels themselves are given back
}

TEST(RowKeys, WidenAndGiveBack) {
  const auto budget = MemoryBudget::create(20'000'000);
  std::vector<std::int32_t> ids(70'000);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i * 7 % 69'000);
  std::vector<ObsTable::File> files{
      {"a.h5ad", anndata::make_table(*anndata::Frame::open(
                     frame("a.h5ad", ids.size(), {{"id", numbers<std::int32_t>(ids)}})))}};
  const ObsTable obs(std::move(files), budget);
  const Parts parts = whole({ids.size()});
  {
    const auto keys = RowKeys::read(obs, std::vector<std::string>{"id"}, nullptr, parts, *budget).value();
    ASSERT_EQ(keys.size(), 69'000u);
    EXPECT_GE(keys.held_bytes(), 4 * ids.size());
    for (std::size_t i = 0; i < 69'000; ++i) ASSERT_EQ(keys[i], i);
    EXPECT_EQ(keys[69'000], 0u);
  }
  EXPECT_LT(budget->usage().used, 10'000u);
  const auto small = MemoryBudget::create(1'000'000);
  EXPECT_EQ(RowKeys::read(obs, std::vector<std::string>{"id"}, nullptr, parts, *small).status().code(),
            StatusCode::budget);
}

TEST(SplitGroups, StayWholeAndTooFewAreRefused) {
  const Table t;
  const auto groups =
      RowKeys::read(*t.obs, std::vector<std::string>{"donor"}, nullptr, t.parts, *t.budget).value();
  const auto parts = split_groups(t.parts, std::vector{0.5, 0.5}, 0, groups, nullptr, *t.budget).value();
  std::map<std::uint32_t, std::size_t> part_of;
  std::size_t n = 0;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    for (const std::int64_t row : rows_of(parts[p])) {
      ASSERT_EQ(part_of.try_emplace(groups[static_cast<std::uint64_t>(row)], p).first->second, p);
      ++n;
    }
  }
  EXPECT_EQ(n, 8u);
  const Status few =
      split_groups(t.parts, std::vector<double>(5, 0.2), 0, groups, nullptr, *t.budget).status();
  EXPECT_EQ(few.code(), StatusCode::invalid_argument);
  EXPECT_THAT(few.message(), HasSubstr("5 parts need a group each; groups in the selected rows: 4"));
  EXPECT_EQ(split_groups(t.parts, std::vector{0.9, 0.9}, 0, groups, nullptr, *t.budget).status().code(),
            StatusCode::invalid_argument);
}

}  // namespace
}  // namespace penstock::internal
