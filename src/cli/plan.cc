// penstock plan: what a loader would do, before anything is read.
#include "penstock/plan.h"

#include <fmt/core.h>

#include "command.h"
#include "penstock/loader.h"

namespace penstock::cli {

namespace {

// A loader is made in earnest, and thrown away: what is printed is what `penstock stream` with the
// same flags would do, because the same code has decided it. Nothing of X is read but the sample
// that every loader looks at.
Status run(const OpenFlags& open, const LoaderFlags& flags, const std::vector<std::string>& labels) {
  PENSTOCK_ASSIGN_OR_RETURN(auto options, flags.resolve());
  PENSTOCK_ASSIGN_OR_RETURN(auto dataset, open.open());
  PENSTOCK_ASSIGN_OR_RETURN(auto loader, Loader::create(std::move(dataset), std::move(options)));
  std::vector<Mixing> mixings;
  for (const std::string& label : labels) {
    PENSTOCK_ASSIGN_OR_RETURN(auto mixing, loader->mixing(label));
    mixings.push_back(std::move(mixing));
  }
  if (open.json) {
    auto json = nlohmann::json::parse(loader->plan().to_json());
    for (const Mixing& mixing : mixings) json["mixing"].push_back(nlohmann::json::parse(mixing.to_json()));
    print_json(json);
  } else {
    fmt::print("{}", loader->plan().to_text());
    for (const Mixing& mixing : mixings) fmt::print("  mixing   {}\n", mixing.to_text());
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
  auto labels = std::make_shared<std::vector<std::string>>();
  add_list(*app, "--label", *labels, "Obs columns whose mixture over batches is worked out (read once): a,b");
  return {app, [open, flags, labels] {
            const Status status = run(*open, *flags, *labels);
            return status.ok() ? static_cast<int>(kOk) : fail(status);
          }};
}

}  // namespace penstock::cli
