// Byte ranges, joined so that few and large reads are left. Two reads cost more than one that reads a small
// gap along; how large a gap and how large a read may be is said by whoever joins (kCoalesceGap,
// kCoalesceMax).
//
//     asked for        [0, 100)   [100, 300)   [5000, 6000)   [40000, 41000)
//     add()            [0, 300)                [5000, 6000)   [40000, 41000)     what touches is one
//     coalesce(16K)    [0, 6000)                              [40000, 41000)     small gaps are read along
//
// Fetched answers where bytes are that were asked for. They were asked for in some order, sorted, joined and
// read; the bytes of request i lie behind those of all requests before it. Looking up goes on from the last
// place, since decoders ask nearly in the order of the file.
#include "source/request.h"

#include <algorithm>
#include <functional>

namespace penstock {
namespace {

// Makes `first` cover `next` too, when it may. Overlapping ranges always become one, whatever the size: each
// of them will be looked up whole.
bool join(ReadRequest& first, const ReadRequest& next, ByteCount max_gap, ByteCount max_bytes) {
  // add() does not sort: a range that lies before the last one stays by itself until coalesce().
  if (first.file != next.file || next.offset < first.offset) return false;
  const ByteOffset end = std::max(first.end(), next.end());
  const bool overlap = next.offset < first.end();
  const bool near = overlap || next.offset - first.end() <= max_gap;
  // The bound is for what is joined at will; a range that was asked for in one piece may be larger.
  if (!overlap && !(near && end - first.offset <= max_bytes)) return false;
  first.bytes = end - first.offset;
  return true;
}

}  // namespace

void RequestList::add(const File* file, ByteOffset offset, ByteCount bytes) {
  if (bytes == 0) return;
  const ReadRequest next{file, offset, bytes};
  if (!requests_.empty() && join(requests_.back(), next, 0, kCoalesceMax)) return;
  requests_.push_back(next);
}

void RequestList::coalesce(ByteCount max_gap, ByteCount max_bytes) {
  if (requests_.size() < 2) return;
  std::sort(requests_.begin(), requests_.end(), [](const ReadRequest& a, const ReadRequest& b) {
    // Files have no order but that of their addresses. It decides where bytes lie in the buffer, and nothing
    // that a user could see.
    if (a.file != b.file) return std::less<>()(a.file, b.file);
    return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes;
  });
  std::size_t last = 0;
  for (std::size_t i = 1; i < requests_.size(); ++i) {
    if (!join(requests_[last], requests_[i], max_gap, max_bytes)) requests_[++last] = requests_[i];
  }
  requests_.resize(last + 1);
}

ByteCount RequestList::total_bytes() const {
  ByteCount sum = 0;
  for (const auto& r : requests_) sum += r.bytes;
  return sum;
}

std::span<const std::byte> Fetched::find(const File* file, ByteOffset offset, ByteCount bytes) const {
  const auto found = find_head(file, offset, bytes);
  return found.size() == bytes ? found : std::span<const std::byte>();
}

std::span<const std::byte> Fetched::find_head(const File* file, ByteOffset offset, ByteCount bytes) const {
  if (requests_.empty() || bytes == 0) return {};
  // Lookups come nearly in order, so the search starts where the last one ended.
  const auto begins_after = [&](const ReadRequest& r) {
    return r.file != file ? std::less<>()(file, r.file) : r.offset > offset;
  };
  while (cursor_ > 0 && begins_after(requests_[cursor_])) {
    --cursor_;
    cursor_bytes_ -= requests_[cursor_].bytes;
  }
  while (cursor_ + 1 < requests_.size() && !begins_after(requests_[cursor_ + 1])) {
    cursor_bytes_ += requests_[cursor_].bytes;
    ++cursor_;
  }
  const ReadRequest& r = requests_[cursor_];
  // Bytes that were not asked for are a mistake of the caller, who gets nothing and says so.
  if (r.file != file || offset < r.offset || offset - r.offset > r.bytes) return {};
  const ByteCount skipped = offset - r.offset;
  return {data_ + cursor_bytes_ + skipped, std::min(bytes, r.bytes - skipped)};
}

}  // namespace penstock
