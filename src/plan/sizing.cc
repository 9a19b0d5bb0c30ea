#include "plan/sizing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/checked.h"
#include "penstock/memory_budget.h"

namespace penstock::plan {
namespace {

// Cost of the chunk that a block's last row runs into, in chunks: inflating half a row's head (0.12) and
// reading the whole chunk for it (0.06).
constexpr double kHeadCost = 0.18;

}  // namespace

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

namespace {

constexpr std::uint64_t kSlotAlign = 64;
constexpr std::uint64_t kRowEntryBytes = 16;  // row table, per row and window
// Row number and labels of a row in the window. A fixed allowance: the window, and with it the order of rows,
// must not depend on which labels travel along.
constexpr std::uint64_t kRecordBytes = 24;
constexpr std::uint64_t kBinBytes = 192;  // bin state, per bin and window
constexpr std::uint64_t kPageLinkBytes = 4;
constexpr std::uint64_t kWindowsAtOnce = 2;  // one drains while the next fills
constexpr ByteCount kMinPage = 16 << 10, kMaxPage = 256 << 10;
constexpr std::uint64_t kMinBinRows = 512;
constexpr std::uint64_t kHeldBatches = 4;  // list(islice(loader, 4)) works under every accepted plan
constexpr double kMaxAmplification = 1.15;
constexpr double kMaxChunksPerBlock = 32;  // larger blocks gain nothing

double mean_entries(const SizingInput& in) {
  if (in.drawn_mean > 0) return in.drawn_mean;
  return in.lengths.rows == 0
             ? 0
             : in.kept * static_cast<double>(in.lengths.entries) / static_cast<double>(in.lengths.rows);
}

// The largest block with q_eff >= 0.8 min(q, 1024), else the smallest whose read amplification is <= 1.15. In
// file order, where blocks mix nothing, a small part of the window: two of them and a thread's scratch, all
// in bytes as stored, must fit beside its compact rows.
std::uint64_t choose_block_rows(const SizingInput& in, double s) {
  if (in.block_rows != 0) return in.block_rows;
  const double q = static_cast<double>(in.batch_size);
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
  if (in.rows_per_chunk == 0) b = std::max(b, 16.0);  // row-addressable: keep reads of a few KB at least
  return static_cast<std::uint64_t>(std::max(1.0, std::floor(b)));
}

struct Layout {
  WindowSizing sizing;
  bool fits = false;
};

// Lays out a window of s rows in `share` bytes.
Layout lay_out(const SizingInput& in, std::uint64_t s, ByteCount share) {
  Layout out;
  WindowSizing& w = out.sizing;
  w.window_rows = s;
  w.block_rows = choose_block_rows(in, static_cast<double>(s));
  w.q_eff = effective_rows(static_cast<double>(in.batch_size), static_cast<double>(w.block_rows),
                           static_cast<double>(s));
  w.bin_rows = in.batch_size * std::max<std::uint64_t>(1, ceil_div(kMinBinRows, in.batch_size));
  w.n_bins = ceil_div(s, w.bin_rows);
  const double id_bytes = in.n_cols <= 65536 ? 2 : 4;
  w.row_bytes = round_up(kRecordBytes + static_cast<ByteCount>(std::ceil(
                                            mean_entries(in) * (id_bytes + in.value_bytes_in_window))),
                         8);
  const ByteCount tables = kWindowsAtOnce * (s * kRowEntryBytes + w.n_bins * kBinBytes) + (64 << 10);
  w.page_bytes = std::clamp<ByteCount>(share / (16 * w.n_bins) / 4096 * 4096, kMinPage, kMaxPage);
  // A page loses half a row at its end, a bin half a page, and a block in flight pledges a page per bin it
  // may open.
  const double usable =
      static_cast<double>(w.page_bytes) - static_cast<double>(std::min(w.row_bytes, w.page_bytes)) / 2;
  const double pages = static_cast<double>(s) * static_cast<double>(w.row_bytes) / usable +
                       static_cast<double>(w.n_bins) +
                       static_cast<double>(std::min(w.block_rows, w.n_bins) + 2);
  w.n_pages = static_cast<std::uint64_t>(std::ceil(pages * 1.02));
  w.window_bytes = tables + w.n_pages * (w.page_bytes + kPageLinkBytes);
  out.fits = w.window_bytes <= share;
  return out;
}

}  // namespace

Result<WindowSizing> size_window(const SizingInput& in) {
  const ByteCount share = in.memory / 2;
  const std::uint64_t all = round_up(std::max<std::uint64_t>(in.n_rows, 1), in.batch_size);
  const std::uint64_t wanted =
      in.window_rows == 0 ? all : std::min(all, round_up(in.window_rows, in.batch_size));
  const std::uint64_t most = wanted / in.batch_size;
  // The largest number of batches that fits; lay_out grows with s but for the steps of page and block size.
  std::uint64_t low = 0, high = most;
  while (low < high) {
    const std::uint64_t middle = low + (high - low + 1) / 2;
    if (lay_out(in, middle * in.batch_size, share).fits) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  if (low == 0 || (in.window_rows != 0 && low < most)) {
    const std::uint64_t rows = low == 0 ? in.batch_size : most * in.batch_size;
    const Layout asked = lay_out(in, rows, share);
    return Status::budget(fmt::format(
        "memory={} cannot hold this plan: a window of {} rows (about {} each, compact) needs {} and the "
        "window's half of the "
        "budget is {}. Use {}memory >= {}.",
        format_bytes(in.memory), format_count(rows), format_bytes(asked.sizing.row_bytes),
        format_bytes(asked.sizing.window_bytes), format_bytes(share),
        low == 0 ? "a smaller batch_size, or " : fmt::format("window_rows <= {}, or ", low * in.batch_size),
        format_bytes(asked.sizing.window_bytes * 2 + 1'000'000)));
  }
  Layout best = lay_out(in, low * in.batch_size, share);
  WindowSizing w = best.sizing;
  if (low < most || in.window_rows == 0) {
    // Spare bytes of the share (up to a quarter more than needed) become pages: room for a wrong estimate.
    const ByteCount spare = std::min<ByteCount>(share - w.window_bytes, w.n_pages * w.page_bytes / 4);
    w.n_pages += spare / w.page_bytes;
    w.window_bytes += spare / w.page_bytes * w.page_bytes;
  }
  return w;
}

ByteCount csr_slot_bytes(const SizingInput& in, std::uint64_t rows, std::uint64_t entries) {
  return round_up((rows + 1) * in.index_bytes, kSlotAlign) + round_up(rows * 8, kSlotAlign) +
         rows * in.label_output_bytes + 8 * kSlotAlign * 8 + round_up(entries * in.index_bytes, kSlotAlign) +
         round_up(entries * in.value_bytes, kSlotAlign);
}

ByteCount dense_slot_bytes(const SizingInput& in, std::uint64_t rows) {
  return round_up(rows * in.n_cols * in.value_bytes, kSlotAlign) + round_up(rows * 8, kSlotAlign) +
         rows * in.label_output_bytes + 8 * kSlotAlign * 8;
}

namespace {

// What a slot of such batches is charged.
BatchBytes in_granules(ByteCount typical, ByteCount worst) {
  BatchBytes out;
  out.granule = typical >= (8 << 20) ? 2 << 20 : 4096;
  out.typical = round_up(typical, out.granule);
  out.worst = round_up(worst, out.granule);
  return out;
}

}  // namespace

std::uint64_t most_entries(const SizingInput& in, std::uint64_t rows) {
  const std::uint64_t copies = std::clamp<std::uint64_t>(in.most_copies, 1, std::max<std::uint64_t>(1, rows));
  using Wide = unsigned __int128;
  const Wide most = std::min(static_cast<Wide>(rows) * in.lengths.longest,
                             static_cast<Wide>(copies) * in.lengths.longest_sum(ceil_div(rows, copies)));
  return static_cast<std::uint64_t>(std::min<Wide>(most, std::numeric_limits<std::uint64_t>::max() / 64));
}

BatchBytes batch_bytes(const SizingInput& in, double q_eff) {
  const std::uint64_t q = std::max<std::uint64_t>(1, std::min(in.batch_size, in.n_rows));
  if (in.dense) {
    const ByteCount bytes = dense_slot_bytes(in, q);
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
        in.drawn_mean > 0 ? in.drawn_variance
                          : std::max(0.0, in.kept * in.kept * in.lengths.entries_squared / n - mean * mean);
    const double qd = static_cast<double>(q);
    const double draws = std::max(1.0, std::min(qd / 2, q_eff));
    const double expected = qd * mean + 4 * std::sqrt(variance) * qd / std::sqrt(draws);
    typical = std::min(worst, static_cast<std::uint64_t>(std::ceil(expected)));
  }
  return in_granules(csr_slot_bytes(in, q, typical), csr_slot_bytes(in, q, worst));
}

namespace {

ByteCount least_slots(const BatchBytes& batch) { return std::max(kHeldBatches * batch.typical, batch.worst); }

// Everything but the slots, for one thread.
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
  if (least > data.memory - in.window_bytes) return does_not_fit(data, in);
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
  out.fetch_bytes +=
      std::min<ByteCount>(free / 2, fetch_wanted > out.fetch_bytes ? fetch_wanted - out.fetch_bytes : 0);
  out.n_slots = std::clamp<std::uint64_t>(out.slots_bytes / std::max<ByteCount>(1, in.batch.typical),
                                          kHeldBatches, 256);
  return out;
}

namespace {

// What is too large and every way out that works, found by trying.
Status does_not_fit(const SizingInput& in, const RestInput& rest) {
  const ByteCount others = least_others(rest);
  const ByteCount slots = least_slots(rest.batch);
  // The window takes half of any budget until it holds every row.
  const bool all_rows = rest.window_bytes < in.memory / 2 - in.memory / 16;
  const ByteCount needed = all_rows ? others + slots + rest.window_bytes : 2 * (others + slots);
  std::string text = fmt::format("memory={} cannot hold this plan: ", format_bytes(in.memory));
  std::string ways;
  const auto way = [&ways](const std::string& w) { ways += (ways.empty() ? "" : ", ") + w; };
  if (slots >= others) {
    text += in.dense ? fmt::format("a dense batch of {} x {} {} is {}", format_count(in.batch_size),
                                   format_count(in.n_cols), in.dtype_name, format_bytes(rest.batch.typical))
                     : fmt::format("a CSR batch of {} rows is {} (at most {})", format_count(in.batch_size),
                                   format_bytes(rest.batch.typical), format_bytes(rest.batch.worst));
    text += fmt::format(" and at least {} are needed beside {} for metadata, reading and decoding",
                        kHeldBatches, format_bytes(others));
    if (in.memory > others) {
      std::uint64_t low = 0, high = in.batch_size - 1;
      while (low < high) {
        const std::uint64_t middle = low + (high - low + 1) / 2;
        SizingInput smaller = in;
        smaller.batch_size = middle;
        if (!in.shuffle) smaller.ordered_entries = in.ordered_entries * middle / in.batch_size;
        const auto window = size_window(smaller);
        if (window.ok() &&
            window->window_bytes + others + least_slots(batch_bytes(smaller, window->q_eff)) <= in.memory) {
          low = middle;
        } else {
          high = middle - 1;
        }
      }
      if (low > 0) way(fmt::format("batch_size <= {}", low));
    }
    if (in.dense) {
      const auto works = [&](SizingInput other) {
        const auto window = size_window(other);
        return window.ok() &&
               window->window_bytes + others + least_slots(batch_bytes(other, window->q_eff)) <= in.memory;
      };
      SizingInput other = in;
      other.value_bytes = 2;
      if (in.value_bytes > 2 && works(other)) way("dtype=\"bfloat16\"");
      other = in;
      other.dense = false;
      if (works(other)) way("format=\"csr\"");
    }
  } else {
    text += fmt::format(
        "metadata {}, obs codes {}, one decode thread {} and two blocks of {} are more than its half",
        format_bytes(rest.index_bytes), format_bytes(rest.obs_bytes), format_bytes(rest.scratch_per_thread),
        format_bytes(rest.fetch_largest));
    if (rest.fetch_largest > (1 << 20)) way("smaller block_rows");
  }
  way(fmt::format("memory >= {}", format_bytes(needed + needed / 50)));
  const auto last = ways.rfind(", ");
  if (last != std::string::npos) ways = ways.substr(0, last) + " or " + ways.substr(last + 2);
  return Status::budget(text + ". Use " + ways + ".");
}

}  // namespace

}  // namespace penstock::plan
