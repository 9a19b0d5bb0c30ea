// Who held up the run? Two clocks answer. The training loop's time is waiting or not waiting; a decode
// thread's time is work, reading, or being idle for a reason that the engine has noted. Example: a loop that
// waited 60 % of its time, while threads were idle for reads 70 % of theirs, was held up by storage.
//
// The questions are asked in the order in which a fix would help. If the loop hardly waits, nothing about
// loading matters. If it waits, the largest reason of the threads counts, when it takes more than about a
// third of their time; when none does, they were working, and decoding is the limit.

#include "report/words.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::report {
namespace {

std::string plural(std::uint64_t n, const char* one) {
  const std::string word(one);
  return fmt::format("{} {}{}", format_count(n), word, n == 1 ? "" : word.ends_with('h') ? "es" : "s");
}

std::uint64_t whole(double x) { return x > 0 ? static_cast<std::uint64_t>(x + 0.5) : 0; }

// A run of no time has no rates; a page with "nan" helps nobody.
double ratio(double a, double b) { return b > 0 ? a / b : 0; }

// Shares of the decode threads' time.
struct Threads {
  double work = 0, reading = 0, idle = 0, for_reads = 0, for_pages = 0, for_consumer = 0;
};

Threads threads_of(const LoaderStats& s) {
  const double work = s.decode_seconds + s.assemble_seconds;
  // Measured parts, not threads x seconds: threads begin and end at different times.
  const double all = work + s.worker_read_seconds + s.worker_idle_seconds;
  Threads t;
  t.work = ratio(work, all);
  t.reading = ratio(s.worker_read_seconds, all);
  t.idle = ratio(s.worker_idle_seconds, all);
  t.for_reads = ratio(s.idle_for_reads_seconds, all);
  t.for_pages = ratio(s.idle_for_pages_seconds, all);
  t.for_consumer = ratio(s.idle_for_consumer_seconds, all);
  return t;
}

std::string percent(double share) { return fmt::format("{:.0f} %", 100 * share); }

}  // namespace

std::vector<std::string> what_ran(const Plan& plan, const LoaderStats& stats) {
  std::vector<std::string> lines;
  lines.push_back(fmt::format("{} of {} in {}; batches of {} as {} {}, {}.", plural(plan.n_rows, "cell"),
                              plural(plan.n_cols, "gene"), plural(plan.n_files, "file"),
                              plural(plan.batch_size, "cell"), plan.format, plan.dtype,
                              plan.shuffle ? "shuffled" : "in file order"));
  if (stats.batches == 0) {
    lines.push_back("No batch has been delivered yet: this page shows the plan.");
  } else {
    lines.push_back(
        fmt::format("{} in {} were delivered in {:.2f} s: {} cells/s.", plural(stats.rows, "cell"),
                    plural(stats.batches, "batch"), stats.last_batch_seconds,
                    format_count(whole(ratio(static_cast<double>(stats.rows), stats.last_batch_seconds)))));
  }
  lines.push_back(fmt::format("{}; at most {} of the budget of {} was held.",
                              plural(plan.threads, "decode thread"), format_bytes(stats.memory.peak),
                              format_bytes(stats.memory.limit)));
  if (plan.world_size > 1) lines.push_back(fmt::format("Rank {} of {}.", plan.rank, plan.world_size));
  return lines;
}

//     the loop waited less than 10 %                               the model
//     idle for reads, or reading: over 35 %, and the most          reading
//     idle for pages: over 35 %, and more than for the consumer    the budget
//     idle for the consumer: over 35 %                             room for batches
//     none of these                                                decoding
Verdict judge(const Plan& plan, const LoaderStats& s, std::uint32_t cores) {
  Verdict v;
  const double loop = s.consumer_wait_seconds + s.consumer_busy_seconds;
  if (s.batches == 0 || loop <= 0) {
    v.title = "Nothing has run yet";
    v.advice.push_back("Iterate over the loader, then write the report again.");
    return v;
  }
  const double waited = s.consumer_wait_seconds / loop;
  const Threads t = threads_of(s);
  const std::string loop_waited =
      fmt::format("The training loop waited for data {} of its time ({:.2f} of {:.2f} s)", percent(waited),
                  s.consumer_wait_seconds, loop);
  // Below a tenth the loop would gain at most that tenth from perfect loading.
  if (waited < 0.1) {
    v.bottleneck = Bottleneck::model;
    v.title = "The model was the bottleneck";
    v.advice.push_back(fmt::format("{}; the decode threads were idle {}.", loop_waited, percent(t.idle)));
    v.advice.push_back(
        t.idle > 0.5 && plan.threads > 1
            ? "Loading keeps up with cores to spare: fewer threads would do, and a faster model or "
              "device would be fed."
            : "Loading keeps up: there is nothing to change in it.");
  } else if (t.for_reads + t.reading > std::max({0.35, t.for_pages, t.for_consumer})) {
    v.bottleneck = Bottleneck::reading;
    v.title = "Reading was the bottleneck";
    v.advice.push_back(
        fmt::format("{}, and the decode threads spent {} of theirs on bytes that were not there yet. {}/s "
                    "came from storage.",
                    loop_waited, percent(t.for_reads + t.reading),
                    format_bytes(whole(ratio(static_cast<double>(s.bytes_read), s.last_batch_seconds)))));
    v.advice.push_back(fmt::format(
        "Faster or local storage helps most. Where each read is slow but many at once are not (NFS, object "
        "stores), try more io_threads than {}. A second epoch comes from the page cache if the files fit "
        "into memory.",
        plan.io_threads));
  } else if (t.for_pages > std::max(0.35, t.for_consumer)) {
    v.bottleneck = Bottleneck::memory;
    v.title = "The budget was the bottleneck";
    v.advice.push_back(fmt::format("{}, and the decode threads waited {} of theirs for room in the window.",
                                   loop_waited, percent(t.for_pages)));
    v.advice.push_back("Give the loader more memory, or use a smaller window_rows.");
  } else if (t.for_consumer > 0.35) {
    v.bottleneck = Bottleneck::batches_held;
    v.title = "Room for batches was the bottleneck";
    v.advice.push_back(
        fmt::format("{}, while the decode threads had built all the batches there is room for {} of theirs: "
                    "batches are taken in bursts, or many are held.",
                    loop_waited, percent(t.for_consumer)));
    v.advice.push_back(
        "Let go of batches sooner (batch.clone() copies what you keep), or give the loader more memory.");
  } else {
    v.bottleneck = Bottleneck::decoding;
    v.title = "Decoding was the bottleneck";
    v.advice.push_back(
        fmt::format("{}, and the decode threads worked {} of theirs.", loop_waited, percent(t.work)));
    if (plan.threads < cores) {
      v.advice.push_back(
          fmt::format("{} of the {} cores that this process may use decode: more threads (or more memory, if "
                      "they did not fit) bring more cells per second.",
                      plan.threads, cores));
    } else {
      v.advice.push_back(
          fmt::format("All {} cores decode: this is what the files' compression allows here. More cores "
                      "bring more cells per second.",
                      cores));
    }
  }
  // What follows may be true beside any verdict.
  const double deferred = ratio(static_cast<double>(s.rows_deferred), static_cast<double>(s.rows));
  if (deferred > 0.01) {
    v.advice.push_back(
        fmt::format("{} of the cells found no room in the window and were read twice: more memory or a "
                    "smaller window_rows avoids that.",
                    percent(deferred)));
  }
  // The planner's own aim (plan/sizing.cc), which it misses where memory is short. It does not matter when
  // one window holds all blocks.
  const double wanted = 0.8 * std::min(static_cast<double>(std::min(plan.batch_size, plan.n_rows)), 1024.0);
  if (plan.shuffle && plan.q_eff < wanted && plan.blocks_per_window < static_cast<double>(plan.n_blocks)) {
    v.advice.push_back(
        fmt::format("If the files are sorted by label, a batch of {} is worth only about {} independent "
                    "cells; more memory makes it more.",
                    format_count(plan.batch_size), format_count(whole(plan.q_eff))));
  }
  return v;
}

}  // namespace penstock::report
