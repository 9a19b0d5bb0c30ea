// The budget in two steps, and what each part of it is for:
//
//     | window: half      | index | obs | scratch | fetch | slots | dense | free |
//       pages and tables    metadata,     a part    blocks  batches ready or in
//       of rows in flight   labels        a thread  on the  the user's hands
//                                                   way
//
// size_window() comes first, because the order of rows follows from its result and must follow from nothing
// else: memory, the lengths of rows, the options. size_rest() divides what is left once blocks are known, by
// the number of cores too, and whatever it decides changes speed alone.
//
// Both refuse rather than squeeze: a plan that is accepted holds. A refusal says what is too large and what
// to do; other batches that it proposes have been tried with the same functions.

#include "plan/sizing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "penstock/memory_budget.h"
#include "plan/windows.h"

namespace penstock::plan {
namespace {

// Note [Heads of chunks]. Storage cuts the entries of a matrix into chunks that know nothing of rows, so the
// last row of a block mostly ends inside a chunk, and the rest of that chunk is the next block's, which is
// decoded at another time. With chunks of 1,000 entries, and 20 rows of 70 each in a block:
//
//     chunks     | 0        | 1        | 2        |
//     block 0    [==============)                      entries 0 to 1,399: chunk 0, and 400 of chunk 1
//     block 1                   [==============)       entries 1,400 to 2,799: chunk 1, and 800 of chunk 2
//
// Decoding chunk 1 twice would cost a whole chunk for each block: blocks would have to be many chunks long,
// and batches would be mixed less. Where the codec can stop early (FilterPipeline::can_decode_head) block 0
// decodes only the head of chunk 1, up to the end of its last row. The tail cannot be had without the head,
// so block 1 decodes all of it.
//
// What the head costs beside the chunk, on average: 0.12 of it to decode and 0.06 to read. Block sizes follow
// from the number, and the order of batches from block sizes, so it is not a thing to adjust.
constexpr double kHeadCost = 0.18;

}  // namespace

std::string cannot_hold(ByteCount memory, std::string_view of) {
  return fmt::format("memory={}{}{}{} cannot hold this plan", format_bytes(memory), of.empty() ? "" : ", ",
                     of, of.empty() ? "" : ",");
}

double effective_rows(double q, double b, double s) {
  if (q <= 1 || s <= 1) return q;
  return q / (1 + std::max(0.0, b - 1) * (q - 1) / (s - 1));
}

double head_cost(bool cheap_heads, bool rows_cross_chunks) {
  return !rows_cross_chunks ? 0 : cheap_heads ? kHeadCost : 1;
}

double decode_cost(double b, double rows_per_chunk, double head_cost) {
  // Where no row crosses, a block smaller than a chunk decodes all of it.
  return head_cost == 0 ? std::max(1.0, rows_per_chunk / b) : 1 + head_cost * rows_per_chunk / b;
}

double mean_entries(const SizingInput& in) {
  if (in.drawn_mean > 0) return in.drawn_mean;
  return in.lengths.rows == 0
             ? 0
             : in.kept * static_cast<double>(in.lengths.entries) / static_cast<double>(in.lengths.rows);
}

namespace {

constexpr ByteCount kMinPage = 16 << 10, kMaxPage = 256 << 10;
constexpr std::uint64_t kMinBinRows = 512;
constexpr std::uint64_t kHeldBatches = 4;   // list(islice(loader, 4)) works under every accepted plan
constexpr std::uint64_t kDenseBuffers = 2;  // `x = batch.dense()` makes the next x before it drops the last
constexpr double kMaxAmplification = 1.15;
constexpr double kMaxChunksPerBlock = 32;  // larger blocks gain nothing
constexpr double kMostGrown = 4;           // of a block, so that offsets that are read again cost less

WayOut at_least(ByteCount memory) {
  return {Option::memory, fmt::format("memory >= {}", format_bytes(memory)), memory, {}};
}

// What a block's size decides: large blocks are cheap to read (fewer chunks are decoded for a part of them),
// and small ones mix well. With blocks of b rows in a window of s, a batch of q rows is worth
//
//     q_eff = q / (1 + (b - 1) (q - 1) / (s - 1))
//
// independent rows; solved for b: b = 1 + (q / q_eff - 1) (s - 1) / (q - 1). A batch of 1,024 out of a window
// of 28,672 rows that is to be worth 0.8 of itself takes blocks of 1 + 0.25 * 28,671 / 1,023 = 8 rows.
//
// The largest block with q_eff >= 0.8 min(q, 1024), else the smallest whose read amplification is <= 1.15. In
// file order, where blocks mix nothing, a small part of the window: two of them and a thread's scratch, all
// in bytes as stored, must fit beside its compact rows.
std::uint64_t choose_block_rows(const SizingInput& in, double s) {
  if (in.block_rows != 0) return in.block_rows;
  // Then a batch is the whole window, and has n_rows rows.
  const bool all_in_one = in.batch_size > in.n_rows;  // a batch of every row
  const double q = static_cast<double>(all_in_one ? std::max<std::uint64_t>(1, in.n_rows) : in.batch_size);
  if (all_in_one) s = q;
  const double chunk = std::max(1.0, in.rows_per_chunk);
  const double largest = std::max(chunk, std::min(s / 8, kMaxChunksPerBlock * chunk));
  const double cheap =
      std::min(largest, std::max(1.0, std::ceil(in.head_cost / (kMaxAmplification - 1))) * chunk);
  double b = in.shuffle ? largest : std::max(std::min(largest, s / 32), cheap);
  if (in.shuffle && q > 1) {
    const double target = 0.8 * std::min(q, 1024.0);
    b = std::min(largest, 1 + (q / target - 1) * (s - 1) / (q - 1));
    if (in.rows_per_chunk > 0 && (decode_cost(b, chunk, in.head_cost) > kMaxAmplification || b < chunk)) {
      b = cheap;
    }
  }
  if (in.rows_per_chunk == 0) b = std::max(b, kLeastAddressable);
  // Rows share what a block decodes of row offsets. More than four times as many would mix too little. In file
  // order blocks are large already.
  if (in.shuffle && in.reread_rows > b) b = std::max(b, std::min({in.reread_rows, kMostGrown * b, s / 8}));
  return static_cast<std::uint64_t>(std::max(1.0, std::floor(b)));
}

struct Fitting {
  WindowSizing sizing;
  bool fits = false;
};

// Lays out a window of s rows in `share` bytes: tables with an entry a row and a bin, then pages. The bytes
// of a row are an estimate from the sample, so that pages get 2 % more than it says, and what is spare of the
// share later; a row that finds no page all the same is deferred.
Fitting lay_out(const SizingInput& in, std::uint64_t s, ByteCount share) {
  Fitting out;
  WindowSizing& w = out.sizing;
  w.window_rows = s;
  // Two rows more than whole batches where the last ones are larger: Note [No lone row].
  w.table_rows =
      std::min(s + most_batch_rows(in.batch_size) - in.batch_size, std::max<std::uint64_t>(1, in.n_rows));
  const std::uint64_t rows = std::min(s, w.table_rows);
  w.block_rows = choose_block_rows(in, static_cast<double>(s));
  w.q_eff = effective_rows(static_cast<double>(batch_rows(in)), static_cast<double>(w.block_rows),
                           static_cast<double>(s));
  // A bin is whole batches, since its memory is given back as a whole. Small batches share one, or a batch of
  // a single row would need a table of 192 bytes.
  w.bin_rows = in.batch_size * std::max<std::uint64_t>(1, ceil_div(kMinBinRows, in.batch_size));
  w.n_bins = ceil_div(s, w.bin_rows);
  w.row_bytes = in.record.planned_bytes(mean_entries(in), in.value_bytes_in_window);
  const ByteCount tables = kWindowsAtOnce * (rows * kRowEntryBytes + w.n_bins * kBinBytes) + (64 << 10);
  // About 16 pages a bin: half a page is lost at each bin's end, 3 % then. Whole pages of the system's.
  w.page_bytes = std::clamp<ByteCount>(share / (16 * w.n_bins) / 4096 * 4096, kMinPage, kMaxPage);
  // A page loses half a row at its end, a bin half a page, and a block in flight pledges a page per bin it
  // may open.
  const double usable =
      static_cast<double>(w.page_bytes) - static_cast<double>(std::min(w.row_bytes, w.page_bytes)) / 2;
  const double pages = static_cast<double>(rows) * static_cast<double>(w.row_bytes) / usable +
                       static_cast<double>(w.n_bins) +
                       static_cast<double>(std::min(w.block_rows, w.n_bins) + 2);
  w.n_pages = static_cast<std::uint64_t>(std::ceil(pages * 1.02));
  w.window_bytes = tables + w.n_pages * (w.page_bytes + kPageLinkBytes);
  out.fits = w.window_bytes <= share;
  return out;
}

// Note [Window and turned rows]. A matrix that is stored by columns costs a pass over all of it for as many
// rows as can be turned at once (engine/turner.h). The fewer passes the better, and a window whose rows were
// turned in several passes would wait for each of them: so a window has no more rows than can be turned at
// once. Both together get three quarters of the budget, and turned rows what the window leaves of it. Rows in
// the window are planned as wide as the file has them, though counts are packed: a row that found no room
// there would cost a pass of its own.
constexpr std::uint64_t kTurnedQuarters = 3;
constexpr double kTurnedMargin = 1.0625;  // for windows of longer rows than the mean

// All of an epoch's rows take what they take.
ByteCount turned_bytes(const SizingInput& in, std::uint64_t s) {
  const bool all = s >= in.n_rows;
  const double rows = static_cast<double>(all ? in.n_rows : s) * in.turned_row_bytes;
  return in.turned_tables + static_cast<ByteCount>(std::ceil(rows * (all ? 1 : kTurnedMargin)));
}

bool turned_fits(const SizingInput& in, const WindowSizing& w) {
  if (in.turned_tables == 0 || in.window_rows != 0) return true;
  // Pages get a quarter more than the estimate: a row that finds none costs a pass of its own.
  return w.window_bytes + w.n_pages * w.page_bytes / 4 + turned_bytes(in, w.window_rows) <=
         in.memory / 4 * kTurnedQuarters;
}

}  // namespace

Result<WindowSizing> size_window(const SizingInput& in) {
  const ByteCount share = in.memory / 2 - in.window_less;
  const std::uint64_t all = round_up(std::max<std::uint64_t>(in.n_rows, 1), in.batch_size);
  const std::uint64_t wanted =
      in.window_rows == 0 ? all : std::min(all, round_up(in.window_rows, in.batch_size));
  const std::uint64_t most = wanted / in.batch_size;
  // The largest number of batches that fits, found by halving: lay_out grows with s but for the steps of page
  // and block size. `low` fits and `high` + 1 does not; 0 stands for "not even one batch".
  std::uint64_t low = 0, high = most;
  while (low < high) {
    const std::uint64_t middle = low + (high - low + 1) / 2;
    const Fitting fitting = lay_out(in, middle * in.batch_size, share);
    if (fitting.fits && turned_fits(in, fitting.sizing)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  if (low == 0 || (in.window_rows != 0 && low < most)) {
    const std::uint64_t rows = low == 0 ? in.batch_size : most * in.batch_size;
    const Fitting asked = lay_out(in, rows, share);
    // The window has half of the budget, hence twice; and a little more, because page sizes depend on the
    // share.
    if (asked.fits && low == 0) {
      const ByteCount turned = turned_bytes(in, rows);
      return Status::budget(
                 fmt::format("{}: a window of {} rows needs {}, and putting rows together that are stored by "
                             "columns (CSC) {}, more than three quarters of the budget",
                             cannot_hold(in.memory, in.memory_of), format_count(asked.sizing.table_rows),
                             format_bytes(asked.sizing.window_bytes), format_bytes(turned)))
          .with_ways_out({at_least((2 * asked.sizing.window_bytes + turned) * 4 / 3 + 1'000'000)});
    }
    const ByteCount enough = asked.sizing.window_bytes * 2 + 1'000'000;
    WayOut fewer{Option::batch_size, "a smaller batch_size", 0, {}};
    if (low > 0) {
      const std::uint64_t most_rows = low * in.batch_size;
      fewer = {Option::window_rows, fmt::format("window_rows <= {}", most_rows), most_rows, {}};
    }
    return Status::budget(
               fmt::format("{}: a window of {} rows (about {} each, compact) needs {} and the window's "
                           "half of the budget is {}",
                           cannot_hold(in.memory, in.memory_of), format_count(asked.sizing.table_rows),
                           format_bytes(asked.sizing.row_bytes), format_bytes(asked.sizing.window_bytes),
                           format_bytes(share)))
        .with_ways_out({std::move(fewer), at_least(enough)});
  }
  WindowSizing w = lay_out(in, low * in.batch_size, share).sizing;
  if (low < most || in.window_rows == 0) {
    // Spare bytes of the share (up to a quarter more than needed) become pages: room for a wrong estimate.
    const ByteCount spare = std::min<ByteCount>(share - w.window_bytes, w.n_pages * w.page_bytes / 4);
    w.n_pages += spare / w.page_bytes;
    w.window_bytes += spare / w.page_bytes * w.page_bytes;
  }
  if (in.turned_tables > 0) {
    // More than a window needs, as far as it is of use and leaves room for everything else: the fewer groups,
    // the fewer passes.
    const ByteCount room = in.memory / 8 * 5, of_use = in.turned_tables + in.turned_all;
    const ByteCount more = std::min(of_use, room - std::min(room, w.window_bytes));
    w.turned_bytes = std::min(std::max(turned_bytes(in, w.window_rows), more),
                              in.memory / 4 * kTurnedQuarters - w.window_bytes);
  }
  return w;
}

ByteCount slot_granule(ByteCount bytes) { return bytes >= (8 << 20) ? 2 << 20 : 4096; }

namespace {

// What a slot of such batches is charged.
BatchBytes in_granules(ByteCount typical, ByteCount worst) {
  BatchBytes out;
  out.granule = slot_granule(typical);
  out.typical = round_up(typical, out.granule);
  out.worst = round_up(worst, out.granule);
  return out;
}

}  // namespace

std::uint64_t most_entries(const SizingInput& in, std::uint64_t rows) {
  const std::uint64_t copies = std::clamp<std::uint64_t>(in.most_copies, 1, std::max<std::uint64_t>(1, rows));
  using Wide = unsigned __int128;
  // Two bounds hold. No row is longer than the longest. And when no row comes more than `copies` times,
  // there are at least rows / copies different ones, which together have no more entries than the
  // longest that many in the data.
  const Wide most = std::min(static_cast<Wide>(rows) * in.lengths.longest,
                             static_cast<Wide>(copies) * in.lengths.longest_sum(ceil_div(rows, copies)));
  return static_cast<std::uint64_t>(std::min<Wide>(most, std::numeric_limits<std::uint64_t>::max() / 64));
}

std::uint64_t batch_rows(const SizingInput& in) {
  const std::uint64_t share = in.share_rows == 0 ? in.n_rows : in.share_rows;
  return std::clamp<std::uint64_t>(share, 1, most_batch_rows(in.batch_size));
}

BatchBytes batch_bytes(const SizingInput& in, double q_eff) {
  const std::uint64_t q = batch_rows(in);
  const SlotLayout slot(in.contents);
  if (in.contents.x.dense) {
    const ByteCount bytes = slot.planned_bytes(q, 0);
    return in_granules(bytes, bytes);
  }
  const std::uint64_t worst = most_entries(in, q);
  std::uint64_t typical = worst;
  if (!in.shuffle) {
    // Four batches in a row, as the files have them.
    typical = std::min(worst, ceil_div(in.ordered_entries, kHeldBatches));
  } else {
    // Rows of a batch come from many blocks; four standard deviations for rows that share a block's depth.
    const double n = static_cast<double>(std::max<std::uint64_t>(1, in.lengths.rows));
    const double mean = mean_entries(in);
    const double variance =
        in.drawn_mean > 0
            ? in.drawn_variance
            : std::max(in.sampled_variance, in.kept * in.kept * in.lengths.entries_squared / n - mean * mean);
    const double qd = static_cast<double>(q);
    // Rows of a block tend to be alike in length, so that the batch varies as `draws` independent rows would.
    const double draws = std::max(1.0, std::min(qd / 2, q_eff));
    const double expected = qd * mean + 4 * std::sqrt(variance) * qd / std::sqrt(draws);
    typical = std::min(worst, static_cast<std::uint64_t>(std::ceil(expected)));
  }
  return in_granules(slot.planned_bytes(q, typical), slot.planned_bytes(q, worst));
}

namespace {

// Four typical batches, or the largest that there can be: every batch must fit into a slot some time.
ByteCount least_slots(const BatchBytes& batch) { return std::max(kHeldBatches * batch.typical, batch.worst); }

// Everything but the slots, for one thread. Two blocks of read-ahead: while one is decoded the next one is
// read.
ByteCount least_others(const RestInput& in) {
  return in.index_bytes + in.obs_bytes + in.scratch_per_thread + 2 * in.fetch_largest;
}

Status does_not_fit(const SizingInput& in, const RestInput& rest);

}  // namespace

Result<RestSizing> size_rest(const SizingInput& data, const RestInput& in) {
  RestSizing out;
  const ByteCount slots_least = least_slots(in.batch);
  const ByteCount fetch_least = 2 * in.fetch_largest;
  const ByteCount least = least_others(in) + slots_least;
  // The window is at most half, so that the difference does not wrap around; neither do those below, since
  // each part takes no more than what is free.
  if (least > data.memory - in.window_bytes) return does_not_fit(data, in);
  // What follows shares out what is free in the order of its worth, half of it at a time, so that something
  // is left for everybody: with 100 MB free, threads may take 50, then slots 25 and read-ahead 12.
  ByteCount free = data.memory - in.window_bytes - least;
  // Threads first, each with a block's worth of read-ahead.
  const ByteCount per_thread = in.scratch_per_thread + in.fetch_largest;
  const auto more = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      in.threads_wanted - 1,
      per_thread == 0 ? in.threads_wanted : free / 2 / std::max<ByteCount>(1, per_thread)));
  out.threads = 1 + more;
  out.scratch_bytes = out.threads * in.scratch_per_thread;
  out.fetch_bytes = fetch_least + more * in.fetch_largest;
  free -= more * per_thread;
  // Then batches that can be ready ahead of the consumer: a bin's worth and a few.
  const std::uint64_t wanted_slots = in.batch.typical > (4 << 20) ? 8 : in.batches_per_bin + 16;
  const ByteCount slots_more = std::min<ByteCount>(
      free / 2,
      wanted_slots * in.batch.typical > slots_least ? wanted_slots * in.batch.typical - slots_least : 0);
  out.slots_bytes = slots_least + slots_more;
  free -= slots_more;
  // Then read-ahead: enough blocks in flight to hide a slow disk behind the cores.
  const ByteCount fetch_wanted = std::max<ByteCount>(48 * in.fetch_typical, 8 << 20);
  const ByteCount fetch_more =
      std::min<ByteCount>(free / 2, fetch_wanted > out.fetch_bytes ? fetch_wanted - out.fetch_bytes : 0);
  out.fetch_bytes += fetch_more;
  free -= fetch_more;
  out.n_slots = std::clamp<std::uint64_t>(out.slots_bytes / std::max<ByteCount>(1, in.batch.typical),
                                          kHeldBatches, 256);
  // What is left may hold dense forms of batches: one that is in use, and one that the next call fills.
  if (!data.contents.x.dense) {
    const ByteCount bytes = dense_bytes(batch_rows(data), data.contents.x);
    out.dense_bytes = round_up(std::max<ByteCount>(1, bytes), slot_granule(bytes));
    out.dense_buffers = std::min<std::uint64_t>(kDenseBuffers, free / out.dense_bytes);
  }
  return out;
}

namespace {

// Whether a batch of `in` fits beside `others`, once the window has its part. The planner itself is asked: a
// way out that is named must work.
bool batch_fits(const SizingInput& in, ByteCount others) {
  const auto window = size_window(in);
  return window.ok() &&
         window->window_bytes + others + least_slots(batch_bytes(in, window->q_eff)) <= in.memory;
}

// The largest batch_size below that of `in` with which its batches fit; 0: none does.
std::uint64_t largest_batch(const SizingInput& in, ByteCount others) {
  std::uint64_t low = 0, high = std::min(in.batch_size, batch_rows(in)) - 1;
  while (low < high) {
    const std::uint64_t middle = low + (high - low + 1) / 2;
    SizingInput smaller = in;
    smaller.batch_size = middle;
    if (!in.shuffle) smaller.ordered_entries = in.ordered_entries * middle / in.batch_size;
    if (batch_fits(smaller, others)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

// Other batches that fit, found by trying.
std::vector<WayOut> other_batches(const SizingInput& in, ByteCount others) {
  std::vector<WayOut> ways;
  if (in.memory > others) {
    if (const std::uint64_t rows = largest_batch(in, others); rows > 0) {
      ways.push_back({Option::batch_size, fmt::format("batch_size <= {}", rows), rows, {}});
    }
  }
  const BatchContents::Matrix& x = in.contents.x;
  if (x.dense) {
    SizingInput narrower = in;
    narrower.contents.x.values = NumericType::bf16;
    if (numeric_size(x.values) > numeric_size(NumericType::bf16) && batch_fits(narrower, others)) {
      ways.push_back({Option::dtype, "dtype=\"bfloat16\"", 0, "bfloat16"});
    }
    SizingInput sparse = in;
    sparse.contents.x.dense = false;
    if (batch_fits(sparse, others)) ways.push_back({Option::format, "format=\"csr\"", 0, "csr"});
  }
  return ways;
}

std::string batch_in_words(const SizingInput& in, const BatchBytes& bytes) {
  const BatchContents::Matrix& x = in.contents.x;
  const std::string rows = format_count(batch_rows(in));
  return x.dense ? fmt::format("a dense batch of {} x {} {} is {}", rows, format_count(x.n_cols),
                               numeric_name(x.values), format_bytes(bytes.typical))
                 : fmt::format("a CSR batch of {} rows is {} (at most {})", rows, format_bytes(bytes.typical),
                               format_bytes(bytes.worst));
}

// What is too large, and what would do. Either the batches are, or what is needed beside them. The larger of
// the two is to blame, and the message is about that one: advice on the other would not help.
Status does_not_fit(const SizingInput& in, const RestInput& rest) {
  const ByteCount others = least_others(rest);
  const ByteCount slots = least_slots(rest.batch);
  // The window takes half of any budget until it holds every row.
  const bool all_rows = rest.window_bytes < in.memory / 2 - in.window_less - in.memory / 16;
  const ByteCount needed = all_rows ? others + slots + rest.window_bytes : 2 * (others + slots);
  std::string text = cannot_hold(in.memory, in.memory_of) + ": ";
  std::vector<WayOut> ways;
  if (slots >= others) {
    text += fmt::format("{} and at least {} are needed beside {} for metadata, reading and decoding",
                        batch_in_words(in, rest.batch), kHeldBatches, format_bytes(others));
    ways = other_batches(in, others);
  } else {
    text += fmt::format(
        "metadata {}, obs codes {}, one decode thread {} and two blocks of {} are more than its half",
        format_bytes(rest.index_bytes), format_bytes(rest.obs_bytes), format_bytes(rest.scratch_per_thread),
        format_bytes(rest.fetch_largest));
    if (rest.fetch_largest > (1 << 20)) ways.push_back({Option::block_rows, "smaller block_rows", 0, {}});
  }
  ways.push_back(at_least(needed + needed / 50));
  return Status::budget(std::move(text)).with_ways_out(std::move(ways));
}

}  // namespace

}  // namespace penstock::plan
