// Where the consumer's epoch stands: which one it is, how much of it has been returned, what comes after.
//
// Threads work ahead of it: windows of the next epoch may be under way while batches of this one are
// returned. A loader that goes on from a checkpoint has one epoch that is shorter, the first to be started;
// it is resumed once, and whole when it is started again.
//
// Thread contract: externally synchronised (the engine's lock).
#pragma once

#include <cstdint>
#include <optional>

#include "penstock/state.h"
#include "penstock/status.h"
#include "setup/config.h"

namespace penstock::loader {

class EpochProgress {
 public:
  // `config` stays where it is.
  explicit EpochProgress(const EngineConfig* config);

  // --- starting an epoch, in two steps around what may fail ---
  // From here on, part_of() and line() are those of a start of `epoch`.
  void turn_to(std::uint64_t epoch);
  void begin(std::uint64_t epoch);
  // True when `epoch` follows the one that has been read to its end: its first windows are under way.
  bool follows(std::uint64_t epoch) const { return epoch == epoch_ + 1 && done(); }
  // What of an epoch is to be delivered: the rest of the one that is resumed, or a whole one.
  plan::EpochPart part_of(std::uint64_t epoch) const;
  bool resumes(std::uint64_t epoch) const;
  // The rows that are left on the tape of the epoch that is resumed, if a checkpoint left gaps in it.
  const plan::TapeRuns* line() const;

  // --- in an epoch ---
  bool in_epoch() const { return in_epoch_; }
  bool done() const { return delivered_ == share_.n_batches; }
  void leave() { in_epoch_ = false; }
  // The next batch has been looked at, and not been taken.
  bool peeked() const { return peeked_; }
  void peek() { peeked_ = true; }
  void take() {
    peeked_ = false;
    ++delivered_;
  }

  // --- asked at any time ---
  std::uint64_t epoch() const { return epoch_; }
  std::uint64_t next_epoch() const { return next_epoch_; }
  std::uint64_t epoch_batches() const;
  std::uint64_t batches_left() const { return in_epoch_ ? share_.n_batches - delivered_ : 0; }
  // A checkpoint after `batches_done` batches of this epoch since it was started; all that were returned when
  // none is given. `invalid_argument` for more than were returned.
  Result<LoaderState> state(std::optional<std::uint64_t> batches_done) const;

 private:
  const EngineConfig* config_;
  bool ever_started_ = false;
  bool began_ = false;          // an epoch: what state() is of
  bool began_resumed_ = false;  // it was the rest of config_->resume
  bool in_epoch_ = false;
  bool peeked_ = false;
  bool resuming_ = false;  // config_->resume is what is being delivered, or what the first start would begin
  plan::Share share_;      // of the epoch
  std::uint64_t batches_done_ = 0;  // of share_.n_batches, before the epoch was resumed
  std::uint64_t epoch_ = 0, delivered_ = 0, next_epoch_ = 0;
};

}  // namespace penstock::loader
