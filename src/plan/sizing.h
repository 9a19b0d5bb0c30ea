// Dividing the budget: how many rows the window holds, how large a block and a page are, how many threads,
// bytes of read-ahead and batch slots fit beside it. A pure function of numbers; no I/O.
//
// The window gets half of the budget, but for what row offsets need of that, and never shrinks (of matrices that
// are stored by columns, as much as leaves room to turn its rows: together three quarters); threads and read-ahead shrink until the rest fits.
// window_rows and block_rows follow from data, memory and batch size alone, not from threads or timing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/types.h"
#include "penstock/status.h"
#include "plan/record_layout.h"
#include "plan/slot_layout.h"
#include "source/row_source.h"

namespace penstock::plan {

// How the refusal of a plan begins: "memory=4 MB cannot hold this plan". `of`: what the memory is of, or "":
// "this loader's share of a MemoryBudget of 16 MB for 4 loaders".
std::string cannot_hold(ByteCount memory, std::string_view of);

// Rows that a block has at least where storage is row-addressable, so that reads are of a few KB.
inline constexpr double kLeastAddressable = 16;

struct SizingInput {
  // what the user asked for
  ByteCount memory = 0;
  std::string memory_of;      // see cannot_hold()
  ByteCount window_less = 0;  // of its half, that the window leaves to what stays in memory
  std::uint64_t batch_size = 1;
  bool shuffle = true;
  BatchContents contents;                         // of a batch
  RecordLayout record;                            // of a row in the window
  std::uint64_t window_rows = 0, block_rows = 0;  // given, or 0
  // data
  std::uint64_t n_rows = 0;      // of an epoch
  std::uint64_t share_rows = 0;  // of them, the largest rank's; 0: all
  RowLengths lengths;
  std::uint64_t most_copies = 1;  // of a row in an epoch, a bound
  // Where rows are weighted: entries of a row as often as it comes (estimates); 0: as `lengths` and `kept`
  // say.
  double drawn_mean = 0, drawn_variance = 0;
  double kept = 1;  // share of the entries that lengths count whose genes are wanted (estimate)
  // Where `lengths` are bounds that do not vary: of the lengths of the rows that the sample saw.
  double sampled_variance = 0;
  double rows_per_chunk = 0;  // 0: row-addressable
  // Of a block, for row offsets that it reads again to be a tenth of what it decodes; 0: they are in memory.
  double reread_rows = 0;
  double head_cost = 1;              // see head_cost()
  double value_bytes_in_window = 1;  // mean over the sample, per entry
  // Of matrices that are stored by columns, whose rows are turned beside the window (engine/turner.h): what
  // that takes whatever is turned (0: there are none), and for a row of the epoch, on average.
  ByteCount turned_tables = 0;
  double turned_row_bytes = 0;
  ByteCount turned_all = 0;  // that more would be of no use: of all rows that an epoch may read
  // shuffle == false: the most entries in any four consecutive batches (exact bound); else unused
  std::uint64_t ordered_entries = 0;
};

// What q rows drawn from blocks of b rows in a window of s are worth as independent draws when all rows of a
// block share a label. Bounds: 1 when the window is one block, q when blocks are single rows.
double effective_rows(double q, double b, double s);
// What the chunk costs that a block's last row runs into, in chunks: all of it, only its head where the codec
// allows, or nothing where chunks begin and end with rows.
double head_cost(bool cheap_heads, bool rows_cross_chunks);
// Decoding work of blocks of b rows, relative to decoding every chunk once. rows_per_chunk 0:
// row-addressable, always 1.
double decode_cost(double b, double rows_per_chunk, double head_cost);

// What a window's tables take beside its pages, for each row, bin and page. Those who keep the tables check
// their types against these: engine/window.h.
inline constexpr ByteCount kRowEntryBytes = 16, kBinBytes = 192, kPageLinkBytes = 4;
inline constexpr std::uint64_t kWindowsAtOnce = 2;  // one drains while the next fills

// Decided by data and memory alone.
struct WindowSizing {
  std::uint64_t window_rows = 0;  // a multiple of batch_size, more than there are where all rows fit
  std::uint64_t table_rows = 0;   // the most rows that a window has
  std::uint64_t block_rows = 0;
  double q_eff = 0;
  std::uint64_t bin_rows = 0, n_bins = 0;
  ByteCount page_bytes = 0;
  std::uint64_t n_pages = 0;
  ByteCount row_bytes = 0;     // estimate of a compact row, header included
  ByteCount window_bytes = 0;  // pages and row tables: what to reserve
  ByteCount turned_bytes = 0;  // of rows that are turned; 0: none are
};
Result<WindowSizing> size_window(const SizingInput& in);

// The most rows that a batch can have: no more than the largest rank's share.
std::uint64_t batch_rows(const SizingInput& in);
// Of a row as delivered (an estimate).
double mean_entries(const SizingInput& in);
// The most entries that so many rows can have together.
std::uint64_t most_entries(const SizingInput& in, std::uint64_t rows);

// A batch in a slot.
struct BatchBytes {
  ByteCount typical = 0;  // four of these must fit at once
  ByteCount worst = 0;    // one of these must fit
  // Both are multiples of it: what a slot touches is charged in pages, large ones in huge pages.
  ByteCount granule = 4096;
};
// Of slots of so many bytes: pages of 4 KiB, or huge pages.
ByteCount slot_granule(ByteCount bytes);
// q_eff: independent rows that a batch is worth (WindowSizing::q_eff).
BatchBytes batch_bytes(const SizingInput& in, double q_eff);

// The other half, once blocks are known.
struct RestInput {
  ByteCount window_bytes = 0;
  ByteCount index_bytes = 0;  // metadata, block table, resident rows
  ByteCount obs_bytes = 0;    // resident codes
  ByteCount scratch_per_thread = 0;
  ByteCount fetch_largest = 0;  // bytes of the largest block's requests
  ByteCount fetch_typical = 0;
  std::uint32_t threads_wanted = 1;
  BatchBytes batch;
  std::uint64_t batches_per_bin = 1;
};
struct RestSizing {
  std::uint32_t threads = 1;
  ByteCount scratch_bytes = 0;
  ByteCount fetch_bytes = 0;
  ByteCount slots_bytes = 0;
  std::uint64_t n_slots = 0;  // mappings; at most this many batches exist at once
  // Buffers for dense forms of CSR batches, of what is left: 0 to 2, of so many bytes each.
  std::uint64_t dense_buffers = 0;
  ByteCount dense_bytes = 0;
};
// When even the least does not fit: `budget`, with the numbers and every way out that works.
Result<RestSizing> size_rest(const SizingInput& data, const RestInput& in);

}  // namespace penstock::plan
