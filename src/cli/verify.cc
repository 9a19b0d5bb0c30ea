// penstock verify: decodes everything and reports every bad chunk.
#include <fmt/core.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "command.h"
#include "penstock/memory_budget.h"

namespace penstock::cli {

namespace {

struct Outcome {
  std::string path;
  Dataset::VerifyCounts counts;
  std::vector<std::string> problems;
};

// The core has no way to stop half way, and there is nothing to save.
[[noreturn]] void stop(ProgressLine& progress) {
  progress.clear();
  fmt::print(stderr, "penstock: interrupted\n");
  _exit(kInterrupted);
}

Result<Outcome> verify(const OpenFlags& flags, const std::string& path, ProgressLine& progress) {
  PENSTOCK_ASSIGN_OR_RETURN(const auto dataset, flags.open({path}));
  Outcome outcome;
  outcome.path = path;
  const auto on_problem = [&](const std::string& message) {
    progress.clear();
    if (!flags.json) fmt::print("{}\n", message);
    outcome.problems.push_back(message);
  };
  const auto on_progress = [&](std::uint64_t done, std::uint64_t total) {
    if (interrupted()) stop(progress);
    if (progress.due()) {
      progress.show(fmt::format("{}: chunk {} of {}, {} bad", path, format_count(done), format_count(total),
                                outcome.problems.size()));
    }
  };
  PENSTOCK_ASSIGN_OR_RETURN(outcome.counts, dataset->verify(on_problem, on_progress));
  progress.clear();
  return outcome;
}

void print_outcome(const Outcome& outcome) {
  fmt::print("{}: {} chunks, {} decoded, {}\n", outcome.path, format_count(outcome.counts.chunks),
             format_bytes(outcome.counts.bytes),
             outcome.counts.bad == 0 ? "all good" : format_count(outcome.counts.bad) + " bad");
}

int run(const OpenFlags& flags) {
  int code = kOk;
  auto list = nlohmann::json::array();
  catch_interrupts();
  ProgressLine progress;
  for (const std::string& path : flags.files) {
    auto outcome = verify(flags, path, progress);
    if (!outcome.ok()) {
      progress.clear();
      code = fail(outcome.status());
      if (flags.json) list.push_back({{"path", path}, {"error", outcome.status().to_string()}});
      continue;
    }
    if (outcome->counts.bad > 0) code = kFailed;
    if (flags.json) {
      list.push_back({{"path", path},
                      {"chunks", outcome->counts.chunks},
                      {"bad", outcome->counts.bad},
                      {"bytes", outcome->counts.bytes},
                      {"problems", outcome->problems}});
    } else {
      print_outcome(*outcome);
    }
  }
  if (flags.json) print_json(list);
  return code;
}

}  // namespace

Command add_verify(CLI::App& main) {
  auto* app = main.add_subcommand("verify", "Decode everything; report every bad chunk with its byte offset");
  auto flags = std::make_shared<OpenFlags>();
  flags->add_to(*app);
  return {app, [flags] { return run(*flags); }};
}

}  // namespace penstock::cli
