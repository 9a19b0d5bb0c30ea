// The elements of one matrix column that were decoded and not yet handed out, and how to get more: pages are
// opened as they are needed, values are translated into a buffer that slides along.
//
// Positions count elements from where seek() put the cursor. Thread contract: externally synchronised.
// Memory: all of it the caller's; no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/carver.h"
#include "base/types.h"
#include "parquet/column_target.h"
#include "parquet/encodings/level_runs.h"
#include "parquet/page_stream.h"
#include "parquet/page_table.h"
#include "penstock/status.h"
#include "source/request.h"

namespace penstock::parquet {

// Values are translated so many at a time: what is handed out is still in the first-level cache.
inline constexpr std::uint64_t kSlice = 8192;

class ElementWindow {
 public:
  struct Memory {
    std::span<std::byte> page;            // scratch of the largest page
    std::span<std::byte> elements;        // the window: capacity elements of at most 8 bytes
    std::span<std::uint32_t> row_starts;  // list columns: at least twice the most rows of a page, and one

    // For pages within `limits`, and a window of so many elements.
    static Memory carve(Carver& memory, const PageLimits& limits, std::uint64_t elements);
    // The same with row starts: those of a page, and as many that the other column has not come to.
    static Memory carve_for_lists(Carver& memory, const PageLimits& limits, std::uint64_t elements);
  };
  // `column` and `target` outlive the window.
  ElementWindow(const Leaf& column, const PageContext& context, PhysicalType physical, ColumnTarget* target,
                const Memory& memory, CodecContext* codec);

  // Reads from these pages of a row group; its dictionary is translated, unless it is that of the pages
  // before. Positions start anew: seek() follows.
  Status open(const PageSpan& span, const File* file, const Fetched& fetched, bool same_dictionary);
  // The row group that the pages to come are of, for messages.
  void set_row_group(std::size_t number) { pages_.set_row_group(number); }
  // Flat columns: goes on with the pages of the next row group; positions go on, too.
  Status follow(const PageSpan& span, const File* file, const Fetched& fetched);
  // Puts position 0 at row `row` (list) or element `row` (flat) of the row group, at or behind where reading
  // is.
  Status seek(std::uint64_t row);

  // One past the last decoded position.
  std::uint64_t end() const { return end_; }
  // Where position p < end() lies; p was not dropped.
  const std::byte* at(std::uint64_t p) const {
    return memory_.elements.data() + (p - base_) * target_->item();
  }
  std::byte* at(std::uint64_t p) { return memory_.elements.data() + (p - base_) * target_->item(); }

  // --- list columns: rows from the one that seek() went to ---
  // Rows whose beginning is known; row i begins at start(i).
  std::uint64_t rows_known() const { return n_starts_; }
  std::uint32_t start(std::uint64_t i) const { return memory_.row_starts[first_start_ + i]; }
  // No page is left: the last known row ends at position total().
  bool exhausted() const { return exhausted_; }
  std::uint64_t total() const { return opened_end_; }
  // Forgets the first `rows` known rows.
  void drop_rows(std::uint64_t rows);

  // Decodes more: the next values of the page, or the next page. What lies before position `keep` is dropped
  // to make room. *widen: the page's values do not fit the target's narrow type (nothing was decoded).
  // `corrupt` when the window cannot hold what is kept: a row longer than any may be.
  Status more(std::uint64_t keep, bool* widen);

 private:
  Status use_span(const PageSpan& span, const File* file, const Fetched& fetched, bool same_dictionary);
  Status open_page(bool* more);
  Status use_page(const Page& page);
  Status fail(DecodeError error) const;
  Status skip(std::uint64_t n);
  std::uint64_t left() const { return values_.left() + missing_left_; }
  Status read_with_missing(std::uint64_t n, std::byte* out);

  const Leaf& column_;
  const PhysicalType physical_;
  ColumnTarget* const target_;
  const Memory memory_;
  PageStream pages_;
  PageValues values_;  // of the open page
  // Its elements that have no value; where they are is told only while there are some.
  std::uint64_t missing_left_ = 0;
  ElementPresence presence_;
  ByteOffset page_offset_ = 0;
  std::uint64_t next_row_ = 0;  // list: the first row that begins in the next page; flat: its first element
  bool exhausted_ = false;
  std::uint64_t base_ = 0;                        // position of the window's first element
  std::uint64_t end_ = 0;                         // position behind the last decoded one
  std::uint64_t opened_end_ = 0;                  // position behind the last element of the open page
  std::uint64_t first_start_ = 0, n_starts_ = 0;  // the known rows, in memory_.row_starts
};

}  // namespace penstock::parquet
