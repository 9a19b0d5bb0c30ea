// A refused plan names what would be accepted. The formulas of the sizing cannot say: a larger budget has
// larger windows, other blocks and other lists, of which some grow with it. So other options are planned in
// earnest: memory is doubled until a plan fits, then the gap is halved; batch_size goes the other way. Both
// searches stop when they are within a 32nd of the true limit, which is 3 %, or when their time is over.
#include "loader/ways_out.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/types.h"

namespace penstock::loader {
namespace {

using Fits = std::function<bool(const LoaderOptions&)>;

// How long each of the two is looked for.
constexpr std::chrono::seconds kSearchTime{1};
constexpr ByteCount kMostMemory = ByteCount{1} << 50;

class Clock {
 public:
  bool in_time() const { return std::chrono::steady_clock::now() - from_ < kSearchTime; }

 private:
  std::chrono::steady_clock::time_point from_ = std::chrono::steady_clock::now();
};

// As people read it: three digits, rounded up. 5,283,411 is 528.3 units of 10,000, so that 5,290,000 is what
// is tried, and what is said if it fits.
ByteCount three_digits(ByteCount bytes) {
  ByteCount unit = 1;
  while (bytes / unit >= 1000) unit *= 10;
  return ceil_div(bytes, unit) * unit;
}

// About the least budget that is accepted.
std::optional<ByteCount> enough_memory(LoaderOptions options, const Fits& fits) {
  const Clock clock;
  const auto fit = [&](ByteCount memory) {
    options.memory = memory;
    return fits(options);
  };
  // All the time `low` is refused and `high` either was accepted or is the next to be tried.
  ByteCount low = options.memory, high = three_digits(std::max<ByteCount>(2 * low, 100'000));
  while (!fit(high)) {
    if (high > kMostMemory || !clock.in_time()) return std::nullopt;
    low = high;
    high = three_digits(2 * high);
  }
  while (high - low > high / 32 && clock.in_time()) {
    const ByteCount middle = three_digits(low + (high - low) / 2);
    if (middle >= high) break;
    (fit(middle) ? high : low) = middle;
  }
  return high;
}

// About the largest batch_size below `high` that is accepted; `guess`: what is tried first, or 0.
std::optional<std::uint64_t> largest_batch(LoaderOptions options, std::uint64_t high, std::uint64_t guess,
                                           const Fits& fits) {
  const Clock clock;
  const auto fit = [&](std::uint64_t rows) {
    options.batch_size = rows;
    return fits(options);
  };
  // Here it is the other way round: `low` fits in the end, and `high` does not.
  if (high < 2) return std::nullopt;
  std::uint64_t low = guess == 0 ? high / 2 : std::min(guess, high - 1);
  while (low > 0 && !fit(low)) {
    if (!clock.in_time()) return std::nullopt;
    high = std::exchange(low, low / 2);
  }
  if (low == 0) return std::nullopt;
  // The sizing's guess is the most that its formulas allow, so that there is little to gain by going on.
  if (low == guess) return low;
  while (high - low > std::max<std::uint64_t>(1, low / 32) && clock.in_time()) {
    const std::uint64_t middle = low + (high - low) / 2;
    (fit(middle) ? low : high) = middle;
  }
  return low;
}

// What memory has to be: as `enough` says, or else as the sizing guessed, which knows nothing of shares.
std::optional<WayOut> more_memory(std::optional<ByteCount> enough, const WayOut* guess,
                                  const MemoryBudget* whole) {
  if (whole != nullptr) {
    if (!enough) return WayOut{Option::shared_budget, "a larger MemoryBudget", 0, {}};
    const ByteCount all = *enough * whole->loaders();
    return WayOut{Option::shared_budget, fmt::format("a MemoryBudget >= {}", format_bytes(all)), all, {}};
  }
  if (enough) return WayOut{Option::memory, fmt::format("memory >= {}", format_bytes(*enough)), *enough, {}};
  if (guess != nullptr) return *guess;
  return std::nullopt;
}

}  // namespace

Status with_ways_out(Status refusal, const LoaderOptions& options, std::uint64_t n_rows,
                     const MemoryBudget* whole, const Fits& fits) {
  const ErrorFacts& facts = refusal.facts();
  if (facts.way_out(Option::index_memory) != nullptr) return refusal;
  std::vector<WayOut> ways;
  // A checkpoint says what batches and windows are: only memory is left to give.
  if (!options.resume) {
    const std::uint64_t epoch_rows = options.epoch_size == 0 ? n_rows : options.epoch_size;
    // A batch has no more rows than a rank has, so that this is where smaller ones begin.
    const std::uint64_t most = std::min(options.batch_size, ceil_div(epoch_rows, options.world_size));
    const WayOut* guess = facts.way_out(Option::batch_size);
    if (const auto rows = largest_batch(options, most, guess == nullptr ? 0 : guess->number, fits)) {
      ways.push_back({Option::batch_size, fmt::format("batch_size <= {}", *rows), *rows, {}});
    }
    for (const WayOut& way : facts.ways_out) {
      if (way.option != Option::batch_size && way.option != Option::memory) ways.push_back(way);
    }
  }
  if (auto memory = more_memory(enough_memory(options, fits), facts.way_out(Option::memory), whole)) {
    ways.push_back(*std::move(memory));
  }
  return std::move(refusal).with_ways_out(std::move(ways));
}

}  // namespace penstock::loader
