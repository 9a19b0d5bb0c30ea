// What the commands share: options, exit codes, one-line errors, the progress line, Ctrl-C.
//
// Thread contract: main thread only, except interrupted().
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/dataset.h"
#include "penstock/options.h"
#include "penstock/status.h"

namespace penstock::cli {

// --help documents these.
enum ExitCode : int { kOk = 0, kFailed = 1, kUsage = 2, kInterrupted = 130 };

// A command: its options on `app`; run() is called when it was the one chosen and returns the exit code.
struct Command {
  CLI::App* app = nullptr;
  std::function<int()> run;
};
Command add_info(CLI::App& main);
Command add_plan(CLI::App& main);
Command add_stream(CLI::App& main);
Command add_verify(CLI::App& main);

// CLI11 validator for byte counts.
std::string check_bytes(const std::string& text);

// An option whose values are joined by commas. It takes one word: the next one is a file.
CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                      const std::string& what);

// FILE... and how to open them.
struct OpenFlags {
  std::vector<std::string> files;  // as given: files, globs, folders
  OpenOptions options;
  std::string index_memory = "256MB";
  bool json = false;
  std::optional<std::string> query;  // of rows; none: all
  std::vector<std::string> params;   // name=value
  std::optional<std::string> genes;  // "a,b,c" or "@FILE"; none: all
  std::string genes_key, missing = "error";

  void add_to(CLI::App& app);
  // --query, --select-vars and what belongs to them, for commands that work on rows.
  void add_selection_to(CLI::App& app);
  // The files that were given, as penstock.open() reads them.
  Result<std::vector<std::string>> paths() const;
  // The options alone.
  Result<OpenOptions> resolve() const;
  // With the rows that --query and the genes that --select-vars selects.
  Result<std::shared_ptr<const Dataset>> open() const;
  Result<std::shared_ptr<const Dataset>> open(std::vector<std::string> paths) const;
};

// What a loader is asked for.
struct LoaderFlags {
  LoaderOptions options;
  std::string memory = "1GB", format = "csr", dtype = "float32";
  bool ordered = false;

  void add_to(CLI::App& app);
  Result<LoaderOptions> resolve() const;
};

// A message on one line.
std::string one_line(std::string message);
// "penstock: corrupt: a.h5ad: ..." on stderr, one line; the exit code that goes with it.
int fail(const Status& status);

// JSON to stdout.
void print_json(const nlohmann::json& json);

// From now on Ctrl-C sets a flag; a second one ends the process at once.
void catch_interrupts();
bool interrupted();

// One line on stderr that is written again in place, at most ten times a second; nothing when stderr is no
// terminal.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  // True when it is time to show() again.
  bool due();
  void show(std::string_view text);
  void clear();

 private:
  const bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point next_{};
};

// How this process was started, as one would type it: "penstock stream 'a b.h5ad' --memory 1GB".
std::string command_line();

// The most memory this process has had, in bytes.
std::uint64_t peak_rss();

}  // namespace penstock::cli
