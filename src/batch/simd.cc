#include "batch/simd.h"

#include <hwy/highway.h>

#include <atomic>

#include "batch/compact_row.h"

namespace penstock::batch {
namespace {
std::atomic<bool> scalar{false};
}  // namespace

bool internal::scalar_forced() { return scalar.load(std::memory_order_relaxed); }

void force_scalar(bool on) { scalar.store(on, std::memory_order_relaxed); }

const char* simd_target() {
  if (internal::scalar_forced()) return "SCALAR";
  // The best (lowest) bit of what the processor has and what was compiled.
  const std::int64_t usable = hwy::SupportedTargets() & HWY_TARGETS;
  return hwy::TargetName(usable & -usable);
}

}  // namespace penstock::batch
