// Note [One source, many targets]. A kernel is written once, with Highway's portable vectors, and compiled
// for each instruction set that the compiler knows: foreach_target.h includes the file that names itself in
// HWY_TARGET_INCLUDE once more for every one of them, each time with another HWY_NAMESPACE. What stands
// between HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE exists several times, therefore; what stands under
// HWY_ONCE exists once. HWY_EXPORT makes a table of the compiled versions, and HWY_DYNAMIC_DISPATCH calls the
// one for the processor that the program finds itself on.
//
// So one binary runs everywhere, and tests can compare all targets with each other and with the plain loops
// of compact_row_ref.h, which force_scalar() puts in their place.

#include "batch/simd.h"

#include <hwy/highway.h>

#include <atomic>

#include "batch/compact_row.h"

namespace penstock::batch {
namespace {
// Read by every kernel call, on any thread. Nothing is ordered by it: tests set it while no batch is being
// built.
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
