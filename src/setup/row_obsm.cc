// Vectors of obsm on their way: out of the file, or out of memory, into the record of their row (View::write),
// and from there, as they are, into the array of a batch (engine/assemble.cc). An entry has one type on all of
// it, the widest over the files, so that nothing is converted behind the file.
//
// Where a thread's scratch is divided: each entry that is read again has a part of its own, as long as the
// hungriest of the files needs, because files take turns from block to block.
#include "setup/row_obsm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "memory/reserve_for.h"
#include "memory/reserved_buffer.h"
#include "plan/record_layout.h"
#include "source/read_requests.h"

namespace penstock::loader {
namespace {

constexpr RowIndex kRowsAtOnce = 1 << 14;  // when entries are read to become resident

// Read row by row whatever the budget: nothing is gained by keeping it.
bool streams_well(const internal::ObsmEntry& entry) {
  return std::all_of(entry.files.begin(), entry.files.end(),
                     [](const auto& array) { return array->row_addressable(); });
}

// All rows of a file's entry, one behind the other.
Status read_rows(const internal::ObsmEntry& entry, std::uint32_t file, RowIndex n_rows, MemoryBudget& budget,
                 std::byte* out) {
  const ObsmArray& array = *entry.files[file];
  ReservedBuffer bytes("reading " + array.where(), &budget, MemoryTag::obs);
  ReservedBuffer scratch("reading " + array.where(), &budget, MemoryTag::obs);
  PENSTOCK_RETURN_IF_ERROR(scratch.grow_to(array.scratch_bytes()));
  CodecContext codec;
  RequestList list;
  // Whole chunks, so that each is decoded once.
  const RowIndex step = round_up(kRowsAtOnce, array.chunk_rows());
  for (RowIndex first = 0; first < n_rows; first += step) {
    const RowRange range{first, first + std::min(step, n_rows - first)};
    list.clear();
    array.requests({&range, 1}, list);
    list.coalesce(kCoalesceGap, kCoalesceMax);
    PENSTOCK_ASSIGN_OR_RETURN(const Fetched fetched, read_requests(list, bytes));
    array.begin(scratch.bytes());
    Scratch lent{scratch.bytes(), &codec};
    for (RowIndex row = range.first; row < range.last; ++row, out += entry.row_bytes())
      PENSTOCK_RETURN_IF_ERROR(array.read(row, entry.type, fetched, lent, out));
  }
  return {};
}

}  // namespace

Result<RowObsm> RowObsm::build(std::vector<internal::ObsmEntry> entries,
                               std::span<const internal::FilePart> parts, ByteCount memory,
                               MemoryBudget& budget) {
  RowObsm out;
  for (const internal::ObsmEntry& entry : entries) {
    Place place;
    place.record_offset = out.record_bytes_;
    out.record_bytes_ += entry.row_bytes();
    out.places_.push_back(std::move(place));
  }
  if (out.record_bytes_ >= plan::RecordLayout::kMostObsm) {
    return Status::unsupported(fmt::format("obsm: {} a row; less than {} can travel with the rows",
                                           format_bytes(out.record_bytes_),
                                           format_bytes(plan::RecordLayout::kMostObsm)));
  }
  out.entries_ = std::move(entries);
  PENSTOCK_RETURN_IF_ERROR(out.keep(parts, memory, budget));
  for (std::size_t i = 0; i < out.entries_.size(); ++i) {
    if (out.resident(i)) continue;
    ByteCount bytes = 0;
    for (const auto& array : out.entries_[i].files) bytes = std::max(bytes, array->scratch_bytes());
    out.places_[i].scratch_bytes = round_up(bytes, 64);
  }
  return out;
}

// What is stored in chunks becomes resident, all or none.
Status RowObsm::keep(std::span<const internal::FilePart> parts, ByteCount memory, MemoryBudget& budget) {
  std::uint64_t rows = 0;
  for (const auto& part : parts) rows += part.source->traits().n_rows;
  double bytes = 0;
  for (const internal::ObsmEntry& entry : entries_) {
    if (!streams_well(entry)) bytes += static_cast<double>(rows) * static_cast<double>(entry.row_bytes());
  }
  if (bytes > kResidentObsm * static_cast<double>(memory)) return {};
  PENSTOCK_ASSIGN_OR_RETURN(reservation_, budget.reserve(MemoryTag::obs, 0));
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (!streams_well(entries_[i])) PENSTOCK_RETURN_IF_ERROR(fill(i, parts, budget));
  }
  return {};
}

Status RowObsm::fill(std::size_t entry, std::span<const internal::FilePart> parts, MemoryBudget& budget) {
  Place& place = places_[entry];
  const ByteCount row_bytes = entries_[entry].row_bytes();
  std::uint64_t rows = 0;
  for (const auto& part : parts) {
    place.first_row.push_back(rows);
    rows += part.source->traits().n_rows;
  }
  // At least a byte, so that there is memory to point at.
  const ByteCount bytes = std::max<ByteCount>(1, rows * row_bytes);
  PENSTOCK_RETURN_IF_ERROR(grow(reservation_, budget, MemoryTag::obs, reservation_.bytes() + bytes));
  PENSTOCK_ASSIGN_OR_RETURN(place.values, Slab::map(bytes, false));
  for (std::uint32_t f = 0; f < parts.size(); ++f) {
    PENSTOCK_RETURN_IF_ERROR(read_rows(entries_[entry], f, parts[f].source->traits().n_rows, budget,
                                       place.values.data() + place.first_row[f] * row_bytes));
  }
  return {};
}

void RowObsm::requests(std::uint32_t file, std::span<const RowRange> wanted, RequestList& list) const {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (!resident(i)) entries_[i].files[file]->requests(wanted, list);
  }
}

ByteCount RowObsm::scratch_bytes() const {
  ByteCount bytes = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) bytes += scratch_bytes(i);
  return bytes;
}

RowObsm::View RowObsm::prepare(std::uint32_t file, const Fetched& fetched, const Scratch& scratch) const {
  View view;
  if (entries_.empty()) return view;
  view.obsm_ = this;
  view.file_ = file;
  view.fetched_ = fetched;
  view.scratch_ = scratch;
  ByteCount at = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const ByteCount bytes = scratch_bytes(i);
    if (!resident(i)) entries_[i].files[file]->begin(scratch.bytes.subspan(at, bytes));
    at += bytes;
  }
  return view;
}

Status RowObsm::View::write(RowIndex row, std::byte* record) const {
  if (obsm_ == nullptr) return {};
  const ByteCount counted = scratch_.codec->take_bytes();
  ByteCount at = 0;
  for (std::size_t i = 0; i < obsm_->entries_.size(); ++i) {
    const internal::ObsmEntry& entry = obsm_->entries_[i];
    const Place& place = obsm_->places_[i];
    std::byte* const out = record + place.record_offset;
    if (obsm_->resident(i)) {
      const ByteCount bytes = entry.row_bytes();
      std::memcpy(out, place.values.data() + (place.first_row[file_] + row) * bytes, bytes);
      continue;
    }
    const ByteCount bytes = obsm_->scratch_bytes(i);
    Scratch lent{scratch_.bytes.subspan(at, bytes), scratch_.codec};
    PENSTOCK_RETURN_IF_ERROR(entry.files[file_]->read(row, entry.type, fetched_, lent, out));
    at += bytes;
  }
  static_cast<void>(scratch_.codec->take_bytes());
  scratch_.codec->count(counted);
  return {};
}

}  // namespace penstock::loader
