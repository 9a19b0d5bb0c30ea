// Rows of matrices that are stored column by column, turned before their blocks are decoded.
//
// A block of such a matrix would cost a pass over all of it. So blocks are turned in groups: from the row of
// the tape where a block is wanted that is not there, as many segments of the tape as the turner's memory
// holds, to the end of this rank's share at most. One pass over each file that has rows in the group puts
// them together, with all workers' help, and then the blocks of the group are decoded in order from memory, as
// those of any other source. Groups know nothing of windows: the small windows that a run begins with share
// a pass.
//
//   tape    |-- group 5 --|-- group 6 --|-- ...      a pass at the beginning of each
//           |- window 8 -|- window 9 -|- ...
//
// Where groups end is a function of the tape and of lengths of rows alone (setup/turned_groups.h), so that what
// an epoch costs is known beforehand.
//
// Thread contract: under the engine's lock, except for lay_out() and finish(), which the one worker calls
// without it that has called begin(); a ColumnPass looks after itself. Rows may be read while the group is in
// use().
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/fetch.h"
#include "memory/slab.h"
#include "penstock/status.h"
#include "plan/lineage.h"
#include "setup/config.h"
#include "setup/turned_groups.h"
#include "source/column_major.h"
#include "source/column_pass.h"

namespace penstock::loader {

class Turner {
 public:
  // nullptr where no file is stored by columns.
  static Result<std::unique_ptr<Turner>> create(const EngineConfig& config);

  // Whether the task's rows have to be turned, and whether they are: or could not be, see failure().
  bool concerns(const BlockTask& task) const;
  bool holds(const BlockTask& task) const;
  const TurnedRows* rows(std::uint32_t file) const { return &files_[file].rows; }
  const Status& failure(std::uint32_t file) const { return failure_.ok() ? files_[file].failure : failure_; }

  // Blocks that are being decoded from the group, which stays as it is meanwhile.
  void use() { ++users_; }
  void leave() { --users_; }
  bool in_use() const { return users_ > 0; }

  // A group that begins with the task's rows; the caller then calls lay_out(), opens one pass after the other
  // with next_pass(), works at each and finishes it, and calls end().
  void begin(const BlockTask& task);
  Status lay_out();
  // The next pass, or nullptr. It is pass() until it is finished.
  std::shared_ptr<ColumnPass> next_pass();
  std::uint32_t pass_file() const { return pass_file_; }
  // What the pass came to. Rows of other files do not suffer from it.
  void finished(Status status) { files_[pass_file_].failure = std::move(status); }
  void end(Status status);
  bool turning() const { return turning_; }
  // For helpers: the pass under way, if it has parts left.
  std::shared_ptr<ColumnPass> pass_to_help() const {
    return pass_ != nullptr && pass_->has_parts() ? pass_ : nullptr;
  }
  // What is under way ends soon, and the group is dropped.
  void cancel();

 private:
  struct File {
    const ColumnMajor* columns = nullptr;  // nullptr: not stored by columns
    TurnedRows rows;
    bool wanted = false;
    Status failure;  // of this group's pass over it
  };
  Turner(const EngineConfig& config, Slab slab);
  std::uint64_t share_end(const BlockTask& task) const;

  const EngineConfig& config_;
  Slab slab_;
  std::vector<File> files_;
  std::vector<RowRange> wanted_;  // scratch

  // The group: rows [first_, last_) of an epoch's tape, or of a line. Empty where none is held.
  std::uint64_t epoch_ = 0, first_ = 0, last_ = 0, share_end_ = 0;
  std::uint64_t task_end_ = 0;  // of the rows of the task that it began with
  const plan::TapeRuns* line_ = nullptr;
  Status failure_;
  std::uint64_t users_ = 0;

  bool turning_ = false, cancelled_ = false;
  std::shared_ptr<ColumnPass> pass_;
  std::uint32_t pass_file_ = 0;
};

}  // namespace penstock::loader
