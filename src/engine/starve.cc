// One number for the whole process, which Engine::create() looks at: tests reach it without an option that
// users would see, too.
#include "engine/starve.h"

#include <atomic>

namespace penstock::testing {

namespace {
std::atomic<std::uint64_t> g_bytes{0};
}  // namespace

void starve_windows(std::uint64_t bytes) { g_bytes.store(bytes, std::memory_order_relaxed); }
std::uint64_t starved_window_bytes() { return g_bytes.load(std::memory_order_relaxed); }

}  // namespace penstock::testing
