#include "plan/record_layout.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace penstock::plan {
namespace {

constexpr std::uint32_t kMostEntries = std::numeric_limits<std::uint32_t>::max();

TEST(RecordLayout, IdsAreAsNarrowAsColumnsAllow) {
  EXPECT_EQ(RecordLayout::id_bytes(0), 2u);
  EXPECT_EQ(RecordLayout::id_bytes(65'536), 2u) << "the last column is 65,535";
  EXPECT_EQ(RecordLayout::id_bytes(65'537), 4u);
  EXPECT_EQ(RecordLayout(ColIndex{1} << 32, 0, false).id_bytes(), 4u);
}

TEST(RecordLayout, TheFixedPartHoldsWhatTravels) {
  EXPECT_EQ(RecordLayout().fixed_bytes(), 8u) << "the row number";
  EXPECT_EQ(RecordLayout(100, 12, false).fixed_bytes(), 20u);
  EXPECT_EQ(RecordLayout(100, 12, true).fixed_bytes(), 28u);
  EXPECT_FALSE(RecordLayout(100, 12, false).has_total());
  EXPECT_EQ(RecordLayout(100, 12, true, 200).fixed_bytes(), 228u);
  EXPECT_EQ(RecordLayout(100, 12, true, 200).obsm_bytes(), 200u);
}

TEST(RecordLayout, PartsLieBehindEachOtherAndEndWithTheRecord) {
  for (const ColIndex n_cols : {ColIndex{100}, ColIndex{100'000}}) {
    for (const ByteCount labels : {0, 4, 12, 512}) {
      for (const ByteCount obsm : {0, 7, 200}) {
        const bool total = obsm != 7;
        const RecordLayout layout(n_cols, labels, total, obsm);
        std::vector<std::byte> memory(layout.bytes(3, 6));
        std::byte* const record = memory.data();
        EXPECT_EQ(layout.labels(record), record + 8);
        EXPECT_EQ(layout.obsm(record), record + 8 + labels + (total ? 8 : 0));
        EXPECT_EQ(layout.ids(record), layout.obsm(record) + obsm);
        EXPECT_EQ(layout.ids(record), record + layout.fixed_bytes());
        EXPECT_EQ(layout.values(record, 3), layout.ids(record) + 3 * layout.id_bytes());
        EXPECT_EQ(layout.values(record, 3) + 6, record + memory.size());
      }
    }
  }
}

TEST(RecordLayout, WhatIsWrittenIsReadAndNothingElseChanges) {
  const RecordLayout layout(100, 4, true);
  // At an odd address: nothing in a record is aligned but by chance.
  std::vector<std::byte> memory(1 + layout.bytes(0, 0), std::byte{0x5a});
  std::byte* const record = memory.data() + 1;
  RecordLayout::set_row_number(record, -1);
  layout.set_total(record, 1234.5);
  EXPECT_EQ(RecordLayout::row_number(record), -1);
  EXPECT_EQ(layout.total(record), 1234.5);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(layout.labels(record)[i], std::byte{0x5a}) << i;
  RecordLayout::set_row_number(record, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(RecordLayout::row_number(record), std::numeric_limits<std::int64_t>::max());
}

TEST(RecordLayout, PagesAreTakenInWholeSteps) {
  EXPECT_EQ(RecordLayout::taken(1), RecordLayout::kAlign);
  EXPECT_EQ(RecordLayout::taken(RecordLayout::kAlign), RecordLayout::kAlign);
  EXPECT_EQ(RecordLayout::taken(RecordLayout::kAlign + 1), 2 * RecordLayout::kAlign);
}

TEST(RecordLayout, TheLongestRowIsCountedInFull) {
  const RecordLayout layout(ColIndex{1} << 32, 512, true);
  const ByteCount values = ByteCount{kMostEntries} * 8;
  EXPECT_EQ(layout.bytes(kMostEntries, values), 8 + 512 + 8 + ByteCount{kMostEntries} * 12);
  // The largest record that a row may have is not built: where its values begin follows from its size.
  EXPECT_EQ(layout.bytes(kMostEntries, 0), 8 + 512 + 8 + ByteCount{kMostEntries} * 4);
}

TEST(RecordLayout, ThePlanDoesNotDependOnLabels) {
  const RecordLayout bare(62'710, 0, false), laden(62'710, 512, true);
  EXPECT_EQ(bare.planned_bytes(1'399.5, 1.25), laden.planned_bytes(1'399.5, 1.25));
  EXPECT_EQ(bare.planned_bytes(0, 4), RecordLayout::kPlannedFixed) << "a row without entries";
  // 24 + ceil(10.2 * (2 + 1)) = 55, in steps of 8.
  EXPECT_EQ(bare.planned_bytes(10.2, 1), 56u);
  EXPECT_EQ(RecordLayout(100'000, 0, false).planned_bytes(10, 1), 80u) << "24 + 10 * 5, in steps of 8";
}

TEST(RecordLayout, VectorsOfObsmArePlannedFor) {
  const RecordLayout bare(62'710, 0, false), beside(62'710, 512, true, 200);
  EXPECT_EQ(beside.planned_bytes(1'399.5, 1.25), bare.planned_bytes(1'399.5, 1.25) + 200);
  const RecordLayout widest(62'710, 0, false, RecordLayout::kMostObsm - 1);
  EXPECT_GE(widest.planned_bytes(0, 4), RecordLayout::kMostObsm);
  EXPECT_EQ(widest.planned_bytes(1e300, 4), RecordLayout::kMostPlanned);
}

TEST(RecordLayout, APlannedRowIsBoundedWhateverTheEstimate) {
  const RecordLayout layout;
  const double infinite = std::numeric_limits<double>::infinity();
  for (const double entries : {1e18, 1e300, infinite, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_EQ(layout.planned_bytes(entries, 8), RecordLayout::kMostPlanned) << entries;
  EXPECT_LT(RecordLayout(100'000, 0, true).planned_bytes(kMostEntries, 8), RecordLayout::kMostPlanned);
}

}  // namespace
}  // namespace penstock::plan
