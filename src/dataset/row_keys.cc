#include "dataset/row_keys.h"

#include <algorithm>
#include <new>
#include <unordered_map>

#include "base/permutation.h"
#include "dataset/selection.h"
#include "memory/reserve_for.h"

namespace penstock::internal {

namespace {

// A row's key so far and its value in one more column.
struct Pair {
  std::uint32_t before = 0;
  ObsKey value;
  bool operator==(const Pair& other) const {
    return before == other.before && value.value == other.value.value && value.missing == other.value.missing;
  }
};
struct PairHash {
  std::size_t operator()(const Pair& p) const {
    return mix(p.before, static_cast<std::uint64_t>(p.value.value), p.value.missing ? 1 : 0);
  }
};

constexpr ByteCount kBytesPerKey = 96;  // a node and its bucket, while the table grows
constexpr std::uint64_t kFirstKeys = 1024;

}  // namespace

Status RowKeys::set(std::uint64_t position, std::uint32_t key, MemoryBudget& budget) {
  const std::size_t needed = key <= 0xff ? 1 : key <= 0xffff ? 2 : 4;
  if (needed > width_) {
    // Both are there while the numbers move.
    PENSTOCK_RETURN_IF_ERROR(
        resize_for("numbers of groups", budget, held_, MemoryTag::obs, n_rows_ * (width_ + needed)));
    std::vector<std::byte> wider(n_rows_ * needed);
    for (std::uint64_t i = 0; i < n_rows_; ++i) {
      std::memcpy(wider.data() + i * needed, keys_.data() + i * width_, width_);
    }
    keys_.swap(wider);
    width_ = needed;
    wider = {};
    (void)held_.resize(n_rows_ * width_);  // shrinks
  }
  std::memcpy(keys_.data() + position * width_, &key, width_);
  return {};
}

Status RowKeys::add_column(const ObsTable& obs, const std::string& name, std::span<const FilePart> parts,
                           MemoryBudget& budget) {
  std::unordered_map<Pair, std::uint32_t, PairHash> numbers;
  PENSTOCK_ASSIGN_OR_RETURN(Reservation held,
                            reserve_for(name, budget, MemoryTag::obs, kFirstKeys * kBytesPerKey));
  std::uint64_t room = kFirstKeys, position = 0;
  Pair last;
  std::uint32_t number = 0;
  return obs.keys(name, parts, [&](std::span<const ObsKey> values) -> Status {
    for (const ObsKey& value : values) {
      const Pair pair{(*this)[position], value};
      // Neighbours mostly agree.
      if (position == 0 || !(pair == last)) {
        if (numbers.size() == room) {
          PENSTOCK_RETURN_IF_ERROR(resize_for(name, budget, held, MemoryTag::obs, 2 * room * kBytesPerKey));
          room *= 2;
        }
        number = numbers.try_emplace(pair, static_cast<std::uint32_t>(numbers.size())).first->second;
        last = pair;
      }
      PENSTOCK_RETURN_IF_ERROR(set(position++, number, budget));
    }
    return {};
  });
}

Result<RowKeys> RowKeys::read(const ObsTable& obs, std::span<const std::string> columns,
                              std::span<const FilePart> parts, MemoryBudget& budget) {
  try {
    RowKeys out;
    out.n_rows_ = selected_rows(parts);
    if (out.n_rows_ > 0xffffffffULL) {
      return Status::unsupported(format_count(out.n_rows_) +
                                 " rows in one selection by column; 4,294,967,295 are the most");
    }
    PENSTOCK_ASSIGN_OR_RETURN(out.held_,
                              reserve_for("numbers of groups", budget, MemoryTag::obs, out.n_rows_));
    out.keys_.resize(out.n_rows_);
    for (const std::string& name : columns) {
      PENSTOCK_RETURN_IF_ERROR(out.add_column(obs, name, parts, budget));
    }
    std::uint64_t n = 0;
    for (std::uint64_t i = 0; i < out.n_rows_; ++i) n = std::max<std::uint64_t>(n, out[i] + std::uint64_t{1});
    PENSTOCK_ASSIGN_OR_RETURN(
        out.held_sizes_, reserve_for("sizes of groups", budget, MemoryTag::obs, n * sizeof(std::uint64_t)));
    out.sizes_.resize(n);
    for (std::uint64_t i = 0; i < out.n_rows_; ++i) ++out.sizes_[out[i]];
    return out;
  } catch (const std::bad_alloc&) {
    return Status::budget("the system has no memory for the numbers of groups");
  }
}

}  // namespace penstock::internal
