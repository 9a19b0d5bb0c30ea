// The most entries of batches in file order, against every run of rows.
#include "loader/ordered_entries.h"

#include <gtest/gtest.h>

#include "loader/testing/fake_dataset.h"

namespace penstock::loader {
namespace {

using penstock::testing::fake_row;
using penstock::testing::FakeDataset;
using penstock::testing::FakeSpec;

// Entries of the fullest run of so many selected rows.
std::uint64_t fullest(const FakeDataset& data, const std::vector<std::uint64_t>& rows, std::uint64_t run) {
  std::vector<std::uint64_t> before = {0};
  for (const std::uint64_t row : rows)
    before.push_back(before.back() + fake_row(data.spec, data.means[row], row).ids.size());
  std::uint64_t most = 0;
  for (std::size_t i = 0; i + 1 < before.size(); ++i)
    most = std::max(most, before[std::min(i + run, before.size() - 1)] - before[i]);
  return most;
}

TEST(OrderedEntries, BoundsEveryRunOfFourBatches) {
  for (const std::uint64_t batch : {1, 64, 300, 5000}) {
    for (const std::uint64_t every : {1, 7, 900}) {
      FakeSpec spec;
      spec.files = {{700, 5}, {1, 90}, {0, 5}, {2300, 40}, {900, 2}};
      FakeDataset data(spec);
      if (every > 1) data.select([&](std::uint64_t row) { return row % every == 3; });
      std::vector<std::uint64_t> rows;
      for (std::uint64_t row = 0; row < 3901; ++row) {
        if (every == 1 || row % every == 3) rows.push_back(row);
      }
      const std::uint64_t bound = ordered_entries(data.parts(), batch);
      const std::uint64_t truth = fullest(data, rows, 4 * batch);
      EXPECT_GE(bound, truth) << batch << " of every " << every;
      // Whole pieces of 64 rows or a batch count, at both ends of a run.
      if (every == 1) EXPECT_LE(bound, fullest(data, rows, 6 * std::max<std::uint64_t>(batch, 64))) << batch;
    }
  }
}

TEST(OrderedEntries, OfNothing) {
  FakeSpec spec;
  spec.files = {{700}};
  FakeDataset data(spec);
  data.select([](std::uint64_t) { return false; });
  EXPECT_EQ(ordered_entries(data.parts(), 64), 0u);
}

}  // namespace
}  // namespace penstock::loader
