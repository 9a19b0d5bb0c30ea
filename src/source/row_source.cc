// How long rows are, in a fixed space: a histogram whose buckets are exact for short rows and an eighth of an
// octave wide for longer ones, like the steps of a floating-point number with three bits of fraction.
//
//     length    0 ... 15    16 17    18 19    ...    30 31    32-35    36-39 ...
//     bucket    0 ... 15      16       17              23       24       25
//
// What is planned with it errs on the long side: a bucket counts as its largest length. The error is below an
// eighth, and a batch's memory is estimated from the n longest rows (longest_sum), so that no batch is larger
// than planned.
#include "source/row_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/checked.h"

namespace penstock {
namespace {

// Lengths below kExact have a bucket each; above, every octave [2^e, 2^(e+1)) has kSteps equal ones.
constexpr std::uint64_t kExact = 16;
constexpr int kExactLog = 4;
constexpr int kStepsLog = 3;
constexpr int kSteps = 1 << kStepsLog;

}  // namespace

// 1,400 has 11 bits, so that its octave is 10: 1,024 to 2,047. The three bits below the highest are 010,
// which is the third step of eight, 1,280 to 1,407: bucket 16 + (10 - 4) * 8 + 2 = 66.
int RowLengths::bucket_of(std::uint64_t entries) {
  if (entries < kExact) return static_cast<int>(entries);
  const int octave = std::bit_width(entries) - 1;
  const int step = static_cast<int>((entries >> (octave - kStepsLog)) & (kSteps - 1));
  return static_cast<int>(kExact) + (octave - kExactLog) * kSteps + step;
}

std::uint64_t RowLengths::bucket_max(int bucket) {
  if (bucket < static_cast<int>(kExact)) return static_cast<std::uint64_t>(std::max(bucket, 0));
  const int octave = (bucket - static_cast<int>(kExact)) / kSteps + kExactLog;
  if (octave > 63) return ~std::uint64_t{0};
  const auto step = static_cast<std::uint64_t>((bucket - static_cast<int>(kExact)) % kSteps);
  // The last bucket of octave 63 ends at 2^64: the shift yields 0 and the subtraction wraps to the maximum.
  return ((kSteps + step + 1) << (octave - kStepsLog)) - 1;
}

void RowLengths::add(std::uint64_t row_entries) {
  ++rows;
  entries += row_entries;
  entries_squared += static_cast<double>(row_entries) * static_cast<double>(row_entries);
  longest = std::max(longest, row_entries);
  ++histogram[static_cast<std::size_t>(bucket_of(row_entries))];
}

void RowLengths::merge(const RowLengths& other) {
  rows += other.rows;
  entries += other.entries;
  entries_squared += other.entries_squared;
  longest = std::max(longest, other.longest);
  for (std::size_t i = 0; i < histogram.size(); ++i) histogram[i] += other.histogram[i];
}

// Rows lose entries when genes are selected. Those that were longer than can be now fall into the last bucket
// that is left.
void RowLengths::clip(std::uint64_t most) {
  if (longest <= most) return;
  longest = most;
  const auto last = static_cast<std::size_t>(bucket_of(most));
  for (std::size_t i = last + 1; i < histogram.size(); ++i) {
    histogram[last] += std::exchange(histogram[i], 0);
  }
}

std::uint64_t RowLengths::longest_sum(std::uint64_t n) const {
  std::uint64_t sum = 0;
  for (int bucket = kBuckets - 1; bucket >= 0 && n > 0; --bucket) {
    // From the longest bucket down, until n rows are together.
    const std::uint64_t count = std::min(n, histogram[static_cast<std::size_t>(bucket)]);
    // A sum that wraps would plan too little memory; one that stays at the top is refused by the budget.
    sum = saturating_add(sum, saturating_mul(count, std::min(bucket_max(bucket), longest)));
    n -= count;
  }
  // No rows have more entries than all rows have.
  return std::min(sum, entries);
}

Status check_scratch(const RowSource& source, const Scratch& scratch, ByteCount needed) {
  if (scratch.bytes.size() >= needed && scratch.codec != nullptr) return {};
  return Status::internal(fmt::format("{}: a scratch of {} bytes, {} are needed, or no codec", source.label(),
                                      scratch.bytes.size(), needed));
}

}  // namespace penstock
