#include "loader/residency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "loader/testing/batch_rows.h"
#include "loader/testing/fake_dataset.h"
#include "penstock/loader.h"

namespace penstock::loader {
namespace {

Residency of(ByteCount offsets, ByteCount labels, bool dear, ByteCount csr_batch = 0, ByteCount batch = 0) {
  return choose_residency({1600, 75, offsets, labels, dear, csr_batch, batch});
}

TEST(Residency, OffsetsAreKeptByWhatReadingThemAgainCosts) {
  const Residency both{.offsets = true, .labels = true}, none{}, labels{.labels = true},
      offsets{.offsets = true};
  EXPECT_EQ(of(100, 60, false), both);
  EXPECT_EQ(of(160, 160, false), both) << "a tenth for offsets, a fifth for both";
  EXPECT_EQ(of(160, 161, false), offsets);
  EXPECT_EQ(of(161, 160, false), labels) << "they are cheap to read again";
  EXPECT_EQ(of(161, 159, true), both);
  EXPECT_EQ(of(533, 0, true), offsets) << "labels would be above their fifth";
  EXPECT_EQ(of(534, 320, true), labels);
  EXPECT_EQ(of(534, 321, true), none);
}

// Half of 1,600 without 75 of metadata and 25 for reading are 700.
TEST(Residency, OffsetsLeaveRoomForBatches) {
  EXPECT_TRUE(of(500, 0, true, 50).offsets);
  EXPECT_EQ(of(500, 0, true, 50).window_less, 0u);
  EXPECT_TRUE(of(500, 0, true, 75).offsets) << "400 are left, and 100 of the window";
  EXPECT_EQ(of(500, 0, true, 75).window_less, 100u);
  EXPECT_FALSE(of(500, 0, true, 76).offsets);
  EXPECT_EQ(of(500, 0, true, 76).window_less, 0u);
  EXPECT_FALSE(of(140, 0, false, 141).offsets) << "the window gives up nothing for what is cheap";
  EXPECT_FALSE(of(140, 0, true, 1000).offsets);
}

TEST(Residency, MemoryThatKeepsDoes) {
  for (const ByteCount offsets : {100, 534, 20'000})
    for (const ByteCount batch : {0, 100, 5000})
      for (const bool dear : {false, true}) {
        ResidencyInput in{1600, 75, offsets, 0, dear, batch, batch};
        in.memory = memory_that_keeps(in);
        EXPECT_TRUE(choose_residency(in).offsets);
        --in.memory;
        EXPECT_FALSE(choose_residency(in).offsets);
      }
}

TEST(Residency, LabelsAndTheBatchesAskedForDecideNothingAboutOffsets) {
  for (const ByteCount label_bytes : {0, 100, 1000})
    for (const ByteCount batch : {0, 100, 1000}) {
      EXPECT_TRUE(of(500, label_bytes, true, 75, batch).offsets);
      EXPECT_EQ(of(500, label_bytes, true, 75, batch).window_less, 100u);
    }
  EXPECT_TRUE(of(100, 220, false, 0, 95).labels);
  EXPECT_FALSE(of(100, 220, false, 0, 96).labels) << "no room beside dense batches";
  EXPECT_TRUE(of(100, 60, false, 0, 1000).labels) << "a tenth, as always";
}

// Offsets of 300 bytes a row, in chunks that a block of 170 rows would pay for.
std::shared_ptr<const Dataset> heavy() {
  testing::FakeSpec spec;
  spec.files = {{1200, 30, 7}, {2500, 30, 13}};
  spec.offset_bytes = 300;
  spec.offset_chunk = 8000;
  return std::make_shared<Dataset>(std::make_shared<testing::FakeDataset>(std::move(spec)));
}

Result<std::unique_ptr<Loader>> create(ByteCount memory) {
  LoaderOptions o;
  o.batch_size = 1024;
  o.memory = memory;
  o.obs = {"label"};
  o.threads = 2;
  return Loader::create(heavy(), o);
}

TEST(Residency, MoreMemoryKeepsWhatLessDid) {
  bool beside_window = false, kept = false;
  for (ByteCount memory = 3'000'000; memory < 12'000'000; memory += 250'000) {
    SCOPED_TRACE(memory);
    auto loader = create(memory);
    ASSERT_TRUE(loader.ok()) << loader.status().to_string();
    const Plan& plan = (*loader)->plan();
    const bool noted = std::any_of(plan.notes.begin(), plan.notes.end(),
                                   [](const Note& n) { return n.kind == NoteKind::offsets_reread; });
    EXPECT_EQ(noted, !plan.resident_offsets && plan.block_rows < 160);
    // 3,700 rows take 1.1 MB, which is a third of 3.33 MB.
    if (memory < 3'300'000) EXPECT_FALSE(plan.resident_offsets);
    EXPECT_TRUE(plan.resident_offsets || !kept);
    kept = kept || plan.resident_offsets;
    beside_window = beside_window || (plan.resident_offsets && memory < 4'500'000);
    EXPECT_LE((*loader)->stats().memory.peak, memory);
    ASSERT_TRUE((*loader)->start_epoch().ok());
    EXPECT_EQ(testing::read_epoch(**loader).size(), (*loader)->n_batches());
  }
  EXPECT_TRUE(kept && beside_window);
}

// The order of rows: what else a Dataset holds and how batches look must not change it.
TEST(Residency, TheWindowIsThatOfDataAndMemory) {
  for (ByteCount memory = 3'000'000; memory < 6'000'000; memory += 125'000) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> windows;
    for (const BatchFormat format : {BatchFormat::csr, BatchFormat::dense}) {
      for (const bool labels : {false, true}) {
        LoaderOptions o;
        o.batch_size = 64;
        o.memory = memory;
        o.format = format;
        if (labels) o.obs = {"label"};
        const auto loader = Loader::create(heavy(), o);
        if (loader.ok())
          windows.emplace_back((*loader)->plan().block_rows, (*loader)->plan().resident_offsets);
      }
    }
    ASSERT_FALSE(windows.empty());
    for (const auto& window : windows) EXPECT_EQ(window, windows.front()) << memory;
  }
}

}  // namespace
}  // namespace penstock::loader
