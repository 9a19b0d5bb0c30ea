// Runs a kernel on every instruction set that was compiled and that this machine has.
#pragma once

#include <hwy/targets.h>

#include <cstdint>
#include <string>
#include <vector>

namespace penstock::fuzz {

// Calls run(name) with each instruction set chosen, then goes back to the best.
template <class Run>
void on_every_target(const Run& run) {
  static const std::vector<std::int64_t> targets = hwy::SupportedAndGeneratedTargets();
  const auto use = [](std::int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  };
  for (const std::int64_t target : targets) {
    use(target);
    run(std::string(hwy::TargetName(target)));
  }
  use(0);
}

}  // namespace penstock::fuzz
