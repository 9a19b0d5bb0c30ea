#include "dataset/row_keys.h"

#include <fmt/format.h>

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

// A code below 0 says that there is no value, which is a value of its own here.
Status each_label(std::span<const std::int32_t> labels,
                  const std::function<Status(std::span<const ObsKey>)>& sink) {
  constexpr std::size_t kAtOnce = 4096;
  std::vector<ObsKey> keys;
  for (std::size_t first = 0; first < labels.size(); first += kAtOnce) {
    keys.clear();
    for (const std::int32_t label : labels.subspan(first, std::min(kAtOnce, labels.size() - first))) {
      keys.push_back({std::max(label, 0), label < 0});
    }
    PENSTOCK_RETURN_IF_ERROR(sink(keys));
  }
  return {};
}

}  // namespace

// A row's number says which values it has in all columns read so far. A column makes new numbers of pairs:
// the number that the row had, and its value. Columns `donor` (a a b b) and `day` (1 2 1 1):
//
//     before        0 0 0 0
//     with donor    0 0 1 1      (0, a) is 0, (0, b) is 1
//     with day      0 1 2 2      (0, 1) is 0, (0, 2) is 1, (1, 1) is 2
//
// So a group of any number of columns is one integer, in one byte a row as long as there are no more than 256
// groups. The numbers follow the order of rows, and not that of values or of a table's buckets: they are the
// same on every machine.

Status RowKeys::set(std::uint64_t position, std::uint32_t key, MemoryBudget& budget) {
  const std::size_t needed = key <= 0xff ? 1 : key <= 0xffff ? 2 : 4;
  // A number that no longer fits makes all of them wider: at the 257th group, and at the 65,537th.
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

Status RowKeys::add(const std::string& name, const Values& values, MemoryBudget& budget) {
  std::unordered_map<Pair, std::uint32_t, PairHash> numbers;
  PENSTOCK_ASSIGN_OR_RETURN(Reservation held,
                            reserve_for(name, budget, MemoryTag::obs, kFirstKeys * kBytesPerKey));
  std::uint64_t room = kFirstKeys, position = 0;
  Pair last;
  std::uint32_t number = 0;
  return values([&](std::span<const ObsKey> some) -> Status {
    for (const ObsKey& value : some) {
      const Pair pair{(*this)[position], value};
      // Neighbours mostly agree.
      if (position == 0 || !(pair == last)) {
        // The table of pairs is charged in steps, twice as much each time, before it grows.
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
                              const std::vector<std::int32_t>* labels, std::span<const FilePart> parts,
                              MemoryBudget& budget) {
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
      PENSTOCK_RETURN_IF_ERROR(out.add(
          name, [&](const Sink& sink) { return obs.keys(name, parts, sink); }, budget));
    }
    if (labels != nullptr) {
      if (labels->size() != out.n_rows_) {
        return Status::invalid_argument(
            fmt::format("{} labels for {} selected rows: one each, in their order",
                        format_count(labels->size()), format_count(out.n_rows_)));
      }
      PENSTOCK_ASSIGN_OR_RETURN(const Reservation held, reserve_for("labels given", budget, MemoryTag::obs,
                                                                    labels->size() * sizeof(std::int32_t)));
      PENSTOCK_RETURN_IF_ERROR(out.add(
          "labels given", [&](const Sink& sink) { return each_label(*labels, sink); }, budget));
    }
    // Two passes over the numbers: how many groups there are, then how many rows each has.
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
