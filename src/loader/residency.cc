// Sizes in, a choice out. What the rule is for is in the header's note; here are its numbers.
#include "loader/residency.h"

#include <algorithm>
#include <atomic>

#include "base/checked.h"

namespace penstock::loader {
namespace {

// Parts of the budget.
constexpr double kShare = 0.1;          // for what saves little
constexpr double kLabelShare = 0.2;     // for offsets and labels together
constexpr double kDearShare = 1 / 3.0;  // for offsets that are dear to read again
constexpr double kWindowLess = 1 / 16.0;
constexpr double kReading = 1 / 64.0;  // set aside for reading and decoding

constexpr std::uint64_t kBatches = 4;  // that every plan has room for
constexpr double kReread = 0.1;        // of a block's bytes that reading its offsets again may cost

std::atomic<bool> g_keep_nothing{false};

}  // namespace

Residency choose_residency(const ResidencyInput& in) {
  if (g_keep_nothing.load(std::memory_order_relaxed)) return {};
  const auto share = [&](double of) { return static_cast<ByteCount>(of * static_cast<double>(in.memory)); };
  // Of the half that is not the window's, beside so many batches.
  const auto room = [&](ByteCount batch) {
    const ByteCount taken = saturating_add(saturating_mul(kBatches, batch), in.metadata + share(kReading));
    return in.memory / 2 - std::min(in.memory / 2, taken);
  };
  Residency out;
  const ByteCount beside = room(in.csr_batch);
  out.offsets = in.offsets <= std::min(share(in.dear ? kDearShare : kShare), beside);
  if (!out.offsets && in.dear) {
    out.window_less = share(kWindowLess);
    out.offsets = in.offsets <= std::min(share(kDearShare), beside + out.window_less);
    if (!out.offsets) out.window_less = 0;
  }
  const ByteCount both = saturating_add(out.offsets ? in.offsets : 0, in.labels);
  out.labels = both <= share(kShare) || both <= std::min(share(kLabelShare), room(in.batch));
  return out;
}

ByteCount memory_that_keeps(ResidencyInput in) {
  const auto keeps = [&in](ByteCount memory) {
    in.memory = memory;
    return choose_residency(in).offsets;
  };
  ByteCount low = 0, high = ByteCount{1} << 50;
  while (low + 1 < high) {
    const ByteCount middle = low + (high - low) / 2;
    (keeps(middle) ? high : low) = middle;
  }
  return high;
}

double rows_to_reread(std::span<const internal::FilePart> parts) {
  double most = 0;
  for (const auto& part : parts) {
    const SourceTraits& t = part.source->traits();
    if (t.offset_chunk == 0 || t.lengths.entries == 0 || t.n_rows == 0) continue;
    const double rows = static_cast<double>(t.n_rows);
    const double row = static_cast<double>(t.lengths.entries) / rows *
                       static_cast<double>(numeric_size(t.value_type) + numeric_size(t.index_type));
    // Decoded up to the block's last row, which lies anywhere in a chunk; read whole.
    most = std::max(most, static_cast<double>(t.offset_chunk) / 2 / (kReread * row));
    if (t.stored_bytes > 0) {
      most = std::max(most, static_cast<double>(t.offset_chunk_stored) * rows /
                                (kReread * static_cast<double>(t.stored_bytes)));
    }
  }
  return most;
}

}  // namespace penstock::loader

void penstock::testing::keep_nothing(bool on) { loader::g_keep_nothing.store(on, std::memory_order_relaxed); }
