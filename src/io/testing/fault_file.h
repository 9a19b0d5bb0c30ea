// A File that misbehaves on purpose, and counts what is asked of it. Tests and fuzzers only. It runs
// PosixFile's own loop (read_fully.h) over a pread that is short, interrupted or broken.
//
//   auto file = std::make_shared<FaultFile>(std::move(real));
//   limits.opener = [&](const std::string&) { return Result<std::shared_ptr<const File>>(file); };
//   file->set({.fail_nth_read = 3});       // the third read from now on fails with EIO
//
// Thread contract: thread-safe; set() applies to reads that begin after it.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "io/file.h"

namespace penstock::testing {

struct BitFlip {
  ByteOffset offset = 0;
  std::uint8_t mask = 0xff;  // bits to turn over
};

struct Faults {
  std::chrono::microseconds delay{0};                         // of every read
  std::optional<std::uint64_t> fail_nth_read = std::nullopt;  // 1 = the next read: EIO, once
  std::optional<ByteOffset> fail_at = std::nullopt;           // every read that covers this byte: EIO
  bool short_before_error = false;                      // a failing read fills the front of its span first
  std::vector<BitFlip> flips = {};                      // what the reader sees
  std::optional<ByteCount> truncate_to = std::nullopt;  // size() is this from now on
  std::optional<ByteCount> shrink_to = std::nullopt;    // size() stays, pread finds the end here
  bool short_reads = false;                             // pread gives 1 to 999 bytes at a time
  bool interrupts = false;                              // every other pread is EINTR
  bool fail_for_ever = false;                           // with fail_nth_read: all from the nth on
  std::optional<std::uint64_t> vanish_at_read = std::nullopt;  // from the nth read on it cannot be reopened
};

class FaultFile final : public File {
 public:
  explicit FaultFile(std::shared_ptr<const File> inner, Faults faults = {});

  void set(Faults faults);

  Status read_at(ByteOffset offset, std::span<std::byte> out) const override;
  Status unchanged() const override { return inner_->unchanged(); }
  ByteCount size() const override;
  const std::string& label() const override { return inner_->label(); }

  std::uint64_t reads() const { return reads_.load(); }
  ByteCount bytes_read() const { return bytes_read_.load(); }
  void reset_counters();

 private:
  const std::shared_ptr<const File> inner_;
  mutable Mutex mutex_;
  mutable Faults faults_;                // guarded by mutex_
  mutable std::uint64_t since_set_ = 0;  // reads; guarded by mutex_
  mutable std::atomic<std::uint64_t> reads_{0};
  mutable std::atomic<ByteCount> bytes_read_{0};
};

}  // namespace penstock::testing
