// penstock stream: runs epochs and says how fast and how large that was.
#include <fmt/core.h>

#include <chrono>
#include <cstdint>
#include <optional>

#include "command.h"
#include "penstock/loader.h"

namespace penstock::cli {

namespace {

using Clock = std::chrono::steady_clock;

struct StreamFlags {
  OpenFlags open;
  LoaderFlags loader;
  std::uint64_t epochs = 1;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double rate(std::uint64_t amount, double seconds) {
  return seconds > 0 ? static_cast<double>(amount) / seconds : 0;
}

void show_progress(ProgressLine& progress, const LoaderStats& stats, std::uint64_t rows_in_all,
                   double seconds) {
  const double done =
      rows_in_all == 0 ? 1 : static_cast<double>(stats.rows) / static_cast<double>(rows_in_all);
  const double left = done > 0 ? seconds / done - seconds : 0;
  progress.show(fmt::format("{:3.0f} %  {} of {} cells  {} cells/s  {}/s  {} held  {:.0f} s left", 100 * done,
                            format_count(stats.rows), format_count(rows_in_all),
                            format_count(static_cast<std::uint64_t>(rate(stats.rows, seconds))),
                            format_bytes(static_cast<std::uint64_t>(rate(stats.bytes_read, seconds))),
                            format_bytes(stats.memory.used), left));
}

// One epoch; first_batch is set when its first batch came and it has no value yet.
Status run_epoch(Loader& loader, ProgressLine& progress, std::uint64_t rows_in_all, Clock::time_point start,
                 std::optional<double>& first_batch) {
  PENSTOCK_RETURN_IF_ERROR(loader.start_epoch());
  for (;;) {
    PENSTOCK_ASSIGN_OR_RETURN(auto batch, loader.next(&interrupted));
    if (!batch) return {};
    if (!first_batch) first_batch = seconds_since(start);
    // A ready batch is handed out without looking at the flag.
    if (interrupted()) return Status::cancelled("interrupted");
    if (progress.due()) show_progress(progress, loader.stats(), rows_in_all, seconds_since(start));
  }
}

void report(const StreamFlags& flags, const Loader& loader, double seconds, double first_batch) {
  const LoaderStats stats = loader.stats();
  const double cells = rate(stats.rows, seconds);
  if (flags.open.json) {
    nlohmann::json out = {{"plan", nlohmann::json::parse(loader.plan().to_json())},
                          {"stats", nlohmann::json::parse(stats.to_json())},
                          {"epochs", flags.epochs},
                          {"seconds", seconds},
                          {"first_batch_seconds", first_batch},
                          {"cells_per_second", cells},
                          {"bytes_per_second", rate(stats.bytes_read, seconds)},
                          {"peak_budget_bytes", stats.memory.peak},
                          {"peak_rss_bytes", peak_rss()},
                          {"who_waited", stats.who_waited()}};
    print_json(out);
    return;
  }
  fmt::print("{}\n", loader.plan().summary());
  fmt::print("{} cells in {} batches, {:.2f} s: {} cells/s, {}/s read, first batch after {:.2f} s\n",
             format_count(stats.rows), format_count(stats.batches), seconds,
             format_count(static_cast<std::uint64_t>(cells)),
             format_bytes(static_cast<std::uint64_t>(rate(stats.bytes_read, seconds))), first_batch);
  fmt::print("memory: {} of {} at most, process {}\n", format_bytes(stats.memory.peak),
             format_bytes(stats.memory.limit), format_bytes(peak_rss()));
  fmt::print("{}\n", stats.who_waited());
}

Status run(const StreamFlags& flags) {
  PENSTOCK_ASSIGN_OR_RETURN(auto options, flags.loader.resolve());
  PENSTOCK_ASSIGN_OR_RETURN(auto dataset, flags.open.open(flags.open.files));
  PENSTOCK_ASSIGN_OR_RETURN(auto loader, Loader::create(std::move(dataset), std::move(options)));
  catch_interrupts();
  const auto start = Clock::now();
  const std::uint64_t rows_in_all = loader->plan().rows_this_rank * flags.epochs;
  std::optional<double> first_batch;
  {
    ProgressLine progress;
    for (std::uint64_t epoch = 0; epoch < flags.epochs; ++epoch) {
      PENSTOCK_RETURN_IF_ERROR(run_epoch(*loader, progress, rows_in_all, start, first_batch));
    }
  }
  const double seconds = seconds_since(start);
  loader->close();  // reads ahead for an epoch that will not come end here: what is reported is what was read
  report(flags, *loader, seconds, first_batch.value_or(0));
  return {};
}

}  // namespace

Command add_stream(CLI::App& main) {
  auto* app = main.add_subcommand("stream", "Run an epoch: cells/s, MB/s, peak memory, who waited for whom");
  auto flags = std::make_shared<StreamFlags>();
  flags->open.add_to(*app);
  flags->loader.add_to(*app);
  app->add_option("--epochs", flags->epochs, "Epochs to run")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  return {app, [flags] {
            const Status status = run(*flags);
            if (interrupted()) {
              fmt::print(stderr, "penstock: interrupted\n");
              return static_cast<int>(kInterrupted);
            }
            return status.ok() ? static_cast<int>(kOk) : fail(status);
          }};
}

}  // namespace penstock::cli
