#include "source/column_pass.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "base/carver.h"
#include "base/checked.h"
#include "base/guarded.h"
#include "source/read_requests.h"

namespace penstock {

ByteCount ColumnPass::bytes_needed(const ColumnMajor& matrix) {
  return round_up(matrix.part_stored_bytes(), Carver::kAlign) + matrix.part_scratch_bytes();
}

void ColumnPass::work(std::span<std::byte> memory, RequestList& list, CodecContext& codec) {
  {
    const MutexLock lock(mutex_);
    ++at_work_;
  }
  // In order, so that the part that all others wait for is always somebody's.
  while (!stopped()) {
    const std::uint64_t part = taken_.fetch_add(1, std::memory_order_relaxed);
    if (part >= matrix_.n_parts()) break;
    Status status = guarded([&] { return one_part(part, memory, list, codec); });
    if (!status.ok()) fail(std::move(status));
  }
  const MutexLock lock(mutex_);
  --at_work_;
  turn_.notify_all();
}

Status ColumnPass::one_part(std::uint64_t part, std::span<std::byte> memory, RequestList& list,
                            CodecContext& codec) {
  using Clock = std::chrono::steady_clock;
  const auto stored = memory.first(matrix_.part_stored_bytes());
  const auto scratch = memory.subspan(round_up(stored.size(), Carver::kAlign));
  list.clear();
  PENSTOCK_RETURN_IF_ERROR(matrix_.requests(part, list));
  list.coalesce(kCoalesceGap, kCoalesceMax);
  const auto from = Clock::now();
  PENSTOCK_RETURN_IF_ERROR(read_requests(list, stored));
  const auto read = Clock::now();
  (void)codec.take_bytes();
  (void)codec.take_seconds();
  PENSTOCK_RETURN_IF_ERROR(matrix_.decode(part, Fetched(list.requests(), stored.data()), scratch, codec));
  const auto decoded = Clock::now();
  {
    const MutexLock lock(mutex_);
    while (placed_ != part && !stopped()) turn_.wait(mutex_);
    if (stopped()) return {};
    counts_.bytes += list.total_bytes();
    counts_.requests += list.requests().size();
    counts_.read_seconds += std::chrono::duration<double>(read - from).count();
    counts_.decode_seconds += std::chrono::duration<double>(decoded - read).count();
    counts_.decompress_seconds += codec.take_seconds();
    counts_.decoded += codec.take_bytes();
  }
  PENSTOCK_RETURN_IF_ERROR(matrix_.place(part, scratch, rows_));
  const MutexLock lock(mutex_);
  ++placed_;
  turn_.notify_all();
  return {};
}

void ColumnPass::fail(Status status) {
  const MutexLock lock(mutex_);
  if (status_.ok()) status_ = std::move(status);
  stop_ = true;
  turn_.notify_all();
}

void ColumnPass::cancel() { fail(Status::cancelled("the pass over the matrix was cancelled")); }

Status ColumnPass::finish() {
  const MutexLock lock(mutex_);
  while (at_work_ > 0) turn_.wait(mutex_);
  PENSTOCK_RETURN_IF_ERROR(status_);
  RowIndex row = 0;
  if (rows_.complete(matrix_.row_lengths(), &row)) return {};
  return Status::io_error(fmt::format("the length of row {} has changed since the file was opened", row));
}

ColumnPass::Counts ColumnPass::counts() const {
  const MutexLock lock(mutex_);
  return counts_;
}

}  // namespace penstock
