// What a disk, a network file system or a user can do to a read, on demand. Faults are put under the loop
// that the real file has (read_fully.h), and not around it: what is tested is that loop, too. Whatever goes
// wrong is a function of the read's number, its offset and the settings, so that a failing test fails again.

#include "io/testing/fault_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "io/read_fully.h"

namespace penstock::testing {

FaultFile::FaultFile(std::shared_ptr<const File> inner, Faults faults)
    : inner_(std::move(inner)), faults_(std::move(faults)) {}

void FaultFile::set(Faults faults) {
  const MutexLock lock(mutex_);
  faults_ = std::move(faults);
  since_set_ = 0;
}

void FaultFile::reset_counters() {
  reads_ = 0;
  bytes_read_ = 0;
}

ByteCount FaultFile::size() const {
  const MutexLock lock(mutex_);
  return std::min(inner_->size(), faults_.truncate_to.value_or(inner_->size()));
}

Status FaultFile::read_at(ByteOffset offset, std::span<std::byte> out) const {
  Faults faults;
  std::uint64_t number = 0;
  {
    const MutexLock lock(mutex_);
    // A copy, so that a test may change the settings while reads are under way, and delays do not hold the
    // lock.
    faults = faults_;
    number = ++since_set_;
  }
  ++reads_;
  bytes_read_ += out.size();
  if (faults.delay.count() > 0) std::this_thread::sleep_for(faults.delay);

  const ByteCount end = std::min(inner_->size(), faults.truncate_to.value_or(inner_->size()));
  // The same check, and message, as the real file's.
  if (offset > end || out.size() > end - offset) {
    return Status::corrupt(fmt::format("{}: {} bytes at 0x{:x} run past the end of the file ({} bytes)",
                                       label(), out.size(), offset, end));
  }
  const auto covers = [&](ByteOffset at) { return at >= offset && at - offset < out.size(); };
  if (faults.vanish_at_read && number >= *faults.vanish_at_read) {
    return Status::io_error(fmt::format("{}: cannot be reopened: {}", label(), std::strerror(ENOENT)),
                            ENOENT);
  }
  const bool nth = faults.fail_nth_read &&
                   (faults.fail_for_ever ? number >= *faults.fail_nth_read : number == *faults.fail_nth_read);
  const bool fails = nth || (faults.fail_at && covers(*faults.fail_at));
  std::uint64_t call = 0;
  PENSTOCK_RETURN_IF_ERROR(read_fully(
      label(), size(), offset, out, [&](std::byte* data, std::size_t bytes, ByteOffset at) -> ssize_t {
        ++call;
        if (faults.interrupts && call % 2 == 1) {
          errno = EINTR;
          return -1;
        }
        if (fails) {
          // A read that fails half way: the first half arrives, and what follows it is the error.
          if (!faults.short_before_error || at > offset || bytes < 2) {
            errno = EIO;
            return -1;
          }
          bytes /= 2;
        }
        // A length that looks random and is the same in every run.
        if (faults.short_reads) bytes = std::min<std::size_t>(bytes, 1 + (at * 31 + call * 7) % 999);
        if (faults.shrink_to) {
          if (at >= *faults.shrink_to) return 0;
          bytes = std::min<std::size_t>(bytes, *faults.shrink_to - at);
        }
        if (inner_->read_at(at, {data, bytes}).ok()) return static_cast<ssize_t>(bytes);
        errno = EIO;
        return -1;
      }));
  // Last, so that the bytes are wrong after a read that looks perfect.
  for (const BitFlip& flip : faults.flips) {
    if (covers(flip.offset)) out[flip.offset - offset] ^= std::byte{flip.mask};
  }
  return {};
}

}  // namespace penstock::testing
