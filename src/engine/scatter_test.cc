#include "engine/scatter.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/load.h"
#include "loader/testing/fake_dataset.h"

namespace penstock::loader {
namespace {

constexpr ByteCount kPage = 4096;

// One file of ten rows whose row r has r entries, of value r + 1, in columns 0 to r - 1. The window takes the
// rows in file order, in bins of four.
class ScatterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::FakeSpec spec;
    spec.files = {{.rows = 10}};
    spec.n_cols = 50;
    dataset_ = std::make_unique<testing::FakeDataset>(spec);
    config_.n_cols = 50;
    config_.longest_row = 10;
    config_.parts.assign(dataset_->parts().begin(), dataset_->parts().end());
    config_.parts[0].first_row = 1000;
    config_.window.n_bins = 3;
    worker_ = *WorkerState::create(config_);
    for (std::uint64_t row = 0; row < 10; ++row) {
      begins_.push_back(ids_.size());
      for (std::uint64_t i = 0; i < row; ++i) {
        ids_.push_back(static_cast<std::int32_t>(i));
        values_.push_back(static_cast<float>(row + 1));
      }
      ends_.push_back(ids_.size());
    }
  }

  void open(std::uint32_t pages, std::uint64_t skip_batches = 0) {
    pool_ = std::make_unique<PagePool>(*Slab::map(std::max(pages, 1u) * kPage, false), kPage);
    next_.assign(std::max(pages, 1u), 0);
    if (pages == 0) {
      std::uint32_t none = 0;
      pool_->take(1, &none);
    }
    window_ = *Window::create(pool_.get(), next_, 12, 4);
    plan::WindowSpan cut;
    cut.rows = 10;
    cut.n_batches = 5;
    cut.share = {10, 5, 2};
    window_->open(cut, 0, 0, false, 0, skip_batches);
    task_.window = window_.get();
    task_.segment = {.block = 0, .skip = 0, .rows = 10, .tape_row = 0};
    task_.wanted = {{0, 10}};
    view_ = *config_.read_beside(0, {0, 10}, Fetched({}, nullptr), {}, {}, worker_->codec);
  }
  CsrTile tile(RowIndex first, RowIndex last) const {
    CsrTile out;
    out.rows = {first, last};
    out.begins = begins_.data() + first;
    out.ends = ends_.data() + first;
    out.indices = reinterpret_cast<const std::byte*>(ids_.data());
    out.values = reinterpret_cast<const std::byte*>(values_.data());
    return out;
  }

  EngineConfig config_;
  std::unique_ptr<testing::FakeDataset> dataset_;
  std::unique_ptr<WorkerState> worker_;
  std::unique_ptr<PagePool> pool_;
  std::vector<std::uint32_t> next_;
  std::unique_ptr<Window> window_;
  BlockTask task_;
  BesideRows view_;
  std::vector<std::uint64_t> begins_, ends_;
  std::vector<std::int32_t> ids_;
  std::vector<float> values_;
};

TEST_F(ScatterTest, WritesEachRowAsARecordInItsBin) {
  open(4);
  Scatter scatter(config_, task_, view_, *worker_, 0);
  ASSERT_TRUE(scatter.csr(tile(0, 6)).ok());
  ASSERT_TRUE(scatter.csr(tile(6, 10)).ok());
  EXPECT_EQ(scatter.rows_placed(), 10u);
  EXPECT_EQ(scatter.deferred(), 0u);
  EXPECT_FALSE(window_->bin_complete(0)) << "bins are told once a block";
  scatter.count_rows();
  for (std::uint64_t bin = 0; bin < window_->n_bins(); ++bin) EXPECT_TRUE(window_->bin_complete(bin));
  for (std::uint64_t row = 0; row < 10; ++row) {
    const RowEntry& entry = window_->entry(row);
    ASSERT_EQ(entry.state, RowState::in_page);
    ASSERT_EQ(entry.n, row);
    const std::byte* record = window_->record(entry);
    EXPECT_EQ(load<std::int64_t>(record), static_cast<std::int64_t>(1000 + row));
    if (row == 0) continue;
    EXPECT_EQ(entry.cls, batch::ValueClass::u8);
    const std::byte* ids = config_.record.ids(record);
    EXPECT_EQ(load<std::uint16_t>(ids, row - 1), row - 1);
    EXPECT_EQ(load<std::uint8_t>(ids + row * 2, 0), row + 1);
  }
}

TEST_F(ScatterTest, KeepsTotalsBesideTheRow) {
  config_.options.totals = true;
  config_.record = plan::RecordLayout(50, 0, true);
  open(4);
  Scatter scatter(config_, task_, view_, *worker_, 0);
  ASSERT_TRUE(scatter.csr(tile(0, 10)).ok());
  const std::byte* record = window_->record(window_->entry(7));
  EXPECT_EQ(config_.record.total(record), 7.0 * 8.0);
  // A source that left columns out says the totals itself.
  const double said[] = {0.5, 1.5};
  CsrTile part = tile(3, 5);
  part.totals = said;
  EXPECT_EQ(row_total(part, 1, EncodedRow()), 1.5);
}

TEST_F(ScatterTest, RowsThatFindNoPageAreDeferred) {
  open(0);
  Scatter scatter(config_, task_, view_, *worker_, 0);
  ASSERT_TRUE(scatter.csr(tile(0, 10)).ok());
  EXPECT_EQ(scatter.deferred(), 10u);
  scatter.count_rows();
  for (std::uint64_t row = 0; row < 10; ++row) {
    EXPECT_EQ(window_->entry(row).state, RowState::deferred);
    EXPECT_EQ(window_->entry(row).page, 0u) << "the number of the file";
    EXPECT_EQ(window_->entry(row).offset, row) << "the row in it";
  }
  EXPECT_TRUE(window_->bin_complete(0)) << "a batch can be built: they are read again";
}

TEST_F(ScatterTest, AfterAFailureTheRestCarriesItsNumber) {
  open(4);
  Scatter scatter(config_, task_, view_, *worker_, 0);
  ASSERT_TRUE(scatter.csr(tile(0, 3)).ok());
  scatter.fail_rest(42);
  scatter.count_rows();
  EXPECT_EQ(window_->entry(2).state, RowState::in_page);
  for (std::uint64_t row = 3; row < 10; ++row) {
    EXPECT_EQ(window_->entry(row).state, RowState::failed);
    EXPECT_EQ(window_->entry(row).page, 42u);
  }
  for (std::uint64_t bin = 0; bin < window_->n_bins(); ++bin) EXPECT_TRUE(window_->bin_complete(bin));
}

TEST_F(ScatterTest, RowsThatWereDeliveredBeforeAreNotKept) {
  open(4, 2);  // two batches of two rows
  const std::uint32_t before = pool_->free_pages();
  Scatter scatter(config_, task_, view_, *worker_, 0);
  ASSERT_TRUE(scatter.csr(tile(0, 4)).ok());
  EXPECT_EQ(pool_->free_pages(), before) << "nothing was written";
  EXPECT_EQ(scatter.rows_placed(), 4u);
}

TEST_F(ScatterTest, MoreRowsThanPlannedAreAnError) {
  open(4);
  task_.segment.rows = 3;
  Scatter scatter(config_, task_, view_, *worker_, 0);
  EXPECT_EQ(scatter.csr(tile(0, 4)).code(), StatusCode::internal);
}

TEST_F(ScatterTest, AColumnOutOfRangeIsCorruptAndNamesTheRow) {
  open(4);
  ids_[ids_.size() - 1] = 50;
  Scatter scatter(config_, task_, view_, *worker_, 0);
  const Status status = scatter.csr(tile(9, 10));
  EXPECT_EQ(status.code(), StatusCode::corrupt);
  EXPECT_NE(status.message().find("row 9"), std::string::npos) << status.message();
}

}  // namespace
}  // namespace penstock::loader
