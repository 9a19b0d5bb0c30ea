// penstock stream: runs epochs and says how fast and how large that was.
//
// A run may take hours, which shapes the order of things: whatever can be found out to be wrong is found out
// first (the flags, the paths that will be written, the label of the report), and what was measured is not
// lost when the run ends early: the report of an interrupted run is written as well.
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>

#include "command.h"
#include "penstock/loader.h"
#include "penstock/report.h"

namespace penstock::cli {

namespace {

using Clock = std::chrono::steady_clock;

struct StreamFlags {
  OpenFlags open;
  LoaderFlags loader;
  std::uint64_t epochs = 1;
  std::string report, label;  // the page's path; the obs column whose mixture it shows
  double stats_every = 0;     // seconds between two lines of JSON; 0: none
  std::string prometheus;     // the text file to keep up to date
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

// Says how it goes while it goes: the progress line for people, JSON lines and Prometheus' text file for
// machines. The line is cleared before JSON is printed, since both may be on one terminal.
class Live {
 public:
  Live(const StreamFlags& flags, const Loader& loader, std::uint64_t rows_in_all)
      : flags_(flags), loader_(loader), rows_in_all_(rows_in_all) {}

  // Between batches and while one is waited for. Called after every batch, so each part asks the clock first
  // and does its work rarely.
  void tick() {
    if (progress_.due()) show_progress(progress_, loader_.stats(), rows_in_all_, seconds_since(start_));
    const auto now = Clock::now();
    if (flags_.stats_every > 0 && now >= next_line_) {
      next_line_ = now + std::chrono::duration_cast<Clock::duration>(
                             std::chrono::duration<double>(flags_.stats_every));
      progress_.clear();
      fmt::print("{}\n", loader_.stats().to_json());
      std::fflush(stdout);
    }
    if (!flags_.prometheus.empty() && now >= next_file_) {
      next_file_ = now + std::chrono::seconds(1);
      // The first failure ends the run: somebody watches this file, and would take its last numbers for the
      // present.
      if (const Status written = write_prometheus(); failure_.ok()) failure_ = written;
    }
  }
  // The text file as it is now. Replaced as a whole, because a collector may read it at any moment.
  Status write_prometheus() const {
    if (flags_.prometheus.empty()) return {};
    const Plan& plan = loader_.plan();
    return replace_file(flags_.prometheus,
                        loader_.stats().to_prometheus({{"rank", std::to_string(plan.rank)}}));
  }
  double seconds() const { return seconds_since(start_); }
  // Of writing the text file.
  const Status& failure() const { return failure_; }

 private:
  const StreamFlags& flags_;
  const Loader& loader_;
  const std::uint64_t rows_in_all_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point next_line_ = start_, next_file_ = start_;
  ProgressLine progress_;
  Status failure_;
};

// One epoch; first_batch is set when its first batch came and it has no value yet.
Status run_epoch(Loader& loader, Live& live, std::optional<double>& first_batch) {
  // The loader asks this while it waits, too, so that the line moves on and Ctrl-C need not wait for a read
  // that hangs.
  const auto stop = [&live] {
    live.tick();
    return interrupted() || !live.failure().ok();
  };
  PENSTOCK_RETURN_IF_ERROR(loader.start_epoch());
  for (;;) {
    // The batch is dropped at once: its slot is free again, and the loop is as fast as a consumer can be.
    PENSTOCK_ASSIGN_OR_RETURN(auto batch, loader.next(stop));
    if (!batch) return {};
    if (!first_batch) first_batch = live.seconds();
    // A ready batch is handed out without looking at the flag.
    if (stop()) return Status::cancelled("interrupted");
  }
}

void print_result(const StreamFlags& flags, const Loader& loader, double seconds, double first_batch) {
  const LoaderStats stats = loader.stats();
  const double cells = rate(stats.rows, seconds);
  // Who gets counters as lines of JSON gets the result as one, too: the last line, on one line.
  if (flags.open.json || flags.stats_every > 0) {
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
    if (flags.stats_every > 0) {
      fmt::print("{}\n", out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    } else {
      print_json(out);
    }
    return;
  }
  fmt::print("{}\n", loader.plan().summary());
  fmt::print("{} cells in {} batches, {:.2f} s: {} cells/s, {}/s read, first batch after {:.2f} s\n",
             format_count(stats.rows), format_count(stats.batches), seconds,
             format_count(static_cast<std::uint64_t>(cells)),
             format_bytes(static_cast<std::uint64_t>(rate(stats.bytes_read, seconds))), first_batch);
  fmt::print("memory: {} of {} at most, process {}\n", format_bytes(stats.memory.peak),
             format_bytes(stats.memory.limit), format_bytes(peak_rss()));
  fmt::print("{}\n{}\n", stats.who_waited(), stats.where_time_went());
  if (!flags.report.empty()) fmt::print("report: {}\n", flags.report);
}

// That a file can be written at `path` is known before anything is opened, not after hours. Not by opening it
// for writing, which would empty a page that is there already. The folder is what matters, since
// replace_file() puts a new file beside the old one and renames it.
Status check_target(const char* option, const std::string& path) {
  if (path.empty()) return {};
  const auto fail = [&](int error) {
    return Status::io_error(fmt::format("{} {}: cannot be written: {}", option, path, std::strerror(error)),
                            error);
  };
  std::string folder = path.substr(0, path.rfind('/') + 1);  // npos + 1 == 0
  if (folder.empty()) folder = ".";
  struct stat s {};
  if (::stat(folder.c_str(), &s) != 0) {
    return fail(errno).with_context(fmt::format("the folder {}", folder));
  }
  if (!S_ISDIR(s.st_mode)) return fail(ENOTDIR);
  if (::stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode)) return fail(EISDIR);
  if (::access(folder.c_str(), W_OK) != 0) return fail(errno);
  return {};
}

Status run(const StreamFlags& flags) {
  PENSTOCK_RETURN_IF_ERROR(check_target("--report", flags.report));
  PENSTOCK_RETURN_IF_ERROR(check_target("--prometheus", flags.prometheus));
  PENSTOCK_ASSIGN_OR_RETURN(auto options, flags.loader.resolve());
  PENSTOCK_ASSIGN_OR_RETURN(auto dataset, flags.open.open());
  PENSTOCK_ASSIGN_OR_RETURN(auto loader, Loader::create(dataset, std::move(options)));
  catch_interrupts();
  // Of this rank: what is left to do is what this process delivers.
  const std::uint64_t rows_in_all = loader->plan().rows_this_rank * flags.epochs;
  std::optional<double> first_batch;
  const auto report = [&]() -> Status {
    if (flags.report.empty()) return {};
    ReportOptions about;
    about.label = flags.label;
    about.command = command_line();
    return write_report(*loader, *dataset, flags.report, about);
  };
  // Before the run, too: a wrong path or label should not be found out after hours.
  PENSTOCK_RETURN_IF_ERROR(report());
  double seconds = 0;
  {
    Live live(flags, *loader, rows_in_all);
    for (std::uint64_t epoch = 0; epoch < flags.epochs; ++epoch) {
      const Status status = run_epoch(*loader, live, first_batch);
      if (!status.ok()) {
        static_cast<void>(report());  // of what there was; the error is what matters
        return live.failure().ok() ? status : live.failure();
      }
    }
    seconds = live.seconds();
    PENSTOCK_RETURN_IF_ERROR(live.write_prometheus());
  }
  loader->close();  // reads ahead for an epoch that will not come end here: what is reported is what was read
  PENSTOCK_RETURN_IF_ERROR(report());
  print_result(flags, *loader, seconds, first_batch.value_or(0));
  return {};
}

}  // namespace

Command add_stream(CLI::App& main) {
  auto* app = main.add_subcommand("stream", "Run an epoch: cells/s, MB/s, peak memory, who waited for whom");
  auto flags = std::make_shared<StreamFlags>();
  flags->open.add_to(*app);
  flags->open.add_selection_to(*app);
  flags->loader.add_to(*app);
  app->add_option("--epochs", flags->epochs, "Epochs to run")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  auto* report = app->add_option("--report", flags->report,
                                 "Write a page about the run: time, memory, shuffling (HTML, one file)");
  app->add_option(
         "--label", flags->label,
         "Column of obs whose mixture over batches the page shows (default: the first of --obs with labels)")
      ->needs(report);
  app->add_option(
         "--stats-every", flags->stats_every,
         "Print the counters as a line of JSON every so many seconds; the last line is what --json prints")
      ->check(CLI::PositiveNumber);
  app->add_option("--prometheus", flags->prometheus,
                  "Keep the counters in this file, in Prometheus' text format, replaced every second");
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
