// Dividing the budget: how many rows the window holds, how large a block and a page are, how many threads,
// bytes of read-ahead and batch slots fit beside it. A pure function of numbers; no I/O.
//
// The window gets half of the budget and never shrinks; threads and read-ahead shrink until the rest fits.
// window_rows and block_rows follow from data and memory alone, not from threads or timing.
#pragma once

#include <cstdint>
#include <string>

#include "base/types.h"
#include "penstock/status.h"
#include "source/row_source.h"

namespace penstock::plan {

struct SizingInput {
  // what the user asked for
  ByteCount memory = 0;
  std::uint64_t batch_size = 1;
  bool shuffle = true;
  bool dense = false;
  std::string dtype_name = "float32";
  std::uint64_t value_bytes = 4;                  // of the output type
  std::uint64_t index_bytes = 4;                  // of CSR indices in batches
  std::uint64_t label_output_bytes = 0;           // labels of a row in a batch
  std::uint64_t window_rows = 0, block_rows = 0;  // given, or 0
  // data
  std::uint64_t n_rows = 0;  // selected
  std::uint64_t n_cols = 0;
  RowLengths lengths;
  std::uint64_t most_copies = 1;  // of a row in an epoch, a bound
  // Where rows are weighted: entries of a row as often as it comes (estimates); 0: as `lengths` and `kept`
  // say.
  double drawn_mean = 0, drawn_variance = 0;
  double kept = 1;            // share of the entries that lengths count whose genes are wanted (estimate)
  double rows_per_chunk = 0;  // 0: row-addressable
  double head_cost = 1;       // see head_cost()
  double value_bytes_in_window = 1;  // mean over the sample, per entry
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

// Decided by data and memory alone.
struct WindowSizing {
  std::uint64_t window_rows = 0;  // a multiple of batch_size unless one window holds everything
  std::uint64_t block_rows = 0;
  double q_eff = 0;
  std::uint64_t bin_rows = 0, n_bins = 0;
  ByteCount page_bytes = 0;
  std::uint64_t n_pages = 0;
  ByteCount row_bytes = 0;     // estimate of a compact row, header included
  ByteCount window_bytes = 0;  // pages and row tables: what to reserve
};
Result<WindowSizing> size_window(const SizingInput& in);

// The most entries that so many rows can have together.
std::uint64_t most_entries(const SizingInput& in, std::uint64_t rows);

// A batch in a slot.
struct BatchBytes {
  ByteCount typical = 0;  // four of these must fit at once
  ByteCount worst = 0;    // one of these must fit
  ByteCount granule =
      4096;  // both are multiples of it: what a slot touches is charged in pages, large ones in huge pages
};
// q_eff: independent rows that a batch is worth (WindowSizing::q_eff).
BatchBytes batch_bytes(const SizingInput& in, double q_eff);
// Bytes of a CSR slot with `entries` non-zeros and `rows` rows, alignment included.
ByteCount csr_slot_bytes(const SizingInput& in, std::uint64_t rows, std::uint64_t entries);
ByteCount dense_slot_bytes(const SizingInput& in, std::uint64_t rows);

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
};
// When even the least does not fit: `budget`, with the numbers and every way out that works.
Result<RestSizing> size_rest(const SizingInput& data, const RestInput& in);

}  // namespace penstock::plan
