// The row offsets (indptr) of a CSR matrix: checked once when a file is opened, then either kept in memory or
// decoded again with each block.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/request.h"
#include "source/row_source.h"
#include "store/store.h"

namespace penstock::anndata {

// Streams indptr once, a few chunks at a time, and checks all of it: first value 0, never decreasing, last
// value `entries`; a violation is `corrupt` and names the row. visit(first, offsets) gets indptr[first ...].
// The slab is reserved from `budget` while it lasts.
Status scan_indptr(const store::Array& indptr, std::uint64_t entries, MemoryBudget& budget,
                   const std::function<void(RowIndex first, std::span<const std::uint64_t> offsets)>& visit);

// What every offset of an opened file satisfies; offsets read again must still.
struct OffsetBounds {
  std::uint64_t entries = 0;
  std::uint64_t longest_row = 0;
};

// Offsets in memory: a 64-bit base per 256 rows and 32 bits a row, or 64 bits a row for matrices in which 256
// rows can hold 2^32 entries.
//
// Immutable after create().
class RowOffsets {
 public:
  static ByteCount bytes(RowIndex n_rows, const OffsetBounds& bounds);
  static Result<RowOffsets> create(const store::Array& indptr, const OffsetBounds& bounds,
                                   MemoryBudget& budget);

  // indptr[first ... first + out.size()).
  void read(RowIndex first, std::span<std::uint64_t> out) const;

 private:
  static constexpr RowIndex kGroup = 256;
  std::vector<std::uint64_t> bases_;  // or the offsets themselves when deltas_ is empty
  std::vector<std::uint32_t> deltas_;
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
