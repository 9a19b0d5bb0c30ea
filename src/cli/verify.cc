// penstock verify: goes through all of a file and reports everything that is wrong in it.
//
// Everything that is wrong is printed as it is found, and checking goes on: who has a damaged file
// wants to know how much of it is damaged. With --json the same is collected, bounded, and printed at
// the end as one object per file.
#include "penstock/verify.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "command.h"
#include "penstock/memory_budget.h"

namespace penstock::cli {

namespace {

// Lines that are printed of what is wrong; a file that is wrong everywhere needs no more to say so.
constexpr std::size_t kMostShown = 100;

struct VerifyFlags {
  OpenFlags open;
  std::string memory = "1GB";
  bool every_matrix = true;
};

// The core has no way to stop half way, and there is nothing to save.
[[noreturn]] void stop(ProgressLine& progress) {
  progress.clear();
  fmt::print(stderr, "penstock: interrupted\n");
  _exit(kInterrupted);
}

std::string and_more(std::uint64_t all, std::size_t shown) {
  return all > shown ? fmt::format("and {} more", format_count(all - shown)) : std::string();
}

struct Outcome {
  VerifyResult result;
  std::vector<std::string> problems;  // the first kMostShown
};

Result<Outcome> verify_one(const VerifyFlags& flags, const std::string& path, ProgressLine& progress) {
  Outcome outcome;
  std::uint64_t bad = 0;
  VerifyOptions options;
  PENSTOCK_ASSIGN_OR_RETURN(options.open, flags.open.resolve());
  PENSTOCK_ASSIGN_OR_RETURN(options.memory, parse_bytes(flags.memory));
  options.every_matrix = flags.every_matrix;
  options.report = [&](const std::string& message) {
    // A file of zeros would otherwise fill the terminal, and memory, with a message for every chunk.
    if (++bad > kMostShown) return;
    progress.clear();
    if (!flags.open.json) fmt::print("{}\n", one_line(message));
    outcome.problems.push_back(message);
  };
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    // Asked at each step that the core reports.
    if (interrupted()) stop(progress);
    if (progress.due()) {
      progress.show(fmt::format(
          "{}: {:3.0f} %, step {} of {}, {} bad", path,
          100 * static_cast<double>(done) / static_cast<double>(std::max<std::uint64_t>(total, 1)),
          format_count(done), format_count(total), format_count(bad)));
    }
  };
  PENSTOCK_ASSIGN_OR_RETURN(outcome.result, verify(path, options));
  progress.clear();
  return outcome;
}

void print_outcome(const std::string& path, const Outcome& outcome) {
  const VerifyResult& result = outcome.result;
  if (const auto more = and_more(result.bad, outcome.problems.size()); !more.empty())
    fmt::print("{}\n", more);
  for (std::size_t i = 0; i < std::min(kMostShown, result.not_checked.size()); ++i) {
    fmt::print("not checked: {}\n", one_line(result.not_checked[i]));
  }
  if (const auto more = and_more(result.not_checked.size(), kMostShown); !more.empty()) {
    fmt::print("not checked: {}\n", more);
  }
  fmt::print("{}: {}{}{} chunks, {} decoded, {}\n", path, fmt::join(result.matrices, ", "),
             result.matrices.empty() ? "" : "; ", format_count(result.chunks), format_bytes(result.bytes),
             result.bad == 0 ? "all good" : format_count(result.bad) + " bad");
}

nlohmann::json to_json(const std::string& path, const Outcome& outcome) {
  const VerifyResult& result = outcome.result;
  return {{"path", path},
          {"chunks", result.chunks},
          {"bad", result.bad},
          {"bytes", result.bytes},
          {"matrices", result.matrices},
          {"not_checked", result.not_checked},
          {"problems", outcome.problems}};
}

int run(const VerifyFlags& flags) {
  const auto files = flags.open.paths();
  if (!files.ok()) return fail(files.status());
  int code = kOk;
  auto list = nlohmann::json::array();
  catch_interrupts();
  ProgressLine progress;
  for (const std::string& path : *files) {
    const auto outcome = verify_one(flags, path, progress);
    if (!outcome.ok()) {
      progress.clear();
      code = fail(outcome.status());
      if (flags.open.json) list.push_back({{"path", path}, {"error", outcome.status().to_string()}});
      continue;
    }
    // One bad file makes the command fail, and the others are checked all the same.
    if (outcome->result.bad > 0) code = kFailed;
    if (flags.open.json) {
      list.push_back(to_json(path, *outcome));
    } else {
      print_outcome(path, *outcome);
    }
  }
  if (flags.open.json) print_json(list);
  return code;
}

}  // namespace

Command add_verify(CLI::App& main) {
  auto* app = main.add_subcommand(
      "verify", "Decode everything that an open, a column or an epoch would read; report all that is wrong");
  auto flags = std::make_shared<VerifyFlags>();
  flags->open.add_to(*app);
  // The option means something else here: without it every matrix is checked, not X alone. So its help is
  // replaced, and whether it was given decides.
  auto* matrix = app->get_option("--matrix");
  matrix->default_str("")->description(
      "Only this matrix: X, raw/X, layers/NAME, mod/rna/X (default: every one)");
  app->add_option("--memory", flags->memory,
                  "Bytes that a chunk or a block of rows may take while it is decoded")
      ->check(check_bytes)
      ->capture_default_str();
  return {app, [flags, matrix] {
            flags->every_matrix = matrix->count() == 0;
            return run(*flags);
          }};
}

}  // namespace penstock::cli
