// A container that may use two cores of a machine with 64 is told so in one of two ways, and
// hardware_concurrency() sees at most one of them: by a set of cores on which its threads may run (taskset,
// cpusets), or by a quota, so much time of any cores in each period ("docker run --cpus=2.5", Kubernetes'
// limits). With a quota of 2.5 and 64 threads all of them run for a few milliseconds and then stand still
// until the period ends; so the quota counts as 3 cores.

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
  // "250000 100000" is 2.5 cores, and "max 100000" is no quota.
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> first >> period) {
    return first == "max" || period <= 0 ? 0 : std::strtod(first.c_str(), nullptr) / period;
  }
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
      v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  // Without a quota version 1 says -1.
  if (v1_quota >> quota && v1_period >> period && quota > 0 && period > 0) return quota / period;
  return 0;
}

}  // namespace

std::uint32_t usable_cores() {
  std::uint32_t cores = std::max(1U, std::thread::hardware_concurrency());
  cpu_set_t set;
  CPU_ZERO(&set);
  // It fails on machines with more than the 1,024 cores of a cpu_set_t. All of them count then.
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    cores = static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&set)));
  const double quota = cgroup_quota();
  if (quota > 0) cores = std::min(cores, static_cast<std::uint32_t>(std::ceil(quota)));
  return std::max(1U, cores);
}

}  // namespace penstock
