// The data path of Array: chunk lookup, requests, decoding out of fetched bytes. Nothing here allocates,
// except the message of an error.
//
// Requests and decoding are two halves that must agree on what is read, without talking to each other:
// add_requests() says which bytes elements [first, last) need, and decode_chunk() or decode_range() looks the
// same bytes up later, on another thread perhaps. Both take what they do from the same functions, head_pays()
// above all.
//
//     elements    [first .................... last)
//     chunks      | 12     | 13     | 14 |           chunk 12 from its middle, 13 whole, 14 only its head
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/checked.h"
#include "store/store.h"

namespace penstock::store {
namespace {

constexpr std::size_t kAlignment = 64;

// memcpy, since chunks promise no alignment; it becomes a plain load.
template <class T>
void swap_elements(std::span<std::byte> bytes) {
  for (std::size_t i = 0; i + sizeof(T) <= bytes.size(); i += sizeof(T)) {
    T v;
    std::memcpy(&v, bytes.data() + i, sizeof(T));
    if constexpr (sizeof(T) == 2) v = __builtin_bswap16(v);
    if constexpr (sizeof(T) == 4) v = __builtin_bswap32(v);
    if constexpr (sizeof(T) == 8) v = __builtin_bswap64(v);
    std::memcpy(bytes.data() + i, &v, sizeof(T));
  }
}

}  // namespace

Status Array::check_usable() const {
  if (dtype_.cls != TypeClass::other) return {};
  return Status::unsupported(
      fmt::format("{}: elements of type {} are not read", where(), dtype_.description));
}

Status Array::check_range(std::uint64_t first, std::uint64_t count) const {
  // Elements of a grid of chunks do not lie one after the other: read_grid() is for those.
  if (shape_.size() > 1 && chunked_) {
    return Status::invalid_argument(fmt::format(
        "{}: element ranges of a chunked array need rank 1, this one has {}", where(), shape_.size()));
  }
  if (first > size_ || count > size_ - first) {
    return Status::invalid_argument(
        fmt::format("{}: elements [{}, {}) are not in [0, {})", where(), first, first + count, size_));
  }
  return check_usable();
}

Status Array::chunk_error(std::uint64_t number, const ChunkLocation& at, std::string_view what) const {
  return Status::corrupt(fmt::format("{} chunk {} at byte 0x{:x}: {}", where(), number, at.offset, what));
}

ChunkLocation Array::chunk(std::uint64_t number) const {
  PENSTOCK_DCHECK(number < n_chunks_);
  return index_.find(number);
}

void Array::add_requests(std::uint64_t first, std::uint64_t count, Heads heads, RequestList& list) const {
  if (count == 0) return;
  if (!chunked_) {
    if (allocated_) list.add(file_.get(), contiguous_offset_ + first * dtype_.size, count * dtype_.size);
    return;
  }
  ChunkIndex::Cursor chunks(index_);
  for (std::uint64_t c = first / chunk_elements_; c <= (first + count - 1) / chunk_elements_; ++c) {
    const ChunkLocation at = chunks.at(c);
    // Chunks that were never written are the fill value, and are not in the file.
    if (!at.present) continue;
    // How much of this chunk is needed from its beginning on; all of it, but for the last one.
    const std::uint64_t wanted = std::min(chunk_elements_, first + count - c * chunk_elements_);
    const ByteCount head = wanted * dtype_.size;
    list.add(file_.get(), at.offset, heads == Heads::whole ? at.stored : head_stored_bytes(c, at, head));
  }
}

ByteCount Array::decoded_bytes(std::uint64_t first, std::uint64_t count) const {
  const ByteCount bytes = count * dtype_.size;
  if (count == 0) return 0;
  if (!chunked_) return allocated_ || !compact_.empty() ? bytes : 0;
  const std::uint64_t number = first / chunk_elements_;
  // A plan asks this of every chunk, and finding one takes far longer than all that follows.
  const ChunkLocation at = index_.uniform() ? ChunkLocation{.present = true} : chunk(number);
  if (!at.present) return 0;
  return bytes < chunk_bytes() && head_pays(number, at.mask, bytes) ? bytes : chunk_bytes();
}

// A chunk may be stored without some of its filters, where they did not make it smaller (HDF5's filter mask,
// a bit for each). A shift by 32 is undefined, so that 32 filters are a case of their own.
bool Array::all_filters_skipped(std::uint32_t mask) const {
  const std::size_t n = filters_.filters().size();
  const std::uint32_t all = n >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << n) - 1;
  return (mask & all) == all;
}

// Note [Heads of chunks]. A block of rows rarely ends where a chunk does. Of the chunk that its last row runs
// into, only the head is wanted, and deflate gives the first bytes of a stream without the rest: where that
// is cheaper, head_pays(), only the head is decoded, and only the stored bytes are read that it is expected
// to take, head_stored_bytes(). An estimate may be too short. Then decode_chunk() says so
// (`head_too_short`), and whoever asked reads the chunk again, whole: it costs a read, never a wrong value.
//
// Example: chunks of 68,312 bytes, stored in 20,000; a block ends 3,000 bytes into one. That is 4.4 % of it,
// below 30 %, so the head pays: 4.4 % of 20,000 bytes, an eighth more and 512 bytes, 1,500 in all, are read
// and 3,000 bytes inflated. The next block begins inside this chunk and decodes it whole.
//
// What was not done: reading on where a head ended. It would need the state of an inflate per block, and
// blocks come in no order.

// Inflating a head costs about three times as much per byte as inflating a whole chunk (zlib's streaming
// inflate against libdeflate), so it pays below 30 %. A part of the array's last chunk may be all that the
// array has of it. Then it is decoded whole, so that its checksum is looked at: no other block will.
bool Array::head_pays(std::uint64_t number, std::uint32_t mask, ByteCount bytes) const {
  if (!filters_.can_decode_head(mask)) return false;
  if (all_filters_skipped(mask)) return true;
  if (number + 1 == n_chunks_ && number * chunk_bytes() + bytes == size_ * dtype_.size) return false;
  return bytes < chunk_bytes() / 10 * 3;
}

// Stored bytes that the first `bytes` of a chunk are expected to take: their share, and what a deflate stream
// takes to get going. Measured over the atlases at hand: at most 350 bytes more than the share, 98 % below
// 270.
ByteCount Array::head_stored_bytes(std::uint64_t number, const ChunkLocation& at, ByteCount bytes) const {
  if (bytes >= chunk_bytes() || !head_pays(number, at.mask, bytes)) return at.stored;
  if (all_filters_skipped(at.mask)) return std::min<ByteCount>(bytes, at.stored);
  const double share = static_cast<double>(bytes) / static_cast<double>(chunk_bytes());
  const auto estimate = static_cast<ByteCount>(share * 1.125 * static_cast<double>(at.stored)) + 512;
  return std::min(estimate, at.stored);
}

void Array::write_fill(std::span<std::byte> out) const {
  if (out.empty()) return;
  if (fill_.empty()) {
    std::memset(out.data(), 0, out.size());
    return;
  }
  std::size_t done = std::min(fill_.size(), out.size());
  std::memcpy(out.data(), fill_.data(), done);
  while (done < out.size()) {  // doubles what is there: whole elements each time
    const std::size_t n = std::min(done, out.size() - done);
    std::memcpy(out.data() + done, out.data(), n);
    done += n;
  }
}

void Array::to_native(std::span<std::byte> out) const {
  if (!dtype_.big_endian) return;
  switch (dtype_.size) {
    case 2:
      return swap_elements<std::uint16_t>(out);
    case 4:
      return swap_elements<std::uint32_t>(out);
    case 8:
      return swap_elements<std::uint64_t>(out);
    default:
      return;
  }
}

Status Array::find_chunk(std::uint64_t number, const ChunkLocation& at, const Fetched& fetched,
                         std::span<const std::byte>& stored) const {
  stored = fetched.find(file_.get(), at.offset, at.stored);
  if (stored.size() == at.stored) return {};
  return Status::internal(
      fmt::format("{} chunk {} at byte 0x{:x}: was not fetched before decoding", where(), number, at.offset));
}

Status Array::decode_whole(std::uint64_t number, const ChunkLocation& at, std::span<const std::byte> stored,
                           std::span<std::byte> out, std::span<std::byte> step, CodecContext& codec) const {
  const DecodeResult result = filters_.decode(stored, at.mask, out, step, codec);
  if (!result.ok()) return chunk_error(number, at, result.describe());
  to_native(out);
  return {};
}

Status Array::decode_head(std::uint64_t number, const ChunkLocation& at, std::span<const std::byte> stored,
                          std::span<std::byte> out, CodecContext& codec) const {
  const DecodeResult result = filters_.decode_head(stored, at.mask, out, codec);
  if (!result.ok()) return chunk_error(number, at, result.describe());
  to_native(out);
  return {};
}

Status Array::decode_chunk(std::uint64_t number, const Fetched& fetched, std::span<std::byte> out,
                           std::span<std::byte> step, CodecContext& codec, bool* head_too_short) const {
  PENSTOCK_DCHECK(chunked_ && out.size() <= chunk_bytes() && out.size() % dtype_.size == 0);
  PENSTOCK_RETURN_IF_ERROR(check_usable());
  const ChunkLocation at = chunk(number);
  if (!at.present) {
    write_fill(out);
    return {};
  }
  std::span<const std::byte> stored = fetched.find_head(file_.get(), at.offset, at.stored);
  if (head_too_short != nullptr && !stored.empty() && stored.size() < at.stored) {
    if (head_pays(number, at.mask, out.size())) {
      const DecodeResult result = filters_.decode_head(stored, at.mask, out, codec);
      if (result.ok()) {
        to_native(out);
        return {};
      }
      // Too few bytes came out: the estimate was too short. Anything else is damage, which more bytes would
      // not heal.
      if (result.kind != DecodeResult::Kind::short_output) return chunk_error(number, at, result.describe());
    }
    *head_too_short = true;
    return Status::internal(
        fmt::format("{} chunk {} at byte 0x{:x}: {} of {} bytes were read, more are needed", where(), number,
                    at.offset, stored.size(), at.stored));
  }
  PENSTOCK_RETURN_IF_ERROR(find_chunk(number, at, fetched, stored));
  // Three ways: all of it, straight to where it is wanted; its head, where that pays; else whole into
  // scratch, of which the head is copied.
  if (out.size() == chunk_bytes()) return decode_whole(number, at, stored, out, step, codec);
  if (head_pays(number, at.mask, out.size())) {
    return decode_head(number, at, stored, out, codec);
  }
  const std::size_t whole = round_up(chunk_bytes(), kAlignment);
  PENSTOCK_DCHECK(step.size() >= step_bytes());
  PENSTOCK_RETURN_IF_ERROR(
      decode_whole(number, at, stored, step.first(chunk_bytes()), step.subspan(whole), codec));
  std::memcpy(out.data(), step.data(), out.size());
  return {};
}

// Room for a decoded chunk that is wanted in part, and for what the filters need between each other.
ByteCount Array::step_bytes() const {
  if (!chunked_ || filters_.empty()) return 0;
  return round_up(chunk_bytes(), kAlignment) + filters_.step_bytes(chunk_bytes());
}

ByteCount Array::range_scratch_bytes() const { return step_bytes(); }

Status Array::decode_range(std::uint64_t first, std::uint64_t count, const Fetched& fetched,
                           std::span<std::byte> scratch, CodecContext& codec,
                           std::span<std::byte> out) const {
  PENSTOCK_RETURN_IF_ERROR(check_range(first, count));
  PENSTOCK_DCHECK(out.size() == count * dtype_.size && scratch.size() >= range_scratch_bytes());
  if (count == 0) return {};
  const std::size_t item = dtype_.size;
  if (!chunked_) {
    if (!compact_.empty()) {
      std::memcpy(out.data(), compact_.data() + first * item, out.size());
    } else if (allocated_) {
      const ByteOffset offset = contiguous_offset_ + first * item;
      const auto stored = fetched.find(file_.get(), offset, out.size());
      if (stored.size() != out.size()) {
        return Status::internal(fmt::format("{}: {} bytes at 0x{:x} were not fetched before decoding",
                                            where(), out.size(), offset));
      }
      std::memcpy(out.data(), stored.data(), out.size());
    } else {
      write_fill(out);
      return {};
    }
    // Without filters nothing is decoded, but the bytes count as such: plans and counters compare the two.
    codec.count(out.size());
    to_native(out);
    return {};
  }

  const std::uint64_t last = first + count;
  for (std::uint64_t c = first / chunk_elements_; c * chunk_elements_ < last; ++c) {
    const std::uint64_t begin = c * chunk_elements_;
    const std::uint64_t from = std::max(first, begin), to = std::min(last, begin + chunk_elements_);
    const auto part = out.subspan((from - first) * item, (to - from) * item);
    const ChunkLocation at = chunk(c);
    if (!at.present) {
      write_fill(part);
      continue;
    }
    std::span<const std::byte> stored;
    PENSTOCK_RETURN_IF_ERROR(find_chunk(c, at, fetched, stored));
    const ByteCount skipped = (from - begin) * item, head = (to - begin) * item;
    if (all_filters_skipped(at.mask)) {
      // A chunk without filters has its size exactly. If the index says otherwise, copying would read beyond
      // it.
      if (stored.size() != chunk_bytes()) {
        return chunk_error(c, at, fmt::format("expected {} bytes, got {}", chunk_bytes(), stored.size()));
      }
      std::memcpy(part.data(), stored.data() + skipped, part.size());
      codec.count(part.size());
      to_native(part);
      continue;
    }
    const std::size_t whole = round_up(chunk_bytes(), kAlignment);
    if (part.size() == chunk_bytes()) {
      PENSTOCK_RETURN_IF_ERROR(decode_whole(c, at, stored, part, scratch.subspan(whole), codec));
    } else if (head_pays(c, at.mask, head)) {
      // A head that begins before what is wanted goes through the scratch.
      const auto target = skipped == 0 ? part : scratch.first(head);
      PENSTOCK_RETURN_IF_ERROR(decode_head(c, at, stored, target, codec));
      if (skipped != 0) std::memcpy(part.data(), scratch.data() + skipped, part.size());
    } else {
      PENSTOCK_RETURN_IF_ERROR(
          decode_whole(c, at, stored, scratch.first(chunk_bytes()), scratch.subspan(whole), codec));
      std::memcpy(part.data(), scratch.data() + skipped, part.size());
    }
  }
  return {};
}

}  // namespace penstock::store
