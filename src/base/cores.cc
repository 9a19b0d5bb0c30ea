#include "base/cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

namespace penstock {
namespace {

// Cores of the quota, or 0 when there is none. Only the mount point is looked at: in a container that is the
// container's own group.
double cgroup_quota() {
  double quota = 0, period = 0;
  std::string first;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> first >> period) {
    return first == "max" || period <= 0 ? 0 : std::strtod(first.c_str(), nullptr) / period;
  }
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
      v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (v1_quota >> quota && v1_period >> period && quota > 0 && period > 0) return quota / period;
  return 0;
}

}  // namespace

std::uint32_t usable_cores() {
  std::uint32_t cores = std::max(1U, std::thread::hardware_concurrency());
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    cores = static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&set)));
  const double quota = cgroup_quota();
  if (quota > 0) cores = std::min(cores, static_cast<std::uint32_t>(std::ceil(quota)));
  return std::max(1U, cores);
}

}  // namespace penstock
