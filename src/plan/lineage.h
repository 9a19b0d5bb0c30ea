// What is left of an epoch after ranks have come and gone: the arithmetic of resuming.
//
// A lineage says what was done of an epoch: [(world_size, batches_done), ...], batches per rank, the same
// number on each. Stage 0 shares out the tape. What its ranks have not delivered, in the tape's order, is the
// *line* of stage 1: its rows are numbered from 0 and shared out among the next ranks like a tape; and so on.
// A rank that stopped inside a window has delivered the rows whose places in it come first: a set scattered
// over the window. So what it leaves is the rest of that set, row by row, and all windows after it, as one
// run.
//
// Everything here is a function of numbers alone - the rule below and the lineage - so every rank works out
// its own part without asking the others. Cost: the rows of at most one window for each rank that stopped and
// whose rest this rank shares; 16 bytes for each run of rows, reserved under `index` before they are taken.
//
// Thread contract: pure functions; TapeRuns is immutable once collected.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "penstock/memory_budget.h"
#include "penstock/state.h"
#include "penstock/status.h"
#include "plan/windows.h"

namespace penstock::plan {

// What the order of an epoch follows from, but for the blocks and the ranks.
struct EpochRule {
  std::uint64_t n_rows = 0;  // of the tape
  std::uint64_t batch_size = 1, window_rows = 1;
  bool drop_last = false, shuffle = true;
  std::uint64_t seed = 0, epoch = 0;
};

// Runs of consecutive tape rows, ascending, numbered through as rows of a line.
class TapeRuns {
 public:
  struct Run {
    std::uint64_t line = 0;  // number of its first row on the line
    std::uint64_t tape = 0;  // that row on the tape
  };

  // Empty; its first row will have the number `first`. `budget` outlives it.
  TapeRuns(MemoryBudget* budget, std::uint64_t first) : budget_(budget), first_(first), last_(first) {}
  // Appends tape rows [first, last), which lie behind all others.
  Status add(std::uint64_t first, std::uint64_t last);

  std::uint64_t first() const { return first_; }  // rows of the line
  std::uint64_t last() const { return last_; }
  std::size_t size() const { return runs_.size(); }
  std::uint64_t bytes() const { return held_.bytes(); }
  const Run& operator[](std::size_t i) const { return runs_[i]; }
  // One behind a run's last row, on the line.
  std::uint64_t end(std::size_t i) const { return i + 1 < runs_.size() ? runs_[i + 1].line : last_; }
  // The run that holds a row of the line, which is in [first(), last()).
  std::size_t find(std::uint64_t line_row) const;
  std::uint64_t tape_row(std::uint64_t line_row) const {
    const Run& run = runs_[find(line_row)];
    return run.tape + (line_row - run.line);
  }
  // A tape row's number on the line; last() when it is not on it.
  std::uint64_t line_row(std::uint64_t tape_row) const;

 private:
  MemoryBudget* budget_;
  std::vector<Run> runs_;
  Reservation held_;
  std::uint64_t first_, last_;
};

// The lineage that goes on with `world_size` ranks: its last stage has that many. Stages in which nothing was
// done are no stages.
Lineage continue_lineage(Lineage lineage, std::uint32_t world_size);

// An error when no run could have left such a lineage: a stage of 0 ranks, or one that was asked for more
// batches than there were; `complete`: nothing is left to deliver. Of every stage but the last something is.
Status check_lineage(const EpochRule& rule, std::span<const Stage> lineage, bool* complete);

// For a lineage of a version in which the last batch could have a single row (Note [No lone row]): an error
// when what was done would not be the same batches today.
Status check_old_batches(const EpochRule& rule, std::span<const Stage> lineage);

// Rows of the line that the last stage shares out (the whole tape, for one stage). The lineage is checked.
std::uint64_t rows_to_share(const EpochRule& rule, std::span<const Stage> lineage);

// The tape rows behind rows [first, last) of the line that the last stage shares out.
Result<TapeRuns> collect_rows(const EpochRule& rule, std::span<const Stage> lineage, std::uint64_t first,
                              std::uint64_t last, MemoryBudget& budget);

// What one rank delivers of an epoch. Rows of `share` are of the line: the tape itself, or `line`.
struct EpochPart {
  std::uint64_t epoch = 0;
  Share share;
  std::uint64_t batches_done = 0;    // of share.n_batches, before this run
  std::uint64_t batches_before = 0;  // of the epoch, in stages before the last
  bool ramp = false;                 // see WindowSequence
  Lineage lineage;  // what was done of it, the last stage with the ranks of now; empty: nothing
  std::optional<TapeRuns> line;
};

// A whole epoch.
EpochPart whole_epoch(const EpochRule& rule, std::uint32_t rank, std::uint32_t world_size);
// An epoch from a checked lineage on, whose last stage is the ranks of now.
Result<EpochPart> rest_of_epoch(const EpochRule& rule, std::span<const Stage> lineage, std::uint32_t rank,
                                MemoryBudget& budget);

}  // namespace penstock::plan
