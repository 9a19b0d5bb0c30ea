// penstock plan: what a loader would do, before anything is read.
#include "penstock/plan.h"

#include <fmt/core.h>

#include "command.h"
#include "penstock/loader.h"

namespace penstock::cli {

namespace {

Status run(const OpenFlags& open, const LoaderFlags& flags) {
  PENSTOCK_ASSIGN_OR_RETURN(auto options, flags.resolve());
  PENSTOCK_ASSIGN_OR_RETURN(auto dataset, open.open(open.files));
  PENSTOCK_ASSIGN_OR_RETURN(auto loader, Loader::create(std::move(dataset), std::move(options)));
  if (open.json) {
    print_json(nlohmann::json::parse(loader->plan().to_json()));
  } else {
    fmt::print("{}", loader->plan().to_text());
  }
  return {};
}

}  // namespace

Command add_plan(CLI::App& main) {
  auto* app = main.add_subcommand(
      "plan", "Bytes, requests, diversity and memory of an epoch, before reading anything");
  auto open = std::make_shared<OpenFlags>();
  auto flags = std::make_shared<LoaderFlags>();
  open->add_to(*app);
  open->add_selection_to(*app);
  flags->add_to(*app);
  return {app, [open, flags] {
            const Status status = run(*open, *flags);
            return status.ok() ? static_cast<int>(kOk) : fail(status);
          }};
}

}  // namespace penstock::cli
