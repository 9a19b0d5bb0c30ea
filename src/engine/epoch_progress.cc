// What makes this more than a counter is the epoch that a checkpoint stands in. It is shorter than others,
// its rows may lie on a line instead of the tape, and it is delivered once. And state() has to be right at
// any time: before the first start, after a start that was refused, in the middle of the resumed epoch, at
// its end.
#include "engine/epoch_progress.h"

#include <fmt/format.h>

#include <utility>

namespace penstock::loader {

EpochProgress::EpochProgress(const EngineConfig* config) : config_(config) {
  if (!config->resume) return;
  resuming_ = true;
  next_epoch_ = config->resume->epoch;
}

bool EpochProgress::resumes(std::uint64_t epoch) const {
  return resuming_ && epoch == config_->resume->epoch;
}

void EpochProgress::turn_to(std::uint64_t epoch) {
  // An epoch is resumed once, at the first start; and not at all when another one is started first.
  resuming_ = resumes(epoch) && !ever_started_;
  ever_started_ = true;
  peeked_ = false;
}

void EpochProgress::begin(std::uint64_t epoch) {
  const plan::EpochPart part = part_of(epoch);
  began_ = in_epoch_ = true;
  began_resumed_ = resuming_;
  epoch_ = epoch;
  next_epoch_ = epoch + 1;
  share_ = part.share;
  // Batches count from the beginning of the share, so that those before the checkpoint count as delivered.
  delivered_ = batches_done_ = part.batches_done;
}

plan::EpochPart EpochProgress::part_of(std::uint64_t epoch) const {
  if (!resumes(epoch)) return config_->whole_epoch(epoch);
  // Without the line, which is large and stays where it is.
  plan::EpochPart part;
  part.epoch = epoch;
  part.share = config_->resume->share;
  part.batches_done = config_->resume->batches_done;
  part.ramp = config_->resume->ramp;
  return part;
}

const plan::TapeRuns* EpochProgress::line() const {
  return resuming_ && config_->resume->line ? &*config_->resume->line : nullptr;
}

std::uint64_t EpochProgress::epoch_batches() const {
  if (!resuming_) return config_->share.n_batches;
  return config_->resume->batches_before + config_->resume->share.n_batches;
}

Result<LoaderState> EpochProgress::state(std::optional<std::uint64_t> batches_done) const {
  LoaderState s = config_->state;
  // A start that was refused changes nothing: until one begins, the state is that of the beginning.
  const bool resumed = began_ ? began_resumed_ : config_->resume.has_value();
  const std::uint64_t returned = began_ ? delivered_ - batches_done_ : 0;
  if (batches_done.value_or(0) > returned) {
    return Status::invalid_argument(fmt::format(
        "batches_done={}, but only {} batches of this epoch were returned", *batches_done, returned));
  }
  s.epoch = began_ ? epoch_ : next_epoch_;
  // Example: 2 ranks did 100 batches each and stopped, and 4 ranks went on. After 7 batches of this rank the
  // lineage is [(2, 100), (4, 7)].
  s.lineage =
      plan::continue_lineage(resumed ? config_->resume->lineage : Lineage(), config_->options.world_size);
  s.lineage.back().batches_done += batches_done.value_or(returned);
  if (began_ && s.lineage.back().batches_done == share_.n_batches) {
    // Nothing of the epoch is left: what comes next is the beginning of the one after.
    ++s.epoch;
    s.lineage.clear();
  }
  // A stage in which nothing is done yet is none.
  while (!s.lineage.empty() && s.lineage.back().batches_done == 0) s.lineage.pop_back();
  return s;
}

}  // namespace penstock::loader
