// A matrix with some of its columns, renumbered. It sits between a source and whoever wants its rows: the
// source decodes into a sink of this file, which leaves entries out, renumbers the others (column_map.cc) and
// hands on what is left. What is read and how blocks are cut stays the source's business.
//
//     tile in     row 7: columns 3 8 9, values 1 5 2     row 8: columns 1 9, values 4 4
//     wanted      9 -> 0, 1 -> 1
//     tile out    row 7: columns 0, values 2             row 8: columns 1 0, values 4 4
//
// Tiles going out are at most kTileRows rows and capacity_ entries, whatever comes in: they are copied out of
// the buffers before the next ones are filled.
#include "source/mapped_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/carver.h"
#include "source/column_major.h"
#include "source/numbers.h"

namespace penstock {
namespace {

constexpr std::size_t kTileRows = 256;
// Entries of a tile: what is handed out is still in the second-level cache.
constexpr std::uint64_t kTileEntries = 8192;

}  // namespace

MappedSource::MappedSource(std::shared_ptr<const RowSource> source, std::shared_ptr<const ColumnMap> map)
    : source_(std::move(source)),
      map_(std::move(map)),
      traits_(source_->traits()),
      // A row is never divided between tiles, so the longest one has to fit.
      capacity_(std::max(kTileEntries, traits_.lengths.longest)) {
  traits_.n_cols = map_->n_cols();
  traits_.index_type = map_->id_type();
  traits_.lengths_are_bounds = true;
}

// What lies in the part of the scratch that is not the other matrix's.
struct MappedSource::Parts {
  std::span<std::byte> ids, values;
  std::span<std::uint64_t> begins, ends;
  std::span<double> totals;
};

MappedSource::Parts MappedSource::parts(Carver& memory) const {
  return {memory.bytes(capacity_ * numeric_size(map_->id_type())), memory.bytes(capacity_ * 8),
          memory.array<std::uint64_t>(kTileRows), memory.array<std::uint64_t>(kTileRows),
          memory.array<double>(kTileRows)};
}

// Tiles of the other matrix in, tiles of this one out.
class MappedSource::Sink final : public RowSink {
 public:
  // `memory`: own_scratch() bytes.
  Sink(const MappedSource& source, std::byte* memory, Scratch& scratch, RowSink& out)
      : s_(source), scratch_(scratch), out_(out) {
    Carver carver(memory);
    const Parts parts = s_.parts(carver);
    ids_ = parts.ids.data();
    values_ = parts.values.data();
    begins_ = parts.begins.data();
    ends_ = parts.ends.data();
    totals_ = parts.totals.data();
  }

  Status csr(const CsrTile& tile) override {
    const std::size_t item = numeric_size(tile.value_type), id = numeric_size(s_.map_->id_type());
    std::uint64_t filled = 0;
    std::size_t first = 0;  // of the rows that lie in the buffers
    for (std::size_t i = 0; i < tile.rows.size(); ++i) {
      // A source promises in its traits how long a row may be. One that breaks the promise is our mistake;
      // files that break theirs are refused inside of the source.
      const std::uint64_t begin = tile.begins[i], n = tile.ends[i] - begin;
      if (n > s_.capacity_) {
        return Status::internal(fmt::format("{}: row {} has {} entries, at most {} were expected", s_.label(),
                                            tile.rows.first + i, n, s_.capacity_));
      }
      // All of the row's entries might be wanted: room is made for n, not for what will be kept.
      if (filled + n > s_.capacity_ || i - first == kTileRows) {
        PENSTOCK_RETURN_IF_ERROR(hand_out(tile, first, i));
        first = i;
        filled = 0;
      }
      const std::byte* const values = tile.values + begin * item;
      constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
      std::size_t bad = kNone;
      const std::size_t kept =
          s_.map_->keep(tile.indices + begin * numeric_size(tile.index_type), tile.index_type, values, item,
                        n, ids_ + filled * id, values_ + filled * item, &bad);
      if (bad != kNone) [[unlikely]] {
        return Status::corrupt(fmt::format("{}: row {}, element {}: column index outside [0, {})", s_.label(),
                                           tile.rows.first + i, tile.first_element + begin + bad,
                                           s_.map_->source_cols()));
      }
      // The total of a row is over all of its columns, also those that are left out: normalising divides by
      // it.
      if (scratch_.totals) totals_[i - first] = sum(tile.value_type, values, n);
      begins_[i - first] = filled;
      filled += kept;
      scratch_.entries_left_out += n - kept;
      ends_[i - first] = filled;
    }
    return tile.rows.size() == 0 ? Status() : hand_out(tile, first, tile.rows.size());
  }

 private:
  // Rows [first, last) of `tile`, which lie in the buffers.
  Status hand_out(const CsrTile& tile, std::size_t first, std::size_t last) {
    CsrTile part = tile;
    part.rows = {tile.rows.first + first, tile.rows.first + last};
    part.begins = begins_;
    part.ends = ends_;
    part.indices = ids_;
    part.values = values_;
    part.index_type = s_.map_->id_type();
    part.totals = scratch_.totals ? totals_ : nullptr;
    return out_.csr(part);
  }

  const MappedSource& s_;
  Scratch& scratch_;
  RowSink& out_;
  std::byte *ids_, *values_;
  std::uint64_t *begins_, *ends_;
  double* totals_;
};

ByteCount MappedSource::own_scratch() const {
  Carver measured;
  parts(measured);
  return measured.used();
}

ByteCount MappedSource::scratch_bytes(RowIndex max_rows) const {
  return own_scratch() + source_->scratch_bytes(max_rows);
}

ByteCount MappedSource::least_scratch_bytes(RowIndex max_rows) const {
  return own_scratch() + source_->least_scratch_bytes(max_rows);
}

Status MappedSource::decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                            RowSink& sink) const {
  PENSTOCK_RETURN_IF_ERROR(check_scratch(*this, scratch, own_scratch()));
  Sink mapped(*this, scratch.bytes.data(), scratch, sink);
  // The front of the scratch is this source's, the rest the other's. `scratch` is lent in between and comes
  // back as it was.
  const auto all = std::exchange(scratch.bytes, scratch.bytes.subspan(own_scratch()));
  const Status status = source_->decode(wanted, fetched, scratch, mapped);
  scratch.bytes = all;
  return status;
}

Result<std::shared_ptr<const RowSource>> MappedSource::resident(MemoryBudget& budget) const {
  PENSTOCK_ASSIGN_OR_RETURN(auto twin, source_->resident(budget));
  return std::shared_ptr<const RowSource>(std::make_shared<const MappedSource>(std::move(twin), map_));
}

std::uint64_t MappedSource::wanted_entries() const {
  const ColumnMajor* columns = source_->by_columns();
  return columns == nullptr ? source_->wanted_entries() : columns->entries_in(*map_);
}

std::shared_ptr<const RowSource> MappedSource::without_totals() const {
  // A dense matrix can leave columns of chunks unread when nobody needs their sums.
  auto narrow = source_->only_columns(*map_);
  return narrow == nullptr ? nullptr : std::make_shared<const MappedSource>(std::move(narrow), map_);
}

}  // namespace penstock
