// A sliding view on one array of stored entries while a block is decoded: the rest of a row that ran over the
// last chunk, followed by the chunk just decoded. Two of these (data, indices) advance in step, so that what
// is being worked on stays in the cache.
//
// Thread contract: belongs to one decode call. Borrows everything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "anndata/row_table.h"
#include "base/check.h"
#include "penstock/status.h"
#include "source/request.h"
#include "store/store.h"

namespace penstock::anndata {

class EntryWindow {
 public:
  // Elements that a window needs room for: a row as long as the longest, and one chunk more.
  static std::uint64_t capacity(const RowTable& rows, std::uint64_t longest_row);

  // `buffer` holds capacity() elements.
  EntryWindow(const store::Array& array, const RowTable& rows, std::byte* buffer, std::uint64_t capacity)
      : array_(array),
        chunk_(rows.chunk_elements()),
        entries_(rows.entries()),
        item_(array.dtype().size),
        buffer_(buffer),
        capacity_(capacity) {}

  // One past the last element in memory; everything wanted before it has been or is in memory.
  std::uint64_t end() const { return end_; }
  // Element `number`, which lies in the window.
  const std::byte* at(std::uint64_t number) const { return buffer_ + (number - first_) * item_; }
  const std::byte* buffer() const { return buffer_; }
  // The chunk that must be decoded next when `need` is the first element still wanted.
  std::uint64_t next_chunk(std::uint64_t need) const { return (need < end_ ? end_ : need) / chunk_; }
  std::uint64_t chunk_end(std::uint64_t chunk) const { return (chunk + 1) * chunk_; }

  // Decodes `chunk` == next_chunk(need), up to element `last` of the array at most; keeps elements from
  // `need` on. `head_too_short`: see Array::decode_chunk.
  Status advance(std::uint64_t need, std::uint64_t chunk, std::uint64_t last, const Fetched& fetched,
                 CodecContext& codec, std::span<std::byte> step, bool* head_too_short);

 private:
  const store::Array& array_;
  const std::uint64_t chunk_, entries_;
  const std::size_t item_;
  std::byte* const buffer_;
  const std::uint64_t capacity_;
  std::uint64_t first_ = 0, end_ = 0;  // elements [first_, end_) lie at buffer_
};

}  // namespace penstock::anndata
