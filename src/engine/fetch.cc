// Two rings in one. Tasks: four positions that only count up, head <= decode <= issue <= tail as a rule, cut
// the ring into tasks being decoded or done, those read or being read, and those whose reads nobody has
// issued. Bytes: every task has one piece of the arena, which never wraps, and pieces lie in the order of the
// tasks. The used part either is one piece or goes around the end:
//
//   |....[ 5 ][ 6 ][ 7 ]......|     first_byte_ < end_byte_: the next goes behind 7, or to the front
//   |[ 8 ][ 9 ]....[ 6 ][ 7 ]..|    end_byte_ < first_byte_: between 9 and 6; what is behind 7 stays empty
//
// Tasks are decoded in order but end in any order, so memory comes back only as far as all before have ended.
#include "engine/fetch.h"

#include <algorithm>

#include "base/check.h"

namespace penstock::loader {

FetchRing::FetchRing(Slab arena, std::size_t max_tasks) : arena_(std::move(arena)), tasks_(max_tasks) {}

BlockTask* FetchRing::prepare() {
  if (tail_ - head_ == tasks_.size()) return nullptr;
  BlockTask& task = tasks_[tail_ % tasks_.size()];
  PENSTOCK_CHECK(task.state == BlockTask::State::empty);
  task.wanted.clear();
  task.requests.clear();
  task.error = Status();
  task.turned = nullptr;
  return &task;
}

// A task that does not fit stays prepared, and is submitted again once bytes have come back.
bool FetchRing::submit() {
  BlockTask& task = tasks_[tail_ % tasks_.size()];
  task.bytes = task.requests.total_bytes();
  if (task.bytes > 0) {
    // The used bytes are one run that may wrap; a task's bytes never wrap.
    if (!any_bytes_) {
      if (task.bytes > arena_.size()) return false;
      first_byte_ = end_byte_ = 0;
    }
    if (end_byte_ >= first_byte_ && (!any_bytes_ || end_byte_ != first_byte_)) {
      if (arena_.size() - end_byte_ >= task.bytes) {
        task.at = end_byte_;
      } else if (any_bytes_ && first_byte_ > task.bytes) {
        task.at = 0;
      } else {
        return false;
      }
    } else {
      // Wrapped. Keep one byte between end and first, so that equality means "wrapped and full" never
      // happens.
      if (first_byte_ - end_byte_ <= task.bytes) return false;
      task.at = end_byte_;
    }
    end_byte_ = task.at + task.bytes;
    any_bytes_ = true;
  }
  task.issued = 0;
  task.issued_bytes = 0;
  task.pending = task.requests.requests().size();
  task.state = task.pending == 0 ? BlockTask::State::read : BlockTask::State::reading;
  ++tail_;
  return true;
}

// Requests of a task are issued one by one, so that several threads read for the same block: a single large
// block comes as fast as many small ones.
bool FetchRing::next_read(ReadJob* job, bool only_begun) {
  issue_ = std::max(issue_, decode_);  // what is being decoded has been read, maybe by its worker
  while (issue_ < tail_) {
    BlockTask& task = tasks_[issue_ % tasks_.size()];
    if (task.issued < task.requests.requests().size()) {
      if (only_begun && task.issued == 0) return false;
      job->task = &task;
      job->request = task.requests.requests()[task.issued++];
      job->into = arena_.data() + task.at + task.issued_bytes;
      task.issued_bytes += job->request.bytes;
      ++reads_in_flight_;
      return true;
    }
    ++issue_;
  }
  return false;
}

bool FetchRing::read_done(const ReadJob& job, Status status) {
  --reads_in_flight_;
  // The first error of a task counts. The other reads under way still end, since they write into its bytes.
  if (!status.ok() && job.task->error.ok()) job.task->error = std::move(status);
  if (--job.task->pending > 0) return false;
  job.task->state = BlockTask::State::read;
  return true;
}

BlockTask* FetchRing::next_to_decode() {
  if (decode_ == tail_) return nullptr;
  BlockTask& task = tasks_[decode_ % tasks_.size()];
  return task.state == BlockTask::State::read ? &task : nullptr;
}

BlockTask* FetchRing::next_unread() {
  if (decode_ == tail_) return nullptr;
  BlockTask& task = tasks_[decode_ % tasks_.size()];
  return task.state == BlockTask::State::reading && task.issued == 0 ? &task : nullptr;
}

void FetchRing::release(BlockTask* task) {
  task->state = BlockTask::State::done;
  while (head_ < decode_ && tasks_[head_ % tasks_.size()].state == BlockTask::State::done) {
    BlockTask& oldest = tasks_[head_ % tasks_.size()];
    oldest.state = BlockTask::State::empty;
    ++head_;
    if (oldest.bytes == 0) continue;
    // Its bytes end the oldest run; the next task with bytes begins the new one.
    any_bytes_ = false;
    for (std::uint64_t t = head_; t < tail_; ++t) {
      const BlockTask& next = tasks_[t % tasks_.size()];
      if (next.bytes == 0) continue;
      first_byte_ = next.at;
      any_bytes_ = true;
      break;
    }
  }
}

bool FetchRing::half_empty() const {
  if (tail_ - decode_ > tasks_.size() / 2) return false;
  ByteCount waiting = 0;
  for (std::uint64_t t = decode_; t < tail_; ++t) waiting += tasks_[t % tasks_.size()].bytes;
  return waiting <= arena_.size() / 2;
}

void FetchRing::reset() {
  PENSTOCK_CHECK(reads_in_flight_ == 0);
  for (BlockTask& task : tasks_) task.state = BlockTask::State::empty;
  head_ = decode_ = issue_ = tail_ = 0;
  any_bytes_ = false;
}

}  // namespace penstock::loader
