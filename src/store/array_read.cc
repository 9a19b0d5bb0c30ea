// The metadata path of Array: whole arrays and element ranges, read and decoded in one go. Buffers are
// counted against the budget given at open.
//
// Chunks that are small are read together, about a megabyte at a time, and decoded one after the other. Of
// arrays with several dimensions chunks are read one by one and their rows are put where they belong:
//
//     shape 3 x 5 in chunks of 2 x 3      chunk 1 holds columns 3 and 4 of the rows 0 and 1, and padding:
//
//       0 0 0 | 1 1                           a b .
//       0 0 0 | 1 1                           c d .
//       ------+----
//       2 2 2 | 3 3                         a b goes to element 3 of the array, c d to element 8
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/carver.h"
#include "base/checked.h"
#include "memory/reserved_buffer.h"
#include "source/read_requests.h"
#include "store/locate.h"
#include "store/store.h"

namespace penstock::store {
namespace {

// Chunks whose stored bytes add up to about this much are read together.
constexpr ByteCount kBatchBytes = 1 << 20;

// Reads what is on the list. Errors of the file and of the budget say which array was read.
Result<Fetched> fetch(const Node& array, const RequestList& list, ReservedBuffer& buffer) {
  auto fetched = read_requests(list, buffer);
  return fetched.ok() ? fetched : locate(std::move(fetched).status(), array);
}

}  // namespace

Status Array::read_range(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const {
  PENSTOCK_RETURN_IF_ERROR(check_range(first, count));
  if (out.size() != count * dtype_.size) {
    return Status::invalid_argument(fmt::format("{}: {} elements need {} bytes, not {}", where(), count,
                                                count * dtype_.size, out.size()));
  }
  if (count == 0) return {};
  // One run of bytes, read straight into the caller's memory.
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

  ReservedBuffer scratch(where(), budget_.get(), MemoryTag::scratch);
  ReservedBuffer stored(where(), budget_.get(), MemoryTag::scratch);
  PENSTOCK_RETURN_IF_ERROR(scratch.grow_to(range_scratch_bytes()));
  RequestList list;
  const std::uint64_t last = first + count;
  for (std::uint64_t at = first; at < last;) {
    std::uint64_t c = at / chunk_elements_;
    ChunkIndex::Cursor chunks(index_);
    // As many chunks as add up to a batch, and at least one.
    for (ByteCount bytes = chunks.at(c).stored; (c + 1) * chunk_elements_ < last; ++c) {
      bytes += chunks.at(c + 1).stored;
      if (bytes > kBatchBytes) break;
    }
    const std::uint64_t to = std::min(last, (c + 1) * chunk_elements_);
    list.clear();
    add_requests(at, to - at, Heads::whole, list);
    list.coalesce(kCoalesceGap, kCoalesceMax);
    PENSTOCK_ASSIGN_OR_RETURN(const Fetched fetched, fetch(*this, list, stored));
    PENSTOCK_RETURN_IF_ERROR(decode_range(at, to - at, fetched, scratch.bytes(), codec,
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
  // Once for the whole array, and only if some chunk is missing: chunks that are there write over it.
  if (index_.present() < n_chunks_) write_fill(out);
  if (index_.empty()) return {};
  const std::size_t rank = shape_.size(), item = dtype_.size;
  CodecContext codec;
  ReservedBuffer buffer(where(), budget_.get(), MemoryTag::scratch);
  ReservedBuffer stored(where(), budget_.get(), MemoryTag::scratch);
  PENSTOCK_RETURN_IF_ERROR(buffer.grow_to(round_up(chunk_bytes(), Carver::kAlign) + step_bytes()));
  Carver memory(buffer.bytes().data());
  const auto chunk_buffer = memory.bytes(chunk_bytes());
  const auto step = buffer.bytes().subspan(memory.used());

  std::vector<std::uint64_t> origin(rank, 0), extent(rank), row(rank);
  RequestList list;
  for (std::uint64_t number = 0; number < n_chunks_; ++number) {
    const ChunkLocation at = chunk(number);
    // The next chunk of the grid: the last dimension counts fastest.
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
    PENSTOCK_ASSIGN_OR_RETURN(const Fetched fetched, fetch(*this, list, stored));
    PENSTOCK_RETURN_IF_ERROR(decode_chunk(number, fetched, chunk_buffer, step, codec, nullptr));
    for (std::size_t d = 0; d < rank; ++d) extent[d] = std::min(chunk_shape_[d], shape_[d] - origin[d]);
    std::fill(row.begin(), row.end(), 0);
    for (bool more = true; more;) {
      // Where this run of the last dimension begins, in the chunk and in the array.
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

Result<std::vector<std::byte>> Array::read_chunk_inside(std::uint64_t number) const {
  PENSTOCK_RETURN_IF_ERROR(check_usable());
  if (!chunked_ || number >= n_chunks_) {
    return Status::invalid_argument(fmt::format("{}: no chunk {}", where(), number));
  }
  ReservedBuffer step(where(), budget_.get(), MemoryTag::scratch);
  ReservedBuffer stored(where(), budget_.get(), MemoryTag::scratch);
  PENSTOCK_RETURN_IF_ERROR(step.grow_to(step_bytes()));
  RequestList list;
  if (const ChunkLocation at = chunk(number); at.present) list.add(file_.get(), at.offset, at.stored);
  PENSTOCK_ASSIGN_OR_RETURN(const Fetched fetched, fetch(*this, list, stored));
  CodecContext codec;
  std::vector<std::byte> out(chunk_bytes());
  PENSTOCK_RETURN_IF_ERROR(decode_chunk(number, fetched, out, step.bytes(), codec, nullptr));

  const std::size_t rank = shape_.size();
  std::vector<std::uint64_t> extent(rank);
  for (std::size_t d = rank; d-- > 0;) {
    // The chunk's place in the grid, dimension by dimension, out of its number. Chunks at the edge hold
    // elements that lie behind the shape.
    const std::uint64_t along = ceil_div(shape_[d], chunk_shape_[d]);
    extent[d] = std::min(chunk_shape_[d], shape_[d] - number % along * chunk_shape_[d]);
    number /= along;
  }
  // Runs of the last dimension move together, without those that lie behind the shape.
  const std::size_t run = chunk_shape_[rank - 1] * dtype_.size, inside = extent[rank - 1] * dtype_.size;
  std::size_t kept = 0;
  for (std::uint64_t r = 0; r < chunk_elements_ / chunk_shape_[rank - 1]; ++r) {
    bool wanted = true;
    std::uint64_t at = r;
    for (std::size_t d = rank - 1; d-- > 0; at /= chunk_shape_[d]) {
      wanted = wanted && at % chunk_shape_[d] < extent[d];
    }
    if (!wanted) continue;
    std::memmove(out.data() + kept, out.data() + r * run, inside);
    kept += inside;
  }
  out.resize(kept);
  return out;
}

}  // namespace penstock::store
