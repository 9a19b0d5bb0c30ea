#include "plan/lineage.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/checked.h"
#include "base/permutation.h"
#include "memory/reserve_for.h"
#include "plan/tape.h"

namespace penstock::plan {
namespace {

// An epoch that was begun with 2 ranks and goes on with 3. What the 2 ranks have not delivered is put one
// behind the other, and this *line* is shared out among the 3 as a tape is:
//
//     stage 1, the tape    rank 0: 0 ........ 49        rank 1: 50 ....... 99     10 batches of 5 rows each
//     after 4 batches      rows left: the rest of 0's open window, 0's rows not begun, the same of 1
//     stage 2, the line    0 ........................ 59    rank 0: 0..19, rank 1: 20..39, rank 2: 40..59
//
// The line is not kept as row numbers. A rank's rest is a piece of an open window, of which the permutation
// says what was delivered, and then one run of rows; so a line of a billion rows is a few thousand single
// rows and some runs (TapeRuns). With a third stage the line of the second is the "tape" of which the third's
// rows are numbers: collect() goes back through the stages until it is at the tape itself.

using Lines = std::span<const Stage>;

// Windows of a run's first epoch ramp up, and so do those of a run that begins with other ranks.
bool ramps(const EpochRule& rule, std::size_t stage) { return rule.epoch == 0 || stage > 0; }

// Where a rank stood when its stage ended. Example: window 0 is delivered, window 1 open, window 2 not begun.
//
//     | window 0  | window 1      | window 2  | left out |
//       delivered   `skip` of it  ^ next                 ^ end
//
// `skip` counts places of the permuted window. `end` is not where the rank would have stopped: rows that
// drop_last left out of this stage are part of what it leaves, since the next stage cuts batches anew.
struct Stop {
  WindowSpan window;       // the open one; no rows when it stopped between two
  std::uint64_t skip = 0;  // places of it that were delivered
  std::uint64_t next = 0;  // rows from here to `end` were not begun
  std::uint64_t end = 0;   // of the rank's rows, those that drop_last leaves out included
  std::uint64_t in_window() const { return window.rows - skip; }
  std::uint64_t rows() const { return in_window() + (end - next); }
};

// `n_rows`: of the line that the stage shares out.
Stop stop_of(const EpochRule& rule, std::uint64_t n_rows, const Stage& stage, std::uint32_t rank, bool ramp) {
  const Share share = rank_share(n_rows, rank, stage.world_size, rule.batch_size, rule.drop_last);
  Stop stop;
  stop.end = rank_share(n_rows, rank, stage.world_size, rule.batch_size, false).last;
  stop.next = share.last;
  WindowSequence windows(share, rule.window_rows, ramp);
  // The window that evens out ranks repeats a row that was delivered before, and leaves nothing.
  const std::uint64_t batches = windows.skip(stage.batches_done);
  if (const auto window = windows.next(); window && !window->repeat) {
    stop.next = window->first;
    if (batches > 0) {
      stop.window = *window;
      stop.skip = window->before(batches);
      stop.next += window->rows;
    }
  }
  return stop;
}

// Rows that a stage leaves of `n_rows`. Not by asking every rank: with world sizes up to a million a lineage
// of a thousand stages would take forever to check. Ranks with equal shares have done equal numbers of rows,
// so one of each sort is asked.
std::uint64_t rows_left(const EpochRule& rule, std::uint64_t n_rows, const Stage& stage) {
  // Shares have one of two sizes, the larger one at the end.
  const std::uint64_t larger = n_rows % stage.world_size;
  const auto done = [&](std::uint32_t rank) {
    return rank_share(n_rows, rank, stage.world_size, rule.batch_size, rule.drop_last)
        .batches()
        .before(stage.batches_done);
  };
  return n_rows - (stage.world_size - larger) * done(0) - larger * done(stage.world_size - 1);
}

// Whether what a rank has done in a stage is the same as when every batch but the last was full.
bool same_as_before(const EpochRule& rule, std::uint64_t n_rows, const Stage& stage, std::uint32_t rank,
                    bool ramp) {
  const Share share = rank_share(n_rows, rank, stage.world_size, rule.batch_size, rule.drop_last);
  const BatchCut cut = share.batches();
  if (rule.drop_last || cut.size == 1 || stage.batches_done == 0) return true;
  if (share.n_batches != ceil_div(ceil_div(n_rows, stage.world_size), cut.size)) return false;
  if (cut.n < 2 || cut.before(cut.n - 1) == (cut.n - 1) * cut.size) return true;
  // One row was left for the last batch, or none. With one the windows were the same, unless one ends between
  // the last two batches.
  if (cut.rows != (cut.n - 1) * cut.size + 1 || stage.batches_done + 2 > cut.n) return false;
  WindowSequence windows(share, rule.window_rows, ramp);
  windows.skip(cut.n - 2);
  const auto window = windows.next();
  return window->first_batch + window->n_batches == cut.n;
}

// Appends the tape rows behind rows [first, last) of what the stages leave; no stage: of the tape.
//
// The ranks of the last stage come one after the other. Of each there is first what its open window has left:
// the window's rows are collected from the stages before (a window of stage 2 is a piece of a line, too), and
// the window's own permutation says which of them have been delivered: those whose place is below `skip`.
// Then the rows that it had not begun, which are one piece of the line before.
Status collect(const EpochRule& rule, Lines stages, std::uint64_t first, std::uint64_t last,
               MemoryBudget& budget, TapeRuns* out) {
  // The recursion is as deep as there are stages before; each call goes to one stage fewer.
  if (first >= last) return {};
  if (stages.empty()) return out->add(first, last);
  const Lines before = stages.first(stages.size() - 1);
  const Stage& stage = stages.back();
  const std::uint64_t n_rows = rows_to_share(rule, stages);
  std::uint64_t at = 0;  // of the rank's rest, on the line that is asked for
  for (std::uint32_t rank = 0; rank < stage.world_size && at < last; ++rank) {
    const Stop stop = stop_of(rule, n_rows, stage, rank, ramps(rule, before.size()));
    const std::uint64_t rest = at + stop.in_window(), end = at + stop.rows();
    // Of the other ranks only their stops are worked out. A rank collects of those whose rest lies in its own
    // share.
    if (first < rest && at < last) {
      const WindowSpan& window = stop.window;
      TapeRuns rows(&budget, window.first);
      PENSTOCK_RETURN_IF_ERROR(
          collect(rule, before, window.first, window.first + window.rows, budget, &rows));
      const KeyedPermutation places(window.rows, window_key(rule.seed, rule.epoch, window.first));
      std::uint64_t number = at;
      for (std::size_t r = 0; r < rows.size() && number < last; ++r) {
        for (std::uint64_t row = rows[r].line; row < rows.end(r) && number < last; ++row) {
          const std::uint64_t i = row - window.first;
          if ((rule.shuffle ? places(i) : i) < stop.skip) continue;
          if (number++ < first) continue;
          const std::uint64_t tape = rows[r].tape + (row - rows[r].line);
          PENSTOCK_RETURN_IF_ERROR(out->add(tape, tape + 1));
        }
      }
    }
    if (first < end && rest < last) {
      PENSTOCK_RETURN_IF_ERROR(collect(rule, before, stop.next + (std::max(first, rest) - rest),
                                       stop.next + (std::min(last, end) - rest), budget, out));
    }
    at = end;
  }
  return {};
}

}  // namespace

Status TapeRuns::add(std::uint64_t first, std::uint64_t last) {
  // Rows that follow each other on the tape as on the line make one run. Most of the line is not begun, and
  // so is in long runs; single rows come from open windows.
  if (!runs_.empty() && runs_.back().tape + (last_ - runs_.back().line) == first) {
    last_ += last - first;
    return {};
  }
  if (runs_.size() == runs_.capacity()) {
    const std::uint64_t grown = std::max<std::uint64_t>(64, runs_.size() * 2);
    if (held_.bytes() == 0) {
      PENSTOCK_ASSIGN_OR_RETURN(held_, budget_->reserve(MemoryTag::index, 0));
    }
    // While a vector grows, the old and the new copy exist at once.
    PENSTOCK_RETURN_IF_ERROR(resize_for("rows that are left of a resumed epoch", *budget_, held_,
                                        MemoryTag::index, (grown + runs_.size()) * sizeof(Run)));
    runs_.reserve(grown);
    held_.resize(grown * sizeof(Run));
  }
  runs_.push_back({last_, first});
  last_ += last - first;
  return {};
}

std::size_t TapeRuns::find(std::uint64_t line_row) const {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), line_row,
                                      [](std::uint64_t row, const Run& run) { return row < run.line; });
  return static_cast<std::size_t>(after - runs_.begin()) - 1;
}

std::uint64_t TapeRuns::line_row(std::uint64_t tape_row) const {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), tape_row,
                                      [](std::uint64_t row, const Run& run) { return row < run.tape; });
  if (after == runs_.begin()) return last_;
  const auto run = static_cast<std::size_t>(after - runs_.begin()) - 1;
  const std::uint64_t row = runs_[run].line + (tape_row - runs_[run].tape);
  // A row between two runs is not on the line: counted from the run before it, it lies behind that run's end.
  return row < end(run) ? row : last_;
}

Lineage continue_lineage(Lineage lineage, std::uint32_t world_size) {
  // A run that was started and stopped before its first batch has left no trace in the order.
  while (!lineage.empty() && lineage.back().batches_done == 0) lineage.pop_back();
  if (lineage.empty() || lineage.back().world_size != world_size) lineage.push_back({world_size, 0});
  return lineage;
}

Status check_lineage(const EpochRule& rule, Lines lineage, bool* complete) {
  *complete = false;
  std::uint64_t n_rows = rule.n_rows;
  for (std::size_t i = 0; i < lineage.size(); ++i) {
    const Stage& stage = lineage[i];
    if (stage.world_size == 0) return Status::invalid_argument("a lineage with a stage of 0 ranks");
    // Of rank 0, but all ranks have as many: rank_share() makes sure of it. So one number per stage
    // says where every rank stands.
    const std::uint64_t batches =
        rank_share(n_rows, 0, stage.world_size, rule.batch_size, rule.drop_last).n_batches;
    const bool is_last = i + 1 == lineage.size();
    if (stage.batches_done > batches ||
        (!is_last && (stage.batches_done == 0 || stage.batches_done == batches))) {
      return Status::invalid_argument(fmt::format(
          "a lineage in which each of {} ranks has done {} batches of {} rows, where {} rows were left "
          "to share out",
          stage.world_size, format_count(stage.batches_done), format_count(rule.batch_size),
          format_count(n_rows)));
    }
    if (is_last) *complete = stage.batches_done == batches;
    n_rows = rows_left(rule, n_rows, stage);
  }
  return {};
}

Status check_old_batches(const EpochRule& rule, Lines lineage) {
  std::uint64_t n_rows = rule.n_rows;
  for (std::size_t i = 0; i < lineage.size(); ++i) {
    const Stage& stage = lineage[i];
    if (stage.world_size == 0) break;  // check_lineage() says so
    // Shares have one of two sizes; the first and the last rank have one each.
    for (const std::uint32_t rank : {0U, stage.world_size - 1}) {
      if (same_as_before(rule, n_rows, stage, rank, ramps(rule, i))) continue;
      return Status::invalid_argument(
          fmt::format("the checkpoint is of an earlier version of Penstock, which ended an epoch of {} rows "
                      "on {} rank{} in a batch of one row; now the last batches share their rows, so what is "
                      "left of epoch {} would not be the rows that were to come. Begin an epoch instead: "
                      "set_epoch({}) repeats this one, set_epoch({}) goes on with the next",
                      format_count(n_rows), stage.world_size, stage.world_size == 1 ? "" : "s", rule.epoch,
                      rule.epoch, rule.epoch + 1));
    }
    n_rows = rows_left(rule, n_rows, stage);
  }
  return {};
}

std::uint64_t rows_to_share(const EpochRule& rule, Lines lineage) {
  std::uint64_t n_rows = rule.n_rows;
  for (std::size_t i = 0; i + 1 < lineage.size(); ++i) n_rows = rows_left(rule, n_rows, lineage[i]);
  return n_rows;
}

Result<TapeRuns> collect_rows(const EpochRule& rule, Lines lineage, std::uint64_t first, std::uint64_t last,
                              MemoryBudget& budget) {
  TapeRuns out(&budget, first);
  PENSTOCK_RETURN_IF_ERROR(
      collect(rule, lineage.first(lineage.empty() ? 0 : lineage.size() - 1), first, last, budget, &out));
  return out;
}

EpochPart whole_epoch(const EpochRule& rule, std::uint32_t rank, std::uint32_t world_size) {
  EpochPart part;
  part.epoch = rule.epoch;
  part.share = rank_share(rule.n_rows, rank, world_size, rule.batch_size, rule.drop_last);
  part.ramp = ramps(rule, 0);
  return part;
}

Result<EpochPart> rest_of_epoch(const EpochRule& rule, Lines lineage, std::uint32_t rank,
                                MemoryBudget& budget) {
  EpochPart part;
  part.epoch = rule.epoch;
  part.share = rank_share(rows_to_share(rule, lineage), rank, lineage.back().world_size, rule.batch_size,
                          rule.drop_last);
  part.lineage.assign(lineage.begin(), lineage.end());
  part.batches_done = lineage.back().batches_done;
  part.ramp = ramps(rule, lineage.size() - 1);
  for (const Stage& stage : lineage.first(lineage.size() - 1)) part.batches_before += stage.batches_done;
  if (lineage.size() > 1) {
    // The row that is repeated may be the one before the share.
    const std::uint64_t first =
        part.share.repeat ? std::min(part.share.first, part.share.repeat_row) : part.share.first;
    const std::uint64_t last =
        part.share.repeat ? std::max(part.share.last, part.share.repeat_row + 1) : part.share.last;
    PENSTOCK_ASSIGN_OR_RETURN(part.line, collect_rows(rule, lineage, first, last, budget));
  }
  return part;
}

}  // namespace penstock::plan
