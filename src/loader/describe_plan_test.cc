#include "loader/describe_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "loader/testing/fake_dataset.h"

namespace penstock::loader {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(DescribePlan, OfNothing) {
  EngineConfig c;
  c.options.batch_size = 32;
  c.share = plan::rank_share(0, 0, 1, 32, false);
  c.window.window_rows = 64;
  c.window.block_rows = 8;
  c.rest.threads = 2;
  Findings found;
  found.sizing.memory = 1000;
  found.threads_wanted = 4;
  found.memory_by_tag = {1, 2, 3, 4, 5, 6, 7};
  found.notes = {{NoteKind::genes_missing, "of the data"}};
  const Plan p = describe_plan(c, found);
  EXPECT_EQ(p.memory, 1000u);
  EXPECT_EQ(p.memory_by_tag, found.memory_by_tag);
  EXPECT_EQ(p.n_batches, 0u);
  EXPECT_EQ(p.first_window_rows, 0u);
  EXPECT_EQ(p.read_amplification, 1);
  EXPECT_THAT(p.notes, ElementsAre(Note{NoteKind::genes_missing, "of the data"},
                                   Note{NoteKind::no_rows, "no row is selected: there are no batches"},
                                   Note{NoteKind::threads_fewer, "2 of 4 threads fit into the budget"}));
}

TEST(DescribePlan, NothingIsLargerThanTheData) {
  ::penstock::testing::FakeSpec spec;
  spec.files = {{20, 5, 7}};
  const ::penstock::testing::FakeDataset data(spec);
  const auto budget = MemoryBudget::create(1'000'000);
  EngineConfig c;
  c.options.batch_size = 32;
  c.options.drop_last = true;
  c.parts.assign(data.parts().begin(), data.parts().end());
  c.blocks = *plan::BlockTable::build(c.parts, 10, true, *budget);
  c.share = plan::rank_share(c.epoch_rows(), 0, 1, 32, true);
  c.window.window_rows = 640;
  c.window.block_rows = 10;
  Findings found;
  found.sizing.batch_size = 32;
  found.sizing.n_rows = 20;
  found.rows_of_files = 20;
  const Plan p = describe_plan(c, found);
  EXPECT_EQ(p.n_rows, 20u);
  EXPECT_EQ(p.n_blocks, 2u);
  EXPECT_EQ(p.blocks_per_window, 2);
  EXPECT_EQ(p.window_rows, 20u);
  EXPECT_EQ(p.batch_size, 20u);
  EXPECT_EQ(p.n_batches, 0u);
  ASSERT_EQ(p.notes.size(), 1u);
  EXPECT_EQ(p.notes[0].kind, NoteKind::no_batches);
  EXPECT_THAT(p.notes[0].text, HasSubstr("the 20 rows of an epoch do not fill one of 32 on each rank"));
}

}  // namespace
}  // namespace penstock::loader
