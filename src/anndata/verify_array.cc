// An array is decoded piece by piece, and what comes out is thrown away. What counts is whether it comes out:
// filters that find their stream broken, checksums that differ, sizes that do not fit. A piece is a chunk, or
// 1 MiB of an array without chunks (262,144 elements of float32), so that memory stays small and a message
// can name the chunk and the byte of the file that it begins at.
#include "anndata/verify_array.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/checked.h"
#include "memory/reserved_buffer.h"
#include "source/numbers.h"
#include "source/read_requests.h"

namespace penstock::anndata {

namespace {

// Elements of a piece: a chunk, or 1 MB of an array stored in one piece.
std::uint64_t piece_elements(const store::Array& array) {
  if (array.is_chunked()) return std::max<std::uint64_t>(array.chunk_elements(), 1);
  return std::max<std::uint64_t>((1 << 20) / std::max<std::uint32_t>(array.dtype().size, 1), 1);
}

// An array of which nothing is stored is its fill value everywhere: its first element stands for all.
std::uint64_t pieces_of(const store::Array& array) {
  if (array.size() == 0) return 0;
  if (array.stored_bytes() == 0) return 1;
  return array.is_chunked() ? array.n_chunks() : ceil_div(array.size(), piece_elements(array));
}

}  // namespace

// Of one array: they go with it, as the next one's chunks may be of another size.
struct ArrayVerifier::Buffers {
  Buffers(const store::Array& array, MemoryBudget& budget)
      : stored(array.where() + ": a chunk", &budget, MemoryTag::fetch),
        out(array.where() + ": a chunk", &budget, MemoryTag::scratch),
        scratch(array.where() + ": a chunk", &budget, MemoryTag::scratch) {}
  ReservedBuffer stored, out, scratch;
};

Status ArrayVerifier::run(const store::Array& array, std::uint64_t columns) {
  if (!reads(array)) {
    log_.not_checked(
        fmt::format("{}: elements of type {} are not read", array.where(), array.dtype().description));
    return {};
  }
  const std::uint64_t pieces = pieces_of(array);
  if (log_.counting()) {
    log_.expect(pieces);
    return {};
  }
  const auto bytes = checked_mul(std::min(piece_elements(array), array.size()), array.dtype().size);
  Buffers buffers(array, budget_);
  PENSTOCK_RETURN_IF_ERROR(buffers.out.grow_to(array.is_chunked() ? array.chunk_bytes() : bytes.value_or(0)));
  PENSTOCK_RETURN_IF_ERROR(
      buffers.scratch.grow_to(array.is_chunked() ? array.step_bytes() : array.range_scratch_bytes()));
  for (std::uint64_t number = 0; number < pieces; ++number) {
    PENSTOCK_RETURN_IF_ERROR(log_.take(piece(array, number, columns, buffers)));
    log_.step();
  }
  return {};
}

Status ArrayVerifier::piece(const store::Array& array, std::uint64_t number, std::uint64_t columns,
                            Buffers& buffers) {
  const bool chunked = array.is_chunked();
  // Chunks are found by their number, pieces of an array without chunks by their elements.
  const std::uint64_t first = chunked ? 0 : number * piece_elements(array);
  // Of the last chunk of a vector some elements lie behind its end. Column numbers come in vectors only.
  const std::uint64_t n = chunked
                              ? std::min(piece_elements(array), array.size() - number * piece_elements(array))
                              : std::min(piece_elements(array), array.size() - first);
  RequestList list;
  if (!chunked) {
    array.add_requests(first, n, Heads::whole, list);
  } else if (const auto at = array.chunk(number); at.present) {
    list.add(array.file(), at.offset, at.stored);
  }
  PENSTOCK_RETURN_IF_ERROR(buffers.stored.grow_to(list.total_bytes()));
  if (Status read = read_requests(list, buffers.stored.bytes()); !read.ok()) {
    // A piece is read in one request.
    return std::move(read).with_context(
        fmt::format("{} chunk {} at byte 0x{:x}", array.where(), number, list.requests().front().offset));
  }
  const Fetched found(list.requests(), buffers.stored.bytes().data());
  // Chunks are decoded whole, the padding of the last one too: a checksum covers all of it.
  const auto out = chunked ? buffers.out.bytes() : buffers.out.first(n * array.dtype().size);
  const auto scratch = buffers.scratch.bytes();
  PENSTOCK_RETURN_IF_ERROR(chunked ? array.decode_chunk(number, found, out, scratch, codec_, nullptr)
                                   : array.decode_range(first, n, found, scratch, codec_, out));
  log_.chunk(out.size());
  return columns == 0 ? Status() : check_columns(array, number, out.first(n * array.dtype().size), columns);
}

Status ArrayVerifier::check_columns(const store::Array& array, std::uint64_t number,
                                    std::span<const std::byte> decoded, std::uint64_t columns) {
  numbers_.resize(decoded.size() / array.dtype().size);
  // A uint64 from 2^63 on comes out negative, and is refused as a column below 0 is.
  to_int64(array.dtype().number, decoded.data(), numbers_);
  const auto wrong = std::find_if(numbers_.begin(), numbers_.end(), [&](std::int64_t column) {
    return column < 0 || static_cast<std::uint64_t>(column) >= columns;
  });
  if (wrong == numbers_.end()) return {};
  // A chunk that was never written has no place in the file. Its elements are the fill value.
  const std::string where = array.is_chunked() && array.chunk(number).present
                                ? fmt::format(" at byte 0x{:x}", array.chunk(number).offset)
                                : std::string();
  const std::uint64_t element =
      number * piece_elements(array) + static_cast<std::uint64_t>(wrong - numbers_.begin());
  return Status::corrupt(fmt::format("{} chunk {}{}: element {} is column {} of a matrix of {}",
                                     array.where(), number, where, element, *wrong, columns));
}

}  // namespace penstock::anndata
