#include "loader/label_reader.h"

#include "base/checked.h"
#include "loader/sync_read.h"
#include "memory/reserve_for.h"

namespace penstock::loader {

Result<LabelReader> LabelReader::make(const Labels* labels, MemoryBudget& budget) {
  LabelReader reader;
  reader.labels_ = labels;
  reader.budget_ = &budget;
  PENSTOCK_ASSIGN_OR_RETURN(reader.held_, budget.reserve(MemoryTag::obs, 0));
  return reader;
}

Result<Labels::View> LabelReader::read(std::uint32_t file, RowRange rows) {
  list_.clear();
  PENSTOCK_RETURN_IF_ERROR(labels_->requests(file, rows, list_));
  list_.coalesce(kCoalesceGap, kCoalesceMax);
  const ByteCount scratch_bytes = labels_->scratch_bytes(rows.size()) + 64;
  const ByteCount needed = list_.total_bytes() + scratch_bytes;
  if (needed > held_.bytes()) {
    PENSTOCK_RETURN_IF_ERROR(resize_for("reading obs columns", *budget_, held_, MemoryTag::obs, needed));
  }
  // Freed first: what a vector grows from would be held beside it.
  if (bytes_.capacity() < list_.total_bytes()) bytes_ = {};
  bytes_.resize(list_.total_bytes());
  if (scratch_.capacity() < scratch_bytes) scratch_ = {};
  scratch_.resize(scratch_bytes);
  PENSTOCK_RETURN_IF_ERROR(read_requests(list_, bytes_));
  const auto address = reinterpret_cast<std::uintptr_t>(scratch_.data());
  Scratch scratch{std::span(scratch_).subspan(round_up(address, 64) - address), codec_.get()};
  return labels_->prepare(file, rows, Fetched(list_.requests(), bytes_.data()), scratch);
}

}  // namespace penstock::loader
