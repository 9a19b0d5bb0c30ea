// The row offsets (indptr) of a CSR matrix: checked once when a file is opened, then either kept in memory or
// decoded again with each block. Of a CSC matrix they are the offsets of columns.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/request.h"
#include "source/row_source.h"
#include "store/store.h"

namespace penstock::anndata {

// Streams indptr once, a few chunks at a time, and checks all of it: first value 0, never decreasing, last
// value `entries`; a violation is `corrupt` and names the row, or whatever else `what` says that offsets are
// of. visit(first, offsets) gets indptr[first ...]. The slab is reserved from `budget` while it lasts.
Status scan_indptr(const store::Array& indptr, std::uint64_t entries, MemoryBudget& budget,
                   const std::function<void(RowIndex first, std::span<const std::uint64_t> offsets)>& visit,
                   std::string_view what = "row");

// What every offset of an opened file satisfies; offsets read again must still.
struct OffsetBounds {
  std::uint64_t entries = 0;
  std::uint64_t longest_row = 0;
  std::uint64_t packed_words = 0;  // that RowOffsets keeps lengths in (PackedLengths::words())
};

// Counts the words that lengths take as RowOffsets packs them, from all offsets in order. One pass over indptr
// does this beside what else it is for, so that bytes are known before any are held.
class PackedLengths {
 public:
  void add(std::span<const std::uint64_t> offsets);
  // Of all that were added.
  std::uint64_t words() const;

 private:
  std::uint64_t previous_ = 0, most_ = 0, words_ = 0;
  std::uint64_t n_ = 0;  // offsets of the group that is not complete
};

// Offsets in memory, about 1.6 bytes a row for rows of 1,400 entries. Rows are in groups of 128: the offset of
// the first in full, and the lengths of all but the last in as many bits as the longest of them takes.
//
//     offsets  1000 1007 1007 1022 ...      group {1000, first word, 4 bits}, words: 7 0 15 ...
//
// An offset is the sum of the lengths before it in its group, which takes less time than decoding one row.
//
// Immutable after create().
class RowOffsets {
 public:
  static constexpr RowIndex kGroup = 128;

  static ByteCount bytes(RowIndex n_rows, const OffsetBounds& bounds);
  static Result<RowOffsets> create(const store::Array& indptr, const OffsetBounds& bounds,
                                   MemoryBudget& budget);

  // indptr[first ... first + out.size()).
  void read(RowIndex first, std::span<std::uint64_t> out) const;

 private:
  struct Group {
    std::uint64_t base = 0;
    std::uint32_t word = 0;   // of words_, where its lengths begin
    std::uint32_t width = 0;  // bits of a length
  };
  std::vector<Group> groups_;
  std::vector<std::uint64_t> words_;
  Reservation reservation_;
};

// Decodes the offsets of ascending row ranges out of fetched bytes, each chunk of indptr once. One per decode
// call.
class OffsetDecoder {
 public:
  // `chunk`: chunk_bytes() bytes; `step`: step_bytes() bytes.
  OffsetDecoder(const store::Array& indptr, const OffsetBounds& bounds, const Fetched& fetched,
                CodecContext& codec, std::span<std::byte> chunk, std::span<std::byte> step)
      : indptr_(indptr), bounds_(bounds), fetched_(fetched), codec_(codec), chunk_(chunk), step_(step) {}

  static ByteCount chunk_bytes(const store::Array& indptr);
  static ByteCount step_bytes(const store::Array& indptr);
  // What decoding the offsets of these rows gives (CodecContext::take_bytes()).
  static ByteCount decoded_bytes(const store::Array& indptr, std::span<const RowRange> wanted);

  // indptr[first ... first + out.size()). No element at or after `end` will be asked for, now or later.
  Status read(RowIndex first, RowIndex end, std::span<std::uint64_t> out);

 private:
  Status widen(RowIndex first, const std::byte* raw, std::span<std::uint64_t> out);

  const store::Array& indptr_;
  const OffsetBounds bounds_;
  const Fetched& fetched_;
  CodecContext& codec_;
  const std::span<std::byte> chunk_, step_;
  std::uint64_t loaded_ = ~std::uint64_t{0};  // number of the chunk in chunk_
};

}  // namespace penstock::anndata
