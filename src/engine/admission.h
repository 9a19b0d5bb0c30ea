// What goes under way next: epochs as windows, windows as blocks, blocks as reads.
//
// An epoch's rows lie on a tape in the order in which blocks are read. Admission walks along it: it cuts the
// tape into windows, opens the next one as soon as one of the two that there are is free, and puts the blocks
// of the open window into the fetch ring as long as that has room. Behind the last window of an epoch follows
// the first of the next, so that nobody waits between epochs.
//
//   tape      |-- window 6 --|-- window 7 --|-- window 8 --| ...
//              draining       filling        not open yet
//
// Sequence numbers of batches count up over windows and epochs, from 0 at begin().
//
// Thread contract: externally synchronised (the engine's lock); workers use the windows as window.h says.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "engine/fetch.h"
#include "engine/window.h"
#include "memory/page_pool.h"
#include "memory/slab.h"
#include "plan/tape.h"
#include "setup/config.h"

namespace penstock::loader {

class Admission {
 public:
  // `config` and `pages` stay where they are and outlive it.
  static Result<std::unique_ptr<Admission>> create(const EngineConfig& config, PagePool& pages);

  // From here on: `part`, whose rows are on `line` where a checkpoint left gaps. Whatever was under way is
  // dropped: no read may be in flight, no block decoding and no batch being built. Returns the sequence
  // number of the first batch to be built; those before it were delivered before the epoch was resumed.
  std::uint64_t begin(plan::EpochPart part, const plan::TapeRuns* line);

  // Opens windows and submits blocks, as many as there is room for.
  void admit();

  // The open window that holds a batch, or null when none does yet.
  Window* window_of(std::uint64_t sequence);
  // One of the window's batches has been built; the last one of its bin frees the bin's pages, the last one
  // of all the window.
  void batch_built(Window& window, std::uint64_t bin);

  FetchRing& fetch() { return fetch_; }

 private:
  Admission(const EngineConfig& config, Slab links, Slab arena);
  bool open_next_window();
  void follow(plan::EpochPart part);
  void fill_in(BlockTask& task);

  const EngineConfig& config_;
  Slab links_;  // per page of the pool: the next page of its bin
  FetchRing fetch_;
  std::unique_ptr<Window> windows_[2];

  // The epoch whose windows are being opened, and where on its tape.
  plan::EpochPart opening_;
  const plan::TapeRuns* line_ = nullptr;
  std::uint64_t skip_batches_ = 0;  // of the next window: delivered before the epoch was resumed
  std::unique_ptr<plan::Tape> tape_;
  std::unique_ptr<plan::WindowSequence> sequence_;
  std::unique_ptr<plan::TapeCursor> cursor_;
  Window* filling_ = nullptr;   // whose blocks are being admitted
  bool task_prepared_ = false;  // the ring's next task is filled in and waits for bytes

  // Windows count up since begin(); window i lies in windows_[i % 2]. draining_ <= opened_ <= draining_ + 2
  std::uint64_t opened_ = 0;         // the next to be opened
  std::uint64_t draining_ = 0;       // the oldest whose batches are not all built
  std::uint64_t next_sequence_ = 0;  // of the next window's first batch
};

}  // namespace penstock::loader
