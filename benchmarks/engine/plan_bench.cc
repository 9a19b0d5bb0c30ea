// Planning for a billion cells of which there is only metadata (loader/testing/metadata_dataset.h): seconds,
// resident memory, and what of the budget each tag holds.
//
//   plan_bench --cells 1000000000 --files 100 --memory 2GB --batch 4096
//   plan_bench --keep 1 --of 10 ...     runs of 256 cells: one of ten
//   plan_bench --rank 3 --world-size 8  a rank's share
//   plan_bench --ordered                file order
//   plan_bench --mixing                 also the mixture of an obs column over an epoch
//   plan_bench --json                   for benchmarks/bench.py
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "loader/testing/metadata_dataset.h"
#include "penstock/loader.h"

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

[[noreturn]] void die(const penstock::Status& status) {
  std::fprintf(stderr, "plan_bench: %s\n", status.to_string().c_str());
  std::exit(1);
}

// VmRSS or VmHWM of this process, in bytes.
std::uint64_t resident(const std::string& key) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(key + ":")) return std::stoull(line.substr(key.size() + 1)) * 1024;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Planning, timed, for cells of which there is only metadata"};
  std::uint64_t cells = 1'000'000'000, keep = 0, of = 10;
  std::size_t files = 100;
  std::string memory = "2GB";
  penstock::LoaderOptions options;
  options.batch_size = 4096;
  bool ordered = false, mixing = false, json = false;
  app.add_option("--cells", cells, "about so many")->capture_default_str();
  app.add_option("--files", files)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--memory", memory, "budget")->capture_default_str();
  app.add_option("--batch", options.batch_size, "rows")->capture_default_str();
  app.add_option("--keep", keep, "select so many ...; 0: all cells")->capture_default_str();
  app.add_option("--of", of, "... of so many runs of 256 cells")->capture_default_str();
  app.add_option("--rank", options.rank)->capture_default_str();
  app.add_option("--world-size", options.world_size)->capture_default_str();
  app.add_option("--block-rows", options.block_rows, "0: planned")->capture_default_str();
  app.add_flag("--ordered", ordered, "file order instead of shuffled");
  app.add_flag("--mixing", mixing, "work out how a column of 96 values is mixed, too");
  app.add_flag("--json", json, "one JSON object to stdout");
  CLI11_PARSE(app, argc, argv);

  const auto bytes = penstock::parse_bytes(memory);
  if (!bytes.ok()) die(bytes.status());
  options.memory = *bytes;
  options.shuffle = !ordered;
  const std::uint64_t period = penstock::testing::MetadataSource::kPeriod;
  auto data = std::make_shared<penstock::testing::MetadataDataset>(
      files, (cells + files * period - 1) / (files * period));
  if (keep > 0) data->select(keep, of);
  const auto dataset = std::make_shared<const penstock::Dataset>(data);

  const std::uint64_t before = resident("VmRSS");
  auto start = Clock::now();
  auto loader = penstock::Loader::create(dataset, options);
  if (!loader.ok()) die(loader.status());
  const double plan_seconds = since(start);
  const std::uint64_t peak = resident("VmHWM");
  const auto usage = (*loader)->stats().memory;

  start = Clock::now();
  const auto cost = (*loader)->epoch_cost(1);
  if (!cost.ok()) die(cost.status());
  const double cost_seconds = since(start);
  nlohmann::json out{{"cells", (*loader)->plan().n_rows},
                     {"plan_seconds", plan_seconds},
                     {"epoch_cost_seconds", cost_seconds},
                     {"rss_before", before},
                     {"rss_peak", peak},
                     {"index_peak", usage.peak_by_tag[0]},
                     {"plan", nlohmann::json::parse((*loader)->plan().to_json())}};
  std::string mixture;
  if (mixing) {
    start = Clock::now();
    const auto told = (*loader)->mixing("drug", 1);
    if (!told.ok()) die(told.status());
    mixture = told->to_text();
    out["mixing_seconds"] = since(start);
    out["mixing"] = nlohmann::json::parse(told->to_json());
    out["rss_peak_mixing"] = resident("VmHWM");
  }
  if (json) {
    std::printf("%s\n", out.dump().c_str());
    return 0;
  }
  std::printf("%s", (*loader)->plan().to_text().c_str());
  std::printf(
      "planned in %.1f s, the cost of another epoch in %.1f s; resident %.0f MB before, %.0f MB at the peak; "
      "index tag %.0f MB at its peak\n",
      plan_seconds, cost_seconds, static_cast<double>(before) / 1e6, static_cast<double>(peak) / 1e6,
      static_cast<double>(usage.peak_by_tag[0]) / 1e6);
  if (mixing) {
    std::printf("%s\nmixture in %.1f s, %.0f MB at the peak\n", mixture.c_str(),
                out["mixing_seconds"].get<double>(), out["rss_peak_mixing"].get<double>() / 1e6);
  }
  return 0;
}
