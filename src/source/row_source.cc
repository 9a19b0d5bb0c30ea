#include "source/row_source.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace penstock {
namespace {

// Lengths below kExact have a bucket each; above, every octave [2^e, 2^(e+1)) has kSteps equal ones.
constexpr std::uint64_t kExact = 16;
constexpr int kExactLog = 4;
constexpr int kStepsLog = 3;
constexpr int kSteps = 1 << kStepsLog;

std::uint64_t saturating_mul_add(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  std::uint64_t r = 0;
  if (__builtin_mul_overflow(a, b, &r) || __builtin_add_overflow(r, c, &r)) return ~std::uint64_t{0};
  return r;
}

}  // namespace

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
    const std::uint64_t count = std::min(n, histogram[static_cast<std::size_t>(bucket)]);
    sum = saturating_mul_add(count, std::min(bucket_max(bucket), longest), sum);
    n -= count;
  }
  return std::min(sum, entries);
}

}  // namespace penstock
