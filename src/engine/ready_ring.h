// Batches in order, from the moment that a worker takes one to build until the consumer gets it.
//
//   next_to_return() <= ... being built or ready ... < next_to_build()
//
// Workers take batches in order and finish them in any order; the consumer gets them in order. Batches have
// sequence numbers, which count up over windows and epochs; the batch `s` lies at place s % n_places.
//
// Thread contract: externally synchronised (the engine's lock). Batches that leave the ring give their memory
// back through a callback that takes that lock: they die outside of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "penstock/batch.h"
#include "penstock/status.h"

namespace penstock::loader {

// What became of a batch: the batch, or the error that it met.
struct ReadyBatch {
  std::optional<Batch> batch;
  Status error;
  std::uint64_t entries = 0, missing_labels = 0;
  bool filled = false;
};

class ReadyRing {
 public:
  // `enough`: of batches built or being built, for workers to turn to the window after.
  ReadyRing(std::size_t n_places, std::uint64_t enough) : n_places_(n_places), enough_(enough) {
    places_.resize(n_places);
  }

  std::uint64_t next_to_build() const { return build_; }
  std::uint64_t next_to_return() const { return return_; }
  bool full() const { return build_ - return_ >= n_places_; }
  bool has_enough() const { return build_ - return_ >= enough_; }
  // The very batch that the consumer waits for has not been taken by a worker.
  bool none_under_way() const { return build_ == return_ && building_ == 0; }
  std::uint64_t building() const { return building_; }
  // Those that are built and wait to be returned.
  std::uint64_t waiting() const {
    std::uint64_t n = 0;
    for (const ReadyBatch& ready : places_) n += ready.filled && ready.batch ? 1 : 0;
    return n;
  }

  // A worker begins to build next_to_build(); every one that is taken is put() once.
  std::uint64_t take() {
    ++building_;
    return build_++;
  }
  // True when it is the one that the consumer waits for.
  bool put(std::uint64_t sequence, ReadyBatch ready) {
    --building_;
    ready.filled = true;
    places_[sequence % n_places_] = std::move(ready);
    return sequence == return_;
  }

  // The next in order; null until it is put(). Look anew after every time that the lock was given back.
  ReadyBatch* front() {
    if (places_.empty()) return nullptr;
    ReadyBatch& ready = places_[return_ % n_places_];
    return ready.filled ? &ready : nullptr;
  }
  // The same, out of the ring; there must be one.
  ReadyBatch pop() { return std::exchange(places_[return_++ % n_places_], {}); }

  // Everything that is in the ring, for its memory to be freed; nothing is allocated. The ring is empty and
  // takes no batch until begin(). Nothing may be being built.
  std::vector<ReadyBatch> clear() { return std::exchange(places_, {}); }
  // Begins with a sequence number, in an empty ring.
  void begin(std::uint64_t sequence) {
    places_.resize(n_places_);
    build_ = return_ = sequence;
  }

 private:
  std::size_t n_places_;
  std::uint64_t enough_;
  std::vector<ReadyBatch> places_;
  std::uint64_t build_ = 0, return_ = 0, building_ = 0;
};

}  // namespace penstock::loader
