// Three cursors, each on a smaller scale, say what is next: the epoch (opening_), its windows (sequence_) and
// the segments of the tape that make up the window being filled (cursor_). None of them needs a list: an
// epoch's tape and windows are functions of its number.
//
// Reading runs ahead of what is delivered, so that the cursors may stand in the next epoch already, while the
// consumer is in the middle of this one.
#include "engine/admission.h"

#include <utility>

namespace penstock::loader {

Admission::Admission(const EngineConfig& config, Slab links, Slab arena)
    : config_(config), links_(std::move(links)), fetch_(std::move(arena), kMaxTasks) {}

Result<std::unique_ptr<Admission>> Admission::create(const EngineConfig& config, PagePool& pages) {
  PENSTOCK_ASSIGN_OR_RETURN(Slab links, Slab::map(pages.n_pages() * sizeof(PageLink), false));
  PENSTOCK_ASSIGN_OR_RETURN(Slab arena, Slab::map(config.rest.fetch_bytes, true));
  std::unique_ptr<Admission> made(new Admission(config, std::move(links), std::move(arena)));
  const std::span next_page(reinterpret_cast<PageLink*>(made->links_.data()), pages.n_pages());
  // Both windows draw pages from one pool, so one table of links, by page, serves both: a page is in one
  // chain only.
  for (auto& window : made->windows_) {
    PENSTOCK_ASSIGN_OR_RETURN(
        window, Window::create(&pages, next_page, config.window.table_rows, config.window.bin_rows));
  }
  return made;
}

std::uint64_t Admission::begin(plan::EpochPart part, const plan::TapeRuns* line) {
  fetch_.reset();
  for (auto& window : windows_) window->active = false;
  filling_ = nullptr;
  task_prepared_ = false;
  opened_ = draining_ = next_sequence_ = 0;
  follow(std::move(part));
  line_ = line;
  // The window that holds the next batch begins with sequence 0.
  return skip_batches_;
}

void Admission::follow(plan::EpochPart part) {
  opening_ = std::move(part);
  line_ = nullptr;
  tape_ = std::make_unique<plan::Tape>(config_.tape(opening_.epoch));
  sequence_ =
      std::make_unique<plan::WindowSequence>(opening_.share, config_.window.window_rows, opening_.ramp);
  // Whole windows that were delivered before are left out, and so not read. Of the one that a checkpoint
  // stands in all blocks are read again, since rows of every batch are scattered over them; skip_batches_ are
  // not built.
  skip_batches_ = sequence_->skip(opening_.batches_done);
  cursor_.reset();
}

bool Admission::open_next_window() {
  Window& window = *windows_[opened_ % 2];
  // A loader without any batch would go from empty epoch to empty epoch here, and never come back.
  const bool no_rows = opening_.share.n_batches == 0 && config_.share.n_batches == 0;
  if (window.active || no_rows) return false;
  auto next = sequence_->next();
  if (!next) {
    // The next epoch's first window follows without a gap.
    follow(config_.whole_epoch(opening_.epoch + 1));
    next = sequence_->next();
    if (!next) return false;
  }
  const auto& o = config_.options;
  window.open(*next, opening_.epoch, next_sequence_, o.shuffle,
              plan::window_key(o.seed, opening_.epoch, next->first), std::exchange(skip_batches_, 0));
  next_sequence_ += next->n_batches;
  // Mostly the next window begins where the cursor stands. It does not behind a skip, in a new epoch, and for
  // the row that evens out ranks, which lies elsewhere on the tape; seeking costs a step for each block.
  if (!cursor_ || cursor_->tape_row() != next->first)
    cursor_ = std::make_unique<plan::TapeCursor>(tape_.get(), next->first, line_);
  filling_ = &window;
  ++opened_;
  return true;
}

void Admission::admit() {
  for (;;) {
    if (filling_ == nullptr && !open_next_window()) return;
    if (!task_prepared_) {
      BlockTask* task = fetch_.prepare();
      if (task == nullptr) return;
      if (!cursor_->next(filling_->plan().first + filling_->plan().rows, &task->segment)) {
        filling_ = nullptr;  // the window's last block was the one before
        continue;
      }
      fill_in(*task);
      task_prepared_ = true;
    }
    if (!fetch_.submit()) return;
    task_prepared_ = false;
  }
}

// What to read for a segment of the tape. An error travels with the task, to the batch that its rows are in.
void Admission::fill_in(BlockTask& task) {
  task.window = filling_;
  task.block = config_.blocks[task.segment.block];
  task.line = line_;
  config_.rows_to_read(task.segment, line_, task.wanted);
  const internal::FilePart& part = config_.parts[task.block.file];
  task.error = part.source->requests(task.wanted, Heads::estimated, task.requests);
  if (task.error.ok()) {
    task.error = config_.requests_beside(task.block.file, task.wanted, task.requests);
  }
  // A task without requests counts as read, so that its error is told in its turn.
  if (!task.error.ok()) task.requests.clear();
  task.requests.coalesce(kCoalesceGap, kCoalesceMax);
}

// The next batch may belong to the window after the one that drains, whose last batches are still being
// built.
Window* Admission::window_of(std::uint64_t sequence) {
  for (std::uint64_t i = draining_; i < opened_; ++i) {
    Window* window = windows_[i % 2].get();
    if (sequence < window->first_sequence() + window->plan().n_batches) return window;
  }
  return nullptr;
}

void Admission::batch_built(Window& window, std::uint64_t bin) {
  if (window.count_built(bin) == window.batches_in_bin(bin)) window.free_bin(bin);
  // Batches of two windows may be built at the same time, so the later one can be done first. Then it is not
  // active any more, but it is counted as drained only behind the earlier one.
  if (++window.batches_built == window.plan().n_batches) window.active = false;
  while (draining_ < opened_ && !windows_[draining_ % 2]->active) ++draining_;
}

}  // namespace penstock::loader
