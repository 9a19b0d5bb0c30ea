#include "loader/sample.h"

#include <algorithm>
#include <chrono>

#include "base/checked.h"
#include "loader/encode.h"
#include "loader/sync_read.h"
#include "memory/slab.h"

namespace penstock::loader {
namespace {

constexpr std::uint64_t kFiles = 8;
constexpr RowIndex kRows = 64;

// Adds up what rows come to in the window, in the file's own value type and in the output type.
class Weigh : public RowSink {
 public:
  Weigh(RowEncoder* stored, RowEncoder* output, const std::string& label)
      : stored_(stored), output_(output), label_(label) {}
  Status csr(const CsrTile& tile) override {
    for (std::size_t i = 0; i < tile.rows.size(); ++i) {
      EncodedRow row;
      PENSTOCK_RETURN_IF_ERROR(stored_->encode(tile, i, label_, &row));
      const ByteCount stored = row.value_bytes;
      PENSTOCK_RETURN_IF_ERROR(output_->encode(tile, i, label_, &row));
      ++rows;
      entries += row.n;
      value_bytes += std::max(stored, row.value_bytes);
    }
    return {};
  }
  std::uint64_t rows = 0, entries = 0, value_bytes = 0;

 private:
  RowEncoder *stored_, *output_;
  const std::string& label_;
};

// Adds up entries.
class Count : public RowSink {
 public:
  Status csr(const CsrTile& tile) override {
    for (std::size_t i = 0; i < tile.rows.size(); ++i) entries += tile.ends[i] - tile.begins[i];
    return {};
  }
  std::uint64_t entries = 0;
};

}  // namespace

Result<Sample> take_sample(std::span<const internal::FilePart> parts, ColIndex n_cols, NumericType output,
                           MemoryBudget& budget) {
  Sample out;
  double seconds = 0;
  std::uint64_t value_bytes = 0, left_out = 0;
  const std::uint64_t n_files = std::min<std::uint64_t>(kFiles, parts.size());
  for (std::uint64_t i = 0; i < n_files; ++i) {
    const RowSource& source = *parts[i * parts.size() / n_files].source;
    const SourceTraits& traits = source.traits();
    for (const RowIndex first : {RowIndex{0}, traits.n_rows / 2}) {
      const RowRange range{first, std::min(traits.n_rows, first + kRows)};
      if (range.size() == 0) continue;
      RequestList list;
      PENSTOCK_RETURN_IF_ERROR(source.requests({&range, 1}, Heads::whole, list));
      list.coalesce(kCoalesceGap, kCoalesceMax);
      const ByteCount encode =
          round_up(std::max(RowEncoder::bytes_needed(traits.lengths.longest, n_cols, output),
                            RowEncoder::bytes_needed(traits.lengths.longest, n_cols, traits.value_type)),
                   64);
      const ByteCount decode = round_up(source.scratch_bytes(range.size()), 64);
      PENSTOCK_ASSIGN_OR_RETURN(const Reservation held,
                                budget.reserve(MemoryTag::scratch, encode + decode + list.total_bytes()));
      PENSTOCK_ASSIGN_OR_RETURN(const Slab slab, Slab::map(encode + decode + list.total_bytes(), false));
      const std::span<std::byte> bytes = slab.bytes().subspan(encode + decode);
      // What cannot be read surfaces with the batch that needs it, if any does.
      if (!read_requests(list, bytes).ok()) continue;
      CodecContext codec;
      Scratch scratch{slab.bytes().subspan(encode, decode), &codec};
      // One after the other in the same buffer: only the sizes are wanted.
      RowEncoder stored(slab.bytes().first(encode), traits.lengths.longest, n_cols, traits.value_type);
      RowEncoder converted(slab.bytes().first(encode), traits.lengths.longest, n_cols, output);
      Weigh sink(&stored, &converted, source.label());
      // Twice: the first pass pays for page faults and cold tables.
      bool decoded = true;
      for (const bool timed : {false, true}) {
        const auto from = std::chrono::steady_clock::now();
        decoded =
            decoded && source.decode({&range, 1}, Fetched(list.requests(), bytes.data()), scratch, sink).ok();
        if (timed) seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
      }
      if (!decoded) continue;
      out.rows += sink.rows / 2;
      out.entries += sink.entries / 2;
      left_out += scratch.entries_left_out / 2;
      value_bytes += sink.value_bytes / 2;
    }
  }
  if (out.entries > 0) out.value_bytes = static_cast<double>(value_bytes) / static_cast<double>(out.entries);
  if (left_out > 0) {
    // At least one entry in a row, so that a selection that the sample has nothing of is not planned for as
    // nothing.
    out.kept = static_cast<double>(std::max(out.entries, out.rows)) /
               static_cast<double>(std::max(out.entries + left_out, out.rows));
  }
  if (out.rows > 0) out.seconds_per_row = seconds / static_cast<double>(out.rows);
  return out;
}

Result<DrawnLengths> measure_drawn(std::span<const internal::FilePart> parts,
                                   std::span<const RowWeights::Drawn> rows, MemoryBudget& budget) {
  DrawnLengths out;
  double n = 0, sum = 0, squares = 0;
  CodecContext codec;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const RowSource& source = *parts[rows[i].file].source;
    const RowRange range{rows[i].row, rows[i].row + 1};
    RequestList list;
    PENSTOCK_RETURN_IF_ERROR(source.requests({&range, 1}, Heads::whole, list));
    list.coalesce(kCoalesceGap, kCoalesceMax);
    const ByteCount decode = round_up(source.scratch_bytes(1), 64);
    PENSTOCK_ASSIGN_OR_RETURN(const Reservation held,
                              budget.reserve(MemoryTag::scratch, decode + list.total_bytes()));
    PENSTOCK_ASSIGN_OR_RETURN(const Slab slab, Slab::map(decode + list.total_bytes(), false));
    const std::span<std::byte> bytes = slab.bytes().subspan(decode);
    if (!read_requests(list, bytes).ok()) continue;
    Scratch scratch{slab.bytes().first(decode), &codec};
    Count sink;
    if (!source.decode({&range, 1}, Fetched(list.requests(), bytes.data()), scratch, sink).ok()) continue;
    const double entries = static_cast<double>(sink.entries);
    ++n;
    sum += entries;
    squares += entries * entries;
  }
  if (n == 0) return out;
  out.mean = sum / n;
  out.variance = std::max(0.0, squares / n - out.mean * out.mean);
  return out;
}

}  // namespace penstock::loader
