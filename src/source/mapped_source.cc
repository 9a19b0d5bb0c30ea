#include "source/mapped_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/checked.h"
#include "source/numbers.h"

namespace penstock {
namespace {

constexpr ByteCount kAlign = 64;
constexpr std::size_t kTileRows = 256;
// Entries of a tile: what is handed out is still in the second-level cache.
constexpr std::uint64_t kTileEntries = 8192;

}  // namespace

MappedSource::MappedSource(std::shared_ptr<const RowSource> source, std::shared_ptr<const ColumnMap> map)
    : source_(std::move(source)),
      map_(std::move(map)),
      traits_(source_->traits()),
      capacity_(std::max(kTileEntries, traits_.lengths.longest)) {
  traits_.n_cols = map_->n_cols();
  traits_.index_type = map_->id_type();
  traits_.lengths_are_bounds = true;
}

// Tiles of the other matrix in, tiles of this one out.
class MappedSource::Sink final : public RowSink {
 public:
  // `memory`: own_scratch() bytes.
  Sink(const MappedSource& source, std::byte* memory, Scratch& scratch, RowSink& out)
      : s_(source), scratch_(scratch), out_(out) {
    const auto carve = [&memory](ByteCount bytes) {
      std::byte* const begin = memory;
      memory += round_up(bytes, kAlign);
      return begin;
    };
    ids_ = carve(s_.capacity_ * numeric_size(s_.map_->id_type()));
    values_ = carve(s_.capacity_ * 8);
    begins_ = reinterpret_cast<std::uint64_t*>(carve(kTileRows * 8));
    ends_ = reinterpret_cast<std::uint64_t*>(carve(kTileRows * 8));
    totals_ = reinterpret_cast<double*>(carve(kTileRows * 8));
  }

  Status csr(const CsrTile& tile) override {
    const std::size_t item = numeric_size(tile.value_type), id = numeric_size(s_.map_->id_type());
    std::uint64_t filled = 0;
    std::size_t first = 0;  // of the rows that lie in the buffers
    for (std::size_t i = 0; i < tile.rows.size(); ++i) {
      const std::uint64_t begin = tile.begins[i], n = tile.ends[i] - begin;
      if (n > s_.capacity_) {
        return Status::internal(fmt::format("{}: row {} has {} entries, at most {} were expected", s_.label(),
                                            tile.rows.first + i, n, s_.capacity_));
      }
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
  return round_up(capacity_ * numeric_size(map_->id_type()), kAlign) + round_up(capacity_ * 8, kAlign) +
         3 * round_up(kTileRows * 8, kAlign);
}

ByteCount MappedSource::scratch_bytes(RowIndex max_rows) const {
  return own_scratch() + source_->scratch_bytes(max_rows);
}

Status MappedSource::decode(std::span<const RowRange> wanted, const Fetched& fetched, Scratch& scratch,
                            RowSink& sink) const {
  if (scratch.bytes.size() < own_scratch()) {
    return Status::internal(fmt::format("{}: a scratch of {} bytes, {} are needed", label(),
                                        scratch.bytes.size(), own_scratch()));
  }
  Sink mapped(*this, scratch.bytes.data(), scratch, sink);
  const auto all = std::exchange(scratch.bytes, scratch.bytes.subspan(own_scratch()));
  const Status status = source_->decode(wanted, fetched, scratch, mapped);
  scratch.bytes = all;
  return status;
}

Result<std::shared_ptr<const RowSource>> MappedSource::resident(MemoryBudget& budget) const {
  PENSTOCK_ASSIGN_OR_RETURN(auto twin, source_->resident(budget));
  return std::shared_ptr<const RowSource>(std::make_shared<const MappedSource>(std::move(twin), map_));
}

}  // namespace penstock
