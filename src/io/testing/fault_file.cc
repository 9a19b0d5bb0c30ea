#include "io/testing/fault_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

namespace penstock::testing {

FaultFile::FaultFile(std::shared_ptr<const File> inner, Faults faults)
    : inner_(std::move(inner)), faults_(std::move(faults)) {}

void FaultFile::set(Faults faults) {
  const std::lock_guard lock(mutex_);
  faults_ = std::move(faults);
  since_set_ = 0;
}

void FaultFile::reset_counters() {
  reads_ = 0;
  bytes_read_ = 0;
}

ByteCount FaultFile::size() const {
  const std::lock_guard lock(mutex_);
  return std::min(inner_->size(), faults_.truncate_to.value_or(inner_->size()));
}

Status FaultFile::read_at(ByteOffset offset, std::span<std::byte> out) const {
  Faults faults;
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    faults = faults_;
    number = ++since_set_;
  }
  ++reads_;
  bytes_read_ += out.size();
  if (faults.delay.count() > 0) std::this_thread::sleep_for(faults.delay);

  const ByteCount end = std::min(inner_->size(), faults.truncate_to.value_or(inner_->size()));
  if (offset > end || out.size() > end - offset) {
    return Status::corrupt(fmt::format("{}: {} bytes at 0x{:x} run past the end of the file ({} bytes)",
                                       label(), out.size(), offset, end));
  }
  const auto covers = [&](ByteOffset at) { return at >= offset && at - offset < out.size(); };
  const bool shrunk = faults.shrink_to && offset + out.size() > *faults.shrink_to;
  const bool fails = shrunk || faults.fail_nth_read == number || (faults.fail_at && covers(*faults.fail_at));
  if (fails) {
    if (faults.short_before_error) {
      PENSTOCK_RETURN_IF_ERROR(inner_->read_at(offset, out.first(out.size() / 2)));
    }
    return Status::io_error(fmt::format("{}: reading {} bytes at 0x{:x}: {} (injected)", label(), out.size(),
                                        offset, shrunk ? "the file has shrunk" : "Input/output error"),
                            shrunk ? 0 : EIO);
  }
  PENSTOCK_RETURN_IF_ERROR(inner_->read_at(offset, out));
  for (const BitFlip& flip : faults.flips) {
    if (covers(flip.offset)) out[flip.offset - offset] ^= std::byte{flip.mask};
  }
  return {};
}

}  // namespace penstock::testing
