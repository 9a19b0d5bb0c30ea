// The command `penstock`: one file per command, each a few library calls plus printing.
#include <fmt/core.h>

#include <cstdio>
#include <string>
#include <vector>

#include "command.h"
#include "penstock/version.h"

namespace penstock::cli {

namespace {

constexpr const char* kFooter =
    "Exit codes: 0 all is well; 1 a file could not be read, is damaged, or the plan does not fit;\n"
    "2 wrong usage; 130 interrupted. Errors are one line each on stderr, with --json too.";

int run(int argc, char** argv) {
  CLI::App app("Streams single-cell matrices that are larger than memory, shuffled, inside a byte budget.",
               "penstock");
  app.set_version_flag("--version", version());
  // Each command adds itself and keeps its options; the one that was parsed is run. No list of names is kept
  // here.
  app.require_subcommand(1);
  app.footer(kFooter);
  const std::vector<Command> commands = {add_info(app), add_plan(app), add_stream(app), add_verify(app)};
  for (const Command& command : commands) command.app->footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& asked) {
    // CLI11 prints these to stdout with code 0. Errors of usage are printed here instead, on one line like
    // all others.
    return app.exit(asked);
  } catch (const CLI::CallForHelp& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "penstock: usage: {} (penstock --help)\n", error.what());
    return kUsage;
  }
  for (const Command& command : commands) {
    if (command.app->parsed()) return command.run();
  }
  return kUsage;
}

}  // namespace

}  // namespace penstock::cli

int main(int argc, char** argv) {
  try {
    // The core throws nothing. What arrives here is CLI11's or the standard library's, and must not end in
    // abort().
    return penstock::cli::run(argc, argv);
  } catch (const std::exception& error) {  // out of memory, or a library's
    fmt::print(stderr, "penstock: internal: {}\n", error.what());
    return penstock::cli::kFailed;
  }
}
