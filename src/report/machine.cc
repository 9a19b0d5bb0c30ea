// Figures of a run mean little without the machine, and a page about a run is passed on. So it says what the
// figures depend on, and nothing that tells whose machine it is: no host name, no user, no paths.

#include "report/machine.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

#include "base/cores.h"
#include "penstock/memory_budget.h"
#include "penstock/version.h"

namespace penstock::report {
namespace {

// "model name : AMD EPYC 7B13" -> "AMD EPYC 7B13"; empty when there is no such line near the top.
std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  std::string line;
  // On a machine with hundreds of cores the file has thousands of lines, all of which the system makes when
  // they are read. The model is among those of the first core.
  for (int i = 0; i < 64 && std::getline(in, line); ++i) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> describe_machine() {
  std::vector<std::pair<std::string, std::string>> out;
  out.emplace_back("penstock", version());
  if (const std::string cpu = cpu_model(); !cpu.empty()) out.emplace_back("CPU", cpu);
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  out.emplace_back("cores this process may use", fmt::format("{} of {}", usable_cores(), online));
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
  if (pages > 0 && page > 0) {
    out.emplace_back("memory of the machine",
                     format_bytes(static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page)));
  }
  // The largest that the process has been, counted by the kernel in KiB. Users compare it with the budget, of
  // which the interpreter, libraries and the model are no part.
  struct rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    out.emplace_back("most memory of this process",
                     format_bytes(static_cast<std::uint64_t>(usage.ru_maxrss) * 1024));
  }
  struct utsname system = {};
  if (uname(&system) == 0) {
    out.emplace_back("system", fmt::format("{} {} {}", system.sysname, system.release, system.machine));
  }
  return out;
}

}  // namespace penstock::report
