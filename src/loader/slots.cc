#include "loader/slots.h"

#include <algorithm>

#include "base/checked.h"

namespace penstock::loader {

std::shared_ptr<SlotPool> SlotPool::create(Reservation reservation, std::uint64_t n_slots, ByteCount largest,
                                           ByteCount granule) {
  const bool huge_pages = granule > 4096;
  std::shared_ptr<SlotPool> pool(new SlotPool);
  pool->capacity_ = reservation.bytes();
  pool->reservation_ = std::move(reservation);
  pool->granule_ = granule;
  pool->slots_.resize(n_slots);
  for (Slot& slot : pool->slots_) {
    auto slab = Slab::map(round_up(largest, pool->granule_), huge_pages);
    if (!slab.ok()) break;  // address space is short: fewer slots
    slot.slab = *std::move(slab);
  }
  while (!pool->slots_.empty() && pool->slots_.back().slab.size() == 0) pool->slots_.pop_back();
  return pool;
}

Result<std::shared_ptr<std::byte>> SlotPool::acquire(ByteCount bytes) {
  const std::lock_guard lock(mutex_);
  // The fullest free slot that is not larger than needed wastes least; growing it costs the difference.
  const ByteCount wanted = round_up(std::max<ByteCount>(bytes, 1), granule_);
  std::size_t best = slots_.size();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].out || slots_[i].slab.size() < bytes) continue;
    if (best == slots_.size()) {
      best = i;
      continue;
    }
    const ByteCount a = slots_[i].charged, b = slots_[best].charged;
    const bool a_covers = a >= wanted, b_covers = b >= wanted;
    if (a_covers != b_covers ? a_covers : (a_covers ? a < b : a > b)) best = i;
  }
  if (best == slots_.size()) return std::shared_ptr<std::byte>();
  Slot& slot = slots_[best];
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
  if (charged_ + grow > capacity_) return std::shared_ptr<std::byte>();
  charged_ += grow;
  slot.charged += grow;
  slot.out = true;
  return std::shared_ptr<std::byte>(slot.slab.data(),
                                    [self = shared_from_this(), best](std::byte*) { self->release(best); });
}

void SlotPool::release(std::size_t index) {
  if (getpid() != pid_) return;  // a forked child: neither the memory nor, maybe, the locks are ours
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slots_[index];
    slot.out = false;
    if (closed_) {
      charged_ -= slot.charged;
      slot.charged = 0;
      slot.slab = Slab();
      capacity_ = charged_;
      reservation_.resize(charged_);
    }
  }
  const std::lock_guard lock(callback_mutex_);
  if (callback_) callback_();
}

void SlotPool::on_release(std::function<void()> callback) {
  const std::lock_guard lock(callback_mutex_);
  callback_ = std::move(callback);
}

SlotCounts SlotPool::counts() const {
  const std::lock_guard lock(mutex_);
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
  const std::lock_guard lock(mutex_);
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
