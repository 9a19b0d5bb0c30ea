// The memory for turned rows is one slab, divided anew for every group:
//
//   | table of file 0 | table of file 2 | ids of 0 | values of 0 | ids of 2 | values of 2 |  not used |
//
// A table has 4 bytes for each row of the file, wanted or not: where the row's next entry goes. The tables
// stay where they are; ids and values are laid out behind them for the rows of the group, as many as fit.
//
// One worker leads. It lays out the group and opens one pass after the other, and workers that come by help
// with the pass under way. A pass that fails does so for the rows of its file alone.
#include "engine/turner.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/carver.h"
#include "base/check.h"
#include "base/checked.h"
#include "engine/window.h"

namespace penstock::loader {

Result<std::unique_ptr<Turner>> Turner::create(const EngineConfig& config) {
  if (config.window.turned_bytes == 0) return std::unique_ptr<Turner>();
  PENSTOCK_ASSIGN_OR_RETURN(Slab slab, Slab::map(config.window.turned_bytes, true));
  return std::unique_ptr<Turner>(new Turner(config, std::move(slab)));
}

Turner::Turner(const EngineConfig& config, Slab slab) : config_(config), slab_(std::move(slab)) {
  files_.resize(config.parts.size());
  Carver memory(slab_.data());
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const RowSource& source = *config.parts[i].source;
    files_[i].columns = source.by_columns();
    if (files_[i].columns == nullptr) continue;
    const RowIndex n = source.traits().n_rows;
    files_[i].rows = TurnedRows({0, n}, memory.array<std::uint32_t>(n).data(), nullptr, nullptr, 0);
  }
}

bool Turner::concerns(const BlockTask& task) const { return files_[task.block.file].columns != nullptr; }

// The segment as a whole, in this very order of rows: a line numbers its rows differently from the tape.
bool Turner::holds(const BlockTask& task) const {
  const plan::Segment& s = task.segment;
  return !turning_ && task.window->epoch() == epoch_ && task.line == line_ && s.tape_row >= first_ &&
         s.tape_row + s.rows <= last_;
}

// A row that evens out ranks may lie outside of the share.
std::uint64_t Turner::share_end(const BlockTask& task) const {
  const plan::Segment& s = task.segment;
  const plan::Share share =
      task.line != nullptr ? config_.resume->share : config_.whole_epoch(task.window->epoch()).share;
  return std::max(share.last, s.tape_row + s.rows);
}

void Turner::begin(const BlockTask& task) {
  PENSTOCK_CHECK(!turning_ && users_ == 0);
  turning_ = true;
  cancelled_ = false;
  failure_ = Status();
  for (File& file : files_) file.failure = Status();
  epoch_ = task.window->epoch();
  line_ = task.line;
  // Empty so far, so that it holds nobody's rows until it has been laid out.
  first_ = last_ = task.segment.tape_row;
  task_end_ = first_ + task.segment.rows;
  share_end_ = share_end(task);
  pass_file_ = 0;
}

Status Turner::lay_out() {
  // Two walks over the same memory: which rows are wanted is noted in the tables, then every wanted row is
  // given its place, one behind the other, by its length.
  for (File& file : files_) {
    file.wanted = false;
    if (file.columns != nullptr) file.rows.clear();
  }
  const plan::Tape tape = config_.tape(epoch_);
  plan::TapeCursor cursor(&tape, first_, line_);
  walk_group(config_, line_, cursor, share_end_, TurnedSizes::capacity(config_), wanted_,
             [&](std::uint32_t file, std::span<const RowRange> rows) {
               for (const RowRange& range : rows) files_[file].rows.want(range);
               files_[file].wanted = true;
             });
  last_ = cursor.tape_row();
  // Behind the tables, whose slack is for the arrays' beginnings.
  ByteCount at = 0;
  for (const File& file : files_) {
    if (file.columns != nullptr)
      at += round_up(file.rows.rows().size() * sizeof(std::uint32_t), Carver::kAlign);
  }
  for (File& file : files_) {
    if (!file.wanted) continue;
    const std::uint64_t entries = file.rows.lay_out(file.columns->row_lengths());
    std::byte* const ids = slab_.data() + at;
    at += round_up(entries * numeric_size(file.columns->turned_id_type()), Carver::kAlign);
    std::byte* const values = slab_.data() + at;
    at += round_up(entries * numeric_size(file.columns->turned_value_type()), Carver::kAlign);
    // walk_group() has counted the same bytes; were they more all the same, the pass would write past the
    // slab.
    if (entries > TurnedRows::kMostEntries || at > slab_.size()) {
      return Status::internal(fmt::format("{} entries to turn into {}", entries, format_bytes(slab_.size())));
    }
    file.rows = TurnedRows(file.rows.rows(), file.rows.next(), ids, values, entries);
  }
  return {};
}

std::shared_ptr<ColumnPass> Turner::next_pass() {
  if (pass_ != nullptr) ++pass_file_;
  pass_.reset();
  if (cancelled_) return nullptr;
  while (pass_file_ < files_.size() && !files_[pass_file_].wanted) ++pass_file_;
  if (pass_file_ == files_.size()) return nullptr;
  pass_ = std::make_shared<ColumnPass>(*files_[pass_file_].columns, files_[pass_file_].rows);
  return pass_;
}

void Turner::end(Status status) {
  turning_ = false;
  pass_.reset();
  // A pass that was cancelled has put only some entries into their rows: nobody may decode these.
  if (cancelled_) {
    last_ = first_ = 0;
    return;
  }
  // Whoever comes for the task's rows is told why there are none, even where nothing was laid out; else they
  // would be turned again and again for as long as the system has no memory.
  if (!status.ok()) last_ = std::max(last_, task_end_);
  failure_ = std::move(status);
}

void Turner::cancel() {
  cancelled_ = true;
  if (pass_ != nullptr) pass_->cancel();
}

}  // namespace penstock::loader
