// The blocks in flight: a ring of tasks in tape order and a ring of bytes for what they read.
//
// A task goes empty -> reading -> read -> decoding -> done. I/O threads fill the bytes of reading tasks;
// workers decode tasks in order; memory returns in order. Purpose: reads run ahead of the cores by any depth,
// inside `fetch` bytes. Thread contract: every method is called under the engine's lock; bytes of a task
// belong to whoever works on it.
#pragma once

#include <cstdint>
#include <vector>

#include "memory/slab.h"
#include "penstock/status.h"
#include "plan/tape.h"
#include "source/column_major.h"
#include "source/request.h"

namespace penstock::loader {

class Window;

struct BlockTask {
  enum class State : std::uint8_t { empty, reading, read, decoding, done } state = State::empty;
  Window* window = nullptr;
  plan::Segment segment;
  const plan::TapeRuns* line = nullptr;  // that the segment's rows are on, if any
  plan::Block block;
  std::vector<RowRange> wanted;
  RequestList requests;
  ByteCount bytes = 0;     // of all requests
  ByteOffset at = 0;       // in the arena
  std::size_t issued = 0;  // requests given to I/O threads
  ByteCount issued_bytes = 0;
  std::size_t pending = 0;  // requests not finished
  Status error;
  const TurnedRows* turned = nullptr;  // its rows, where they had to be turned
};

// One read for an I/O thread.
struct ReadJob {
  BlockTask* task = nullptr;
  ReadRequest request;
  std::byte* into = nullptr;
};

class FetchRing {
 public:
  FetchRing(Slab arena, std::size_t max_tasks);

  // A task to fill in (wanted and requests cleared), or null when the ring is full. Call submit() or drop()
  // next.
  BlockTask* prepare();
  // Gives the prepared task its bytes; false when they do not fit now (the task stays prepared).
  bool submit();

  // The next read to issue; false when there is none. With `only_begun`, only of a task whose reads have
  // begun to be issued: such a task is nobody else's to read.
  bool next_read(ReadJob* job, bool only_begun);
  // A read has ended. True when its task is complete.
  bool read_done(const ReadJob& job, Status status);

  // The oldest task that is not being decoded yet, if its bytes are there; null otherwise.
  BlockTask* next_to_decode();
  // The oldest task that is not being decoded yet, if nobody has begun to read it; null otherwise. Who takes
  // it calls issue_all() and reads every request into bytes().
  BlockTask* next_unread();
  void issue_all(BlockTask* task) { task->issued = task->requests.requests().size(); }
  void start_decode() { tasks_[decode_++ % tasks_.size()].state = BlockTask::State::decoding; }
  void release(BlockTask* task);

  std::byte* bytes(const BlockTask& task) const { return arena_.data() + task.at; }
  // Less than half of the bytes and tasks wait for decoding: time to refill, many blocks at once rather than
  // one by one.
  bool half_empty() const;
  std::size_t reads_in_flight() const { return reads_in_flight_; }
  // Empties the ring. No read may be in flight and no task decoding.
  void reset();

 private:
  Slab arena_;
  std::vector<BlockTask> tasks_;
  // Positions count up; a task lies at position % size.
  std::uint64_t head_ = 0;                    // oldest not released
  std::uint64_t decode_ = 0;                  // next to decode
  std::uint64_t issue_ = 0;                   // first with reads to issue
  std::uint64_t tail_ = 0;                    // next to fill
  ByteOffset first_byte_ = 0, end_byte_ = 0;  // used part of the arena: [first, end) or wrapped
  bool any_bytes_ = false;
  std::size_t reads_in_flight_ = 0;
};

}  // namespace penstock::loader
