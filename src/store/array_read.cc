// The metadata path of Array: whole arrays and element ranges, read and decoded in one go. Buffers are
// counted against the budget given at open.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/checked.h"
#include "memory/reserve_for.h"
#include "store/locate.h"
#include "store/store.h"

namespace penstock::store {
namespace {

// Chunks whose stored bytes add up to about this much are read together.
constexpr ByteCount kBatchBytes = 1 << 20;

// A buffer that never holds more than it has reserved.
class CountedBuffer {
 public:
  explicit CountedBuffer(MemoryBudget* budget) : budget_(budget) {}

  Status resize(ByteCount bytes) {
    if (bytes > bytes_.size()) {
      if (budget_ && !reservation_) {
        PENSTOCK_ASSIGN_OR_RETURN(reservation_, budget_->reserve(MemoryTag::scratch, bytes));
      } else if (budget_) {
        PENSTOCK_RETURN_IF_ERROR(grow(*reservation_, *budget_, MemoryTag::scratch, bytes));
      }
      bytes_ = std::vector<std::byte>();
      bytes_.resize(bytes);
    }
    return {};
  }
  std::span<std::byte> first(ByteCount bytes) { return std::span(bytes_).first(bytes); }

 private:
  MemoryBudget* budget_;
  std::optional<Reservation> reservation_;
  std::vector<std::byte> bytes_;
};

Status fetch(const RequestList& list, CountedBuffer& buffer) {
  PENSTOCK_RETURN_IF_ERROR(buffer.resize(list.total_bytes()));
  ByteCount at = 0;
  for (const ReadRequest& r : list.requests()) {
    PENSTOCK_RETURN_IF_ERROR(r.file->read_at(r.offset, buffer.first(at + r.bytes).subspan(at)));
    at += r.bytes;
  }
  return {};
}

}  // namespace

Status Array::read_range(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const {
  PENSTOCK_RETURN_IF_ERROR(check_range(first, count));
  if (out.size() != count * dtype_.size) {
    return Status::invalid_argument(fmt::format("{}: {} elements need {} bytes, not {}", where(), count,
                                                count * dtype_.size, out.size()));
  }
  if (count == 0) return {};
  if (!chunked_ && allocated_) {
    PENSTOCK_RETURN_IF_ERROR(locate(file_->read_at(contiguous_offset_ + first * dtype_.size, out), *this));
    to_native(out);
    return {};
  }
  CodecContext codec;
  if (!chunked_) return decode_range(first, count, Fetched({}, nullptr), {}, codec, out);
  if (index_.empty()) {
    write_fill(out);
    return {};
  }

  CountedBuffer scratch(budget_.get()), stored(budget_.get());
  PENSTOCK_RETURN_IF_ERROR(locate(scratch.resize(range_scratch_bytes()), *this));
  RequestList list;
  const std::uint64_t last = first + count;
  for (std::uint64_t at = first; at < last;) {
    std::uint64_t c = at / chunk_elements_;
    ByteCount bytes = index_[c].stored;
    while ((c + 1) * chunk_elements_ < last && bytes + index_[c + 1].stored <= kBatchBytes) {
      bytes += index_[++c].stored;
    }
    const std::uint64_t to = std::min(last, (c + 1) * chunk_elements_);
    list.clear();
    add_requests(at, to - at, Heads::whole, list);
    list.coalesce(kCoalesceGap, kCoalesceMax);
    PENSTOCK_RETURN_IF_ERROR(locate(fetch(list, stored), *this));
    PENSTOCK_RETURN_IF_ERROR(decode_range(at, to - at,
                                          Fetched(list.requests(), stored.first(list.total_bytes()).data()),
                                          scratch.first(range_scratch_bytes()), codec,
                                          out.subspan((at - first) * dtype_.size, (to - at) * dtype_.size)));
    at = to;
  }
  return {};
}

Result<std::vector<std::byte>> Array::read_all(ByteCount max_bytes) const {
  PENSTOCK_RETURN_IF_ERROR(check_usable());
  const auto bytes = checked_mul(size_, dtype_.size);
  if (!bytes || *bytes > max_bytes) {
    return Status::budget(fmt::format("{}: {} elements of {} bytes do not fit in {}", where(),
                                      format_count(size_), dtype_.size, format_bytes(max_bytes)));
  }
  std::vector<std::byte> out(*bytes);
  if (shape_.size() > 1 && chunked_) {
    PENSTOCK_RETURN_IF_ERROR(read_grid(out));
  } else {
    PENSTOCK_RETURN_IF_ERROR(read_range(0, size_, out));
  }
  return out;
}

// Chunk by chunk in grid order; of edge chunks the part inside the shape is copied, row by row.
Status Array::read_grid(std::span<std::byte> out) const {
  if (size_ == 0) return {};
  const bool holes = index_.empty() || std::any_of(index_.begin(), index_.end(),
                                                   [](const IndexEntry& e) { return e.stored == 0; });
  if (holes) write_fill(out);
  if (index_.empty()) return {};
  const std::size_t rank = shape_.size(), item = dtype_.size;
  CodecContext codec;
  CountedBuffer buffer(budget_.get()), stored(budget_.get());
  const ByteCount whole = round_up(chunk_bytes(), 64);
  PENSTOCK_RETURN_IF_ERROR(locate(buffer.resize(whole + step_bytes()), *this));
  const auto chunk_buffer = buffer.first(whole + step_bytes()).first(chunk_bytes());
  const auto step = buffer.first(whole + step_bytes()).subspan(whole);

  std::vector<std::uint64_t> origin(rank, 0), extent(rank), row(rank);
  RequestList list;
  for (std::uint64_t number = 0; number < n_chunks_; ++number) {
    const ChunkLocation at = chunk(number);
    const auto advance = [&] {
      for (std::size_t d = rank; d-- > 0;) {
        origin[d] += chunk_shape_[d];
        if (origin[d] < shape_[d]) break;
        origin[d] = 0;
      }
    };
    if (!at.present) {
      advance();
      continue;
    }
    list.clear();
    list.add(file_.get(), at.offset, at.stored);
    PENSTOCK_RETURN_IF_ERROR(locate(fetch(list, stored), *this));
    PENSTOCK_RETURN_IF_ERROR(decode_chunk(number, Fetched(list.requests(), stored.first(at.stored).data()),
                                          chunk_buffer, step, codec, nullptr));
    for (std::size_t d = 0; d < rank; ++d) extent[d] = std::min(chunk_shape_[d], shape_[d] - origin[d]);
    std::fill(row.begin(), row.end(), 0);
    for (bool more = true; more;) {
      std::uint64_t from = 0, to = 0;
      for (std::size_t d = 0; d < rank; ++d) {
        from = from * chunk_shape_[d] + row[d];
        to = to * shape_[d] + origin[d] + row[d];
      }
      std::memcpy(out.data() + to * item, chunk_buffer.data() + from * item, extent[rank - 1] * item);
      more = false;
      for (std::size_t d = rank - 1; d-- > 0;) {
        if (++row[d] < extent[d]) {
          more = true;
          break;
        }
        row[d] = 0;
      }
    }
    advance();
  }
  return {};
}

}  // namespace penstock::store
