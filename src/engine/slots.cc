// Every slot has address space for the largest batch, and costs what was touched of it. So a few large
// batches or many small ones share the same bytes, without anything being moved:
//
//   capacity 100 MB    slot 0: 30 MB, out    slot 1: 30 MB, free    slot 2: 20 MB, free    20 MB left
//
// A batch of 25 MB goes into slot 1, which costs nothing more. One of 40 MB goes there too, and costs 10 MB
// more. One of 60 MB costs 30 MB, of which 20 MB are left, so that slot 2 gives up what it has touched.
#include "engine/slots.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/checked.h"

namespace penstock::loader {
namespace {
constexpr std::uint64_t kPromised = 4;  // batches that can be held at once, whatever the plan
}

Result<std::shared_ptr<SlotPool>> SlotPool::create(Reservation reservation, std::uint64_t n_slots,
                                                   ByteCount largest, ByteCount granule) {
  const bool huge_pages = granule > 4096;
  std::shared_ptr<SlotPool> pool(new SlotPool);
  const MutexLock lock(pool->mutex_);  // nobody else has it: the compiler wants to see it
  pool->capacity_ = reservation.bytes();
  pool->reservation_ = std::move(reservation);
  pool->granule_ = granule;
  pool->slots_.reserve(n_slots);
  while (pool->slots_.size() < n_slots) {
    // A batch that is held when the process forks is the child's to read.
    auto slab = Slab::map(round_up(largest, granule), huge_pages, AtFork::copied);
    if (!slab.ok()) {
      // Address space can be limited, by ulimit or a container. Fewer slots are slower, and otherwise do as
      // well.
      if (pool->slots_.size() >= kPromised) break;
      return std::move(slab).status().with_context(
          fmt::format("{} of the {} batches that a loader keeps at once", pool->slots_.size(),
                      std::min(n_slots, kPromised)));
    }
    pool->slots_.emplace_back().slab = *std::move(slab);
  }
  return pool;
}

// Gives a slot back when it dies.
struct SlotPool::Held {
  std::shared_ptr<SlotPool> pool;  // null: nothing was taken
  std::size_t slot = 0;
  Held() = default;
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() {
    if (pool) pool->release(slot);
  }
};

Result<std::shared_ptr<std::byte>> SlotPool::acquire(ByteCount bytes) {
  // The only memory that this takes, before anything is changed or locked: the system may refuse it.
  const auto held = std::make_shared<Held>();
  const MutexLock lock(mutex_);
  // The fullest free slot that is not larger than needed wastes least; growing it costs the difference.
  const ByteCount wanted = round_up(std::max<ByteCount>(bytes, 1), granule_);
  std::size_t best = slots_.size();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].out || slots_[i].slab.size() < bytes) continue;
    if (best == slots_.size()) {
      best = i;
      continue;
    }
    // Slots that cover the batch come before those that do not. Of the former the smallest is best, of the
    // latter the largest, which has to grow least.
    const ByteCount a = slots_[i].charged, b = slots_[best].charged;
    const bool a_covers = a >= wanted, b_covers = b >= wanted;
    if (a_covers != b_covers ? a_covers : (a_covers ? a < b : a > b)) best = i;
  }
  if (best == slots_.size()) return std::shared_ptr<std::byte>();
  Slot& slot = slots_[best];
  // Giving back memory and touching it again costs time, so that up to a quarter too much stays.
  if (slot.charged > wanted + wanted / 4) {
    // Left by a larger batch: what this one does not need is for others.
    slot.slab.discard_from(wanted);
    charged_ -= slot.charged - wanted;
    slot.charged = wanted;
  }
  ByteCount grow = wanted > slot.charged ? wanted - slot.charged : 0;
  // Free slots give up what they touched when this one needs it.
  for (Slot& other : slots_) {
    if (charged_ + grow <= capacity_) break;
    if (other.out || &other == &slot || other.charged == 0) continue;
    other.slab.discard_from(0);
    charged_ -= other.charged;
    other.charged = 0;
  }
  // The consumer holds the rest. What was given up above is free for the next one who asks.
  if (charged_ + grow > capacity_) return std::shared_ptr<std::byte>();
  charged_ += grow;
  slot.charged += grow;
  slot.out = true;
  held->slot = best;
  held->pool = shared_from_this();
  return std::shared_ptr<std::byte>(held, slot.slab.data());
}

void SlotPool::release(std::size_t index) {
  if (getpid() != pid_) return;  // a forked child: neither the memory nor, maybe, the locks are ours
  {
    const MutexLock lock(mutex_);
    Slot& slot = slots_[index];
    slot.out = false;
    // A batch that outlives its loader: its bytes go back to the budget only now.
    if (closed_) {
      charged_ -= slot.charged;
      slot.charged = 0;
      slot.slab = Slab();
      capacity_ = charged_;
      reservation_.resize(charged_);
    }
  }
  // With its own lock alone: the callback takes the engine's, under which the pool is asked for slots.
  const MutexLock lock(callback_mutex_);
  if (callback_) callback_();
}

void SlotPool::on_release(std::function<void()> callback) {
  const MutexLock lock(callback_mutex_);
  callback_ = std::move(callback);
}

SlotCounts SlotPool::counts() const {
  const MutexLock lock(mutex_);
  SlotCounts c;
  c.capacity = capacity_;
  for (const Slot& slot : slots_) {
    if (!slot.out) continue;
    ++c.held;
    c.held_bytes += slot.charged;
  }
  return c;
}

void SlotPool::close() {
  const MutexLock lock(mutex_);
  closed_ = true;
  for (Slot& slot : slots_) {
    if (slot.out) continue;
    charged_ -= slot.charged;
    slot.charged = 0;
    slot.slab = Slab();
  }
  capacity_ = charged_;
  reservation_.resize(charged_);
}

}  // namespace penstock::loader
