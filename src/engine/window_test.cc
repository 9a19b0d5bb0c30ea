#include "engine/window.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <vector>

#include "plan/record_layout.h"

namespace penstock::loader {
namespace {

constexpr ByteCount kPage = 4096;

// A window of up to 100 rows in bins of 20, whose rows lie on `pages` pages.
struct Fixture {
  explicit Fixture(std::uint32_t pages)
      : pool(*Slab::map(pages * kPage, false), kPage),
        next(pages),
        window(*Window::create(&pool, next, 100, 20)) {}
  void open(std::uint64_t rows, std::uint64_t batch, bool shuffle = true, std::uint64_t skip = 0) {
    plan::WindowSpan cut;
    cut.first = 1000;
    cut.rows = rows;
    cut.n_batches = (rows + batch - 1) / batch;
    cut.share = {rows, cut.n_batches, batch};
    window->open(cut, 3, 50, shuffle, 77, skip);
  }
  PagePool pool;
  std::vector<std::uint32_t> next;
  std::unique_ptr<Window> window;
};

TEST(Window, EveryRowHasAPlaceOfItsOwn) {
  Fixture f(4);
  f.open(100, 10);
  std::set<std::uint64_t> places;
  bool moved = false;
  for (std::uint64_t row = 1000; row < 1100; ++row) {
    const std::uint64_t place = f.window->place_of(row);
    ASSERT_LT(place, 100u);
    places.insert(place);
    moved |= place != row - 1000;
  }
  EXPECT_EQ(places.size(), 100u);
  EXPECT_TRUE(moved);
  f.open(100, 10, false);
  EXPECT_EQ(f.window->place_of(1042), 42u) << "file order";
}

TEST(Window, BinsHoldWholeBatches) {
  Fixture f(4);
  f.open(95, 10);
  EXPECT_EQ(f.window->n_bins(), 5u);
  for (std::uint64_t bin = 0; bin < 5; ++bin) EXPECT_EQ(f.window->batches_in_bin(bin), 2u);
  EXPECT_EQ(f.window->bin_of(19), 0u);
  EXPECT_EQ(f.window->bin_of(20), 1u);
  EXPECT_EQ(f.window->bin_of_batch(9), 4u);
}

TEST(Window, ABinIsCompleteWhenItsLastRowHasCome) {
  Fixture f(4);
  f.open(30, 10);
  EXPECT_EQ(f.window->n_bins(), 2u);
  f.window->rows_done(0, 19);
  EXPECT_FALSE(f.window->bin_complete(0));
  f.window->rows_done(0, 1);
  EXPECT_TRUE(f.window->bin_complete(0));
  f.window->rows_done(1, 10);
  EXPECT_TRUE(f.window->bin_complete(1));
}

TEST(Window, RecordsAreWrittenAndFoundAgain) {
  Fixture f(4);
  f.open(40, 10);
  std::uint32_t pledged = 0;
  for (std::uint64_t place = 0; place < 40; ++place) {
    std::byte* const record = f.window->place_row(place, 100, &pledged);
    ASSERT_NE(record, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(record) % plan::RecordLayout::kAlign, 0u);
    std::memset(record, static_cast<int>(place), 100);
  }
  for (std::uint64_t place = 0; place < 40; ++place) {
    const RowEntry& entry = f.window->entry(place);
    EXPECT_EQ(entry.state, RowState::in_page);
    for (int i = 0; i < 100; ++i) {
      ASSERT_EQ(f.window->record(entry)[i], static_cast<std::byte>(place)) << place << "+" << i;
    }
  }
  EXPECT_EQ(f.pool.free_pages(), 2u) << "a page for each bin";
  f.window->free_bin(0);
  f.window->free_bin(1);
  EXPECT_EQ(f.pool.free_pages(), 4u);
}

TEST(Window, ARecordLargerThanAPageTakesARun) {
  Fixture f(4);
  f.open(20, 10);
  std::uint32_t pledged = 0;
  ASSERT_NE(f.window->place_row(0, 2 * kPage + 1, &pledged), nullptr);
  EXPECT_EQ(f.pool.free_pages(), 1u);
  ASSERT_NE(f.window->place_row(1, 8, &pledged), nullptr) << "on a page of its own";
  EXPECT_EQ(f.pool.free_pages(), 0u);
  EXPECT_EQ(f.window->place_row(2, kPage, &pledged), nullptr) << "no page is to be had";
  ASSERT_NE(f.window->place_row(3, 8, &pledged), nullptr) << "on the page that is being filled";
  f.window->free_bin(0);
  EXPECT_EQ(f.pool.free_pages(), 4u);
}

TEST(Window, PledgedPagesAreDrawnDown) {
  Fixture f(2);
  f.open(40, 10);
  ASSERT_TRUE(f.pool.pledge(1));
  std::uint32_t mine = 1, none = 0;
  EXPECT_NE(f.window->place_row(0, 100, &none), nullptr) << "the page that nobody has a pledge on";
  EXPECT_EQ(f.window->place_row(20, 100, &none), nullptr) << "the other one is pledged";
  EXPECT_NE(f.window->place_row(20, 100, &mine), nullptr);
  EXPECT_EQ(mine, 0u);
}

TEST(Window, AResumedWindowBeginsBehindWhatWasDelivered) {
  Fixture f(4);
  f.open(60, 10, true, 3);
  EXPECT_EQ(f.window->first_kept_place(), 30u);
  EXPECT_EQ(f.window->batches_built, 3u);
  EXPECT_EQ(f.window->count_built(1), 2u) << "one of the bin's two batches was delivered before";
  // The last bin waits for the rows of bins that are not built: the window is opened anew after it.
  f.window->rows_done(2, 20);
  EXPECT_FALSE(f.window->bin_complete(2));
  f.window->rows_done(0, 20);
  EXPECT_TRUE(f.window->bin_complete(2));
}

}  // namespace
}  // namespace penstock::loader
