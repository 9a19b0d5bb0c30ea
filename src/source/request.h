// Byte ranges that a source wants, and the same ranges once they are in memory. Fetching is apart from
// decoding so that reads can run ahead of the cores by any depth.
//
// Thread contract: externally synchronised. A RequestList borrows its Files: the RowSource that filled it
// keeps them alive. Vectors keep their capacity over clear(), so a reused list does not allocate in the
// steady state.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/types.h"
#include "io/file.h"

namespace penstock {

struct ReadRequest {
  const File* file = nullptr;
  ByteOffset offset = 0;
  ByteCount bytes = 0;
  ByteOffset end() const { return offset + bytes; }
};

class RequestList {
 public:
  // Adjacent and overlapping ranges are joined as they come (adjacent ones up to kCoalesceMax bytes).
  void add(const File* file, ByteOffset offset, ByteCount bytes);
  // Sorts by (file, offset), drops duplicates, joins ranges whose gap is at most max_gap bytes while the
  // result stays at most max_bytes (a single larger range stays whole, overlapping ranges always join).
  void coalesce(ByteCount max_gap, ByteCount max_bytes);
  void clear() { requests_.clear(); }

  std::span<const ReadRequest> requests() const { return requests_; }
  // Sum of bytes over all requests.
  ByteCount total_bytes() const;

 private:
  std::vector<ReadRequest> requests_;
};

// How much to read of a chunk of which only the beginning is wanted. `estimated`: as many stored bytes as the
// beginning is expected to take (an estimate that is too short costs a second read, see Scratch). `whole`:
// all.
enum class Heads { estimated, whole };

// The constants every reader and the planner's prediction share.
inline constexpr ByteCount kCoalesceGap = 16 << 10;
inline constexpr ByteCount kCoalesceMax = 1 << 20;

// A coalesced RequestList whose bytes lie one request after the other at `data`. Lookups in ascending order
// are quick: it remembers where the last one was.
class Fetched {
 public:
  Fetched(std::span<const ReadRequest> requests, const std::byte* data) : requests_(requests), data_(data) {}
  // The bytes of [offset, offset + bytes) of a file; an empty span when they were not requested.
  std::span<const std::byte> find(const File* file, ByteOffset offset, ByteCount bytes) const;
  // As many of these bytes from the first on as were requested in one piece; maybe none.
  std::span<const std::byte> find_head(const File* file, ByteOffset offset, ByteCount bytes) const;

 private:
  std::span<const ReadRequest> requests_;
  const std::byte* data_;
  mutable std::size_t cursor_ = 0;      // the request of the last lookup
  mutable ByteCount cursor_bytes_ = 0;  // bytes of the requests before it
};

}  // namespace penstock
