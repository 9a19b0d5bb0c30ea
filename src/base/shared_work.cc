// Parts are dealt out one at a time under a lock, so a thread that is late, or slow, takes fewer of them.
// Nobody is assigned a part beforehand: were the helpers all busy, the caller would just do every part.
//
//     caller    offer(4)  wake  part 0 . . .  part 2 . .  part 3 . .  waits    back
//     helper                      part 1 . . . . . . . . . . . . . . . . .
//
// The lock is held for a few instructions between parts and never while one is done.

#include "base/shared_work.h"

#include <utility>

namespace penstock {

void SharedWork::on_offer(std::function<void()> callback) {
  const MutexLock lock(callback_mutex_);
  callback_ = std::move(callback);
}

void SharedWork::run(std::size_t n, const std::function<void(std::size_t)>& part) {
  // Not shared: a single part, or another caller has threads helping already. It is done here, in order.
  if (!offer(n, part)) {
    for (std::size_t i = 0; i < n; ++i) part(i);
    return;
  }
  {
    // Not under mutex_: who is woken takes its own lock, and asks for parts with that one held.
    const MutexLock callback_lock(callback_mutex_);
    if (callback_) callback_();
  }
  const MutexLock lock(mutex_);
  take_parts();
  // No part is left to be taken, but others may still be doing theirs, with `part` and what it refers to.
  while (under_way_ > 0) idle_.wait(mutex_);
  part_ = nullptr;
}

bool SharedWork::offer(std::size_t n, const std::function<void(std::size_t)>& part) {
  const MutexLock lock(mutex_);
  if (n < 2 || part_ != nullptr) return false;
  part_ = &part;
  n_ = n;
  next_ = 0;
  offered_ = true;
  return true;
}

void SharedWork::help() {
  const MutexLock lock(mutex_);
  take_parts();
}

// `part_` stays until the last part is done, because run() waits for those under way.
void SharedWork::take_parts() {
  while (part_ != nullptr && next_ < n_) {
    const std::size_t mine = next_++;
    // From here on threads that look for work pass by without taking the lock.
    if (next_ == n_) offered_ = false;
    ++under_way_;
    const auto& part = *part_;
    {
      const Unlocked out(mutex_);
      part(mine);
    }
    if (--under_way_ == 0) idle_.notify_all();
  }
}

}  // namespace penstock
