// Every offset decides where entries are read from and how much memory a row takes, so none is believed
// before it has been checked: the first is 0, they do not descend, and the last is the number of entries
// (formats.md, 2.3). scan_indptr() does that once, when a file is opened, with a slab of offsets in memory
// and never all of them.
//
// Afterwards they come from one of two places. RowOffsets holds all of them, packed (indptr.h); OffsetDecoder
// decodes those of a block each time anew. In both cases the file is read again and may have been written to
// in the meantime, which is why offsets are measured once more, against what the first pass has found. That
// is an `io_error`: the file was sound.
#include "anndata/indptr.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <new>

#include "base/checked.h"
#include "base/packed_bits.h"
#include "memory/reserve_for.h"
#include "source/numbers.h"

namespace penstock::anndata {

namespace {

// Of the codecs that are read, zstd makes most of little: 128 KiB of one value are a block of 4 bytes, 32,768
// times as few (deflate: 1,032). A longer indptr than that is a lie that would only cost time: an array of
// 2^50 elements of which nothing was ever written takes no room in a file, and reading it would give zeros
// for days.
Status check_plausible(const store::Array& indptr) {
  if (indptr.file() == nullptr) return {};
  const auto decoded = checked_mul(indptr.size(), indptr.dtype().size);
  const auto limit = checked_mul(indptr.file()->size(), 32 << 10);
  if (decoded && (!limit || *decoded <= *limit)) return {};
  return Status::corrupt(fmt::format("{}: {} row offsets cannot come out of a file of {} bytes",
                                     indptr.where(), indptr.size(), indptr.file()->size()));
}

// Widens n stored offsets that follow `previous`. False at the first that is negative or smaller than the one
// before it; `good` of them are in `out` then.
bool widen_ascending(NumericType type, const std::byte* raw, std::uint64_t previous,
                     std::span<std::uint64_t> out, std::size_t& good) {
  return with_integer(type, [&]<class T>() {
    for (std::size_t i = 0; i < out.size(); ++i) {
      const T value = load<T>(raw, i);
      const auto offset = static_cast<std::uint64_t>(value);
      if (value < T{0} || offset < previous) {
        good = i;
        return false;
      }
      previous = out[i] = offset;
    }
    good = out.size();
    return true;
  });
}

}  // namespace

Status scan_indptr(const store::Array& indptr, std::uint64_t entries, MemoryBudget& budget,
                   const std::function<void(RowIndex, std::span<const std::uint64_t>)>& visit,
                   std::string_view what) {
  PENSTOCK_RETURN_IF_ERROR(check_plausible(indptr));
  const std::uint64_t n = indptr.size();
  const std::size_t item = indptr.dtype().size;
  const NumericType type = indptr.dtype().number;
  if (n == 0) return Status::corrupt(indptr.where() + ": an empty indptr; it has n_rows + 1 elements");

  // Whole chunks, so that none is decoded twice; at least 64 Ki elements, so that small chunks cost few
  // calls.
  std::uint64_t slab = 64 << 10;
  if (indptr.is_chunked()) {
    const std::uint64_t chunk = std::max<std::uint64_t>(indptr.chunk_elements(), 1);
    slab = chunk >= slab ? chunk : slab / chunk * chunk;
  }
  slab = std::min(slab, n);
  const auto slab_bytes = checked_mul(slab, item + sizeof(std::uint64_t));
  if (!slab_bytes) return Status::corrupt(indptr.where() + ": a chunk larger than memory");
  PENSTOCK_ASSIGN_OR_RETURN(const auto held,
                            reserve_for(indptr.where(), budget, MemoryTag::index, *slab_bytes));
  try {
    std::vector<std::byte> raw(slab * item);
    std::vector<std::uint64_t> offsets(slab);
    std::uint64_t previous = 0;
    for (RowIndex first = 0; first < n; first += slab) {
      const auto count = static_cast<std::size_t>(std::min(slab, n - first));
      const std::span<std::uint64_t> part(offsets.data(), count);
      PENSTOCK_RETURN_IF_ERROR(indptr.read_range(first, count, std::span(raw.data(), count * item)));
      std::size_t good = 0;
      const bool ascending = widen_ascending(type, raw.data(), previous, part, good);
      // Of several faults the first one in the array is told: an offset 0 that is not 0 comes before one that
      // descends.
      if (first == 0 && good > 0 && part[0] != 0) {
        return Status::corrupt(
            fmt::format("{}: the offset of {} 0 is {}, expected 0", indptr.where(), what, part[0]));
      }
      if (!ascending) {
        return Status::corrupt(fmt::format("{}: the offset of {} {} is smaller than the one before it ({})",
                                           indptr.where(), what, first + good,
                                           good > 0 ? part[good - 1] : previous));
      }
      previous = part.back();
      // Told before the whole is checked, so no visitor may trust an offset beyond the arrays.
      if (previous > entries) {
        // Offsets ascend, so the first that is too large is found by halving.
        const auto over = std::upper_bound(part.begin(), part.end(), entries) - part.begin();
        return Status::corrupt(fmt::format(
            "{}: the offset of {} {} is {}, but data and indices have {} elements", indptr.where(), what,
            first + static_cast<std::uint64_t>(over), part[static_cast<std::size_t>(over)], entries));
      }
      visit(first, part);
    }
    // Elements behind the last row would belong to nobody. Smaller is a fault therefore, as larger is.
    if (previous != entries) {
      return Status::corrupt(
          fmt::format("{}: the offset after the last {} ({}) is {}, but data and indices have "
                      "{} elements",
                      indptr.where(), what, n - 1, previous, entries));
    }
  } catch (const std::bad_alloc&) {
    return Status::budget(indptr.where() + ": the system has no memory for a chunk of row offsets");
  }
  return {};
}

namespace {

// Words of 64 bits that the lengths of a group of n offsets take, n - 1 of them.
std::uint64_t words_of_group(std::uint64_t n, std::uint64_t longest) {
  return n < 2 ? 0 : ceil_div((n - 1) * bits_for(longest), std::uint64_t{64});
}

}  // namespace

void PackedLengths::add(std::span<const std::uint64_t> offsets) {
  // What create() will do with the same offsets: a group is complete with its 128th, and takes as many bits a
  // length as its longest row needs.
  for (const std::uint64_t offset : offsets) {
    // The step from one group to the next is in neither: the next one has its first offset in full.
    if (n_ > 0) most_ = std::max(most_, offset - previous_);
    previous_ = offset;
    if (++n_ < RowOffsets::kGroup) continue;
    words_ += words_of_group(n_, most_);
    n_ = most_ = 0;
  }
}

std::uint64_t PackedLengths::words() const { return words_ + words_of_group(n_, most_); }

ByteCount RowOffsets::bytes(RowIndex n_rows, const OffsetBounds& bounds) {
  return ceil_div(n_rows + 1, kGroup) * sizeof(Group) + bounds.packed_words * sizeof(std::uint64_t);
}

Result<RowOffsets> RowOffsets::create(const store::Array& indptr, const OffsetBounds& bounds,
                                      MemoryBudget& budget) {
  const std::uint64_t n = indptr.size();
  // A matrix of 2^32 words has 34 GB of offsets, which no budget has been asked for.
  if (bounds.packed_words > 0xffffffffu) {
    return Status::unsupported(
        fmt::format("{}: row offsets of {} in memory", indptr.where(), format_bytes(bytes(n - 1, bounds))));
  }
  RowOffsets offsets;
  PENSTOCK_ASSIGN_OR_RETURN(offsets.reservation_,
                            reserve_for(indptr.where(), budget, MemoryTag::index, bytes(n - 1, bounds)));
  try {
    offsets.groups_.reserve(ceil_div(n, kGroup));
    offsets.words_.reserve(bounds.packed_words);
  } catch (const std::bad_alloc&) {
    return Status::budget(indptr.where() + ": the system has no memory for row offsets");
  }
  // A file that changed since it was opened could ask for more words than were reserved, or have a row that
  // is longer than scratch is for: both are looked at before anything is written.
  bool changed = false;
  std::array<std::uint64_t, kGroup> group{};
  std::size_t filled = 0;
  const auto pack = [&] {
    if (filled == 0) return;
    std::uint64_t longest = 0;
    for (std::size_t i = 1; i < filled; ++i) longest = std::max(longest, group[i] - group[i - 1]);
    const std::uint64_t word = offsets.words_.size();
    changed = changed || words_of_group(filled, longest) > bounds.packed_words - word;
    if (changed) return;
    const unsigned width = bits_for(longest);
    offsets.groups_.push_back({group[0], static_cast<std::uint32_t>(word), width});
    BitWriter out(offsets.words_);
    for (std::size_t i = 1; i < filled; ++i) out.put(group[i] - group[i - 1], width);
    filled = 0;
  };
  std::uint64_t previous = 0;
  PENSTOCK_RETURN_IF_ERROR(
      scan_indptr(indptr, bounds.entries, budget, [&](RowIndex, std::span<const std::uint64_t> part) {
        for (const std::uint64_t offset : part) {
          changed = changed || offset - previous > bounds.longest_row;
          if (changed) return;
          group[filled++] = previous = offset;
          if (filled == kGroup) pack();
        }
      }));
  pack();
  if (changed) return Status::io_error(indptr.where() + ": changed since the file was opened");
  return offsets;
}

void RowOffsets::read(RowIndex first, std::span<std::uint64_t> out) const {
  for (std::size_t done = 0; done < out.size();) {
    const Group& group = groups_[(first + done) / kGroup];
    const std::uint64_t in_group = (first + done) % kGroup;
    std::uint64_t offset = group.base, bit = std::uint64_t{group.word} * 64;
    for (std::uint64_t i = 0; i < in_group; ++i, bit += group.width)
      offset += read_bits(words_.data(), bit, group.width);
    out[done++] = offset;
    for (std::uint64_t i = in_group + 1; i < kGroup && done < out.size(); ++i, bit += group.width)
      out[done++] = offset += read_bits(words_.data(), bit, group.width);
  }
}

ByteCount OffsetDecoder::chunk_bytes(const store::Array& indptr) {
  if (!indptr.is_chunked()) return 0;
  return std::min(indptr.chunk_elements(), indptr.size()) * indptr.dtype().size;
}

// Chunks are decoded one by one and whole arrays by ranges, which need different scratch.
ByteCount OffsetDecoder::step_bytes(const store::Array& indptr) {
  return indptr.is_chunked() ? indptr.step_bytes() : indptr.range_scratch_bytes();
}

// Follows read() as it goes from range to range: a chunk that two ranges share is decoded once.
ByteCount OffsetDecoder::decoded_bytes(const store::Array& indptr, std::span<const RowRange> wanted) {
  ByteCount bytes = 0;
  std::uint64_t next = 0;  // the first chunk that was not loaded
  for (const RowRange& range : wanted) {
    if (!indptr.is_chunked()) {
      bytes += indptr.decoded_bytes(range.first, range.size() + 1);
      continue;
    }
    const std::uint64_t per_chunk = indptr.chunk_elements(), end = wanted.back().last + 1;
    for (std::uint64_t c = std::max(next, range.first / per_chunk); c <= range.last / per_chunk; ++c) {
      const std::uint64_t start = c * per_chunk;
      bytes += indptr.decoded_bytes(start, std::min({per_chunk, indptr.size() - start, end - start}));
      next = c + 1;
    }
  }
  return bytes;
}

// Opening has checked the same offsets, so anything wrong with them now is a change of the file and no
// damage.
Status OffsetDecoder::widen(RowIndex first, const std::byte* raw, std::span<std::uint64_t> out) {
  std::size_t good = 0;
  const bool ascending = widen_ascending(indptr_.dtype().number, raw, 0, out, good);
  if (ascending && (out.empty() || out.back() <= bounds_.entries)) return {};
  // They ascend, so the first that is too large is found as among sorted numbers.
  if (ascending)
    good = static_cast<std::size_t>(std::upper_bound(out.begin(), out.end(), bounds_.entries) - out.begin());
  return Status::io_error(fmt::format("{}: the offset of row {} has changed since the file was opened",
                                      indptr_.where(), first + good));
}

Status OffsetDecoder::read(RowIndex first, RowIndex end, std::span<std::uint64_t> out) {
  const std::size_t item = indptr_.dtype().size;
  if (!indptr_.is_chunked()) {
    // The raw elements go to the end of `out`; widening forward never overtakes them. Four int32 lie in bytes
    // 16 to 31 of the 32: the third is read from byte 24 and written to bytes 16 to 23, the last one is read
    // from byte 28 and written to bytes 24 to 31.
    const auto all = std::as_writable_bytes(out);
    const auto raw = all.subspan(all.size() - out.size() * item);
    PENSTOCK_RETURN_IF_ERROR(indptr_.decode_range(first, out.size(), fetched_, step_, codec_, raw));
    PENSTOCK_RETURN_IF_ERROR(widen(first, raw.data(), out));
  } else {
    const std::uint64_t per_chunk = indptr_.chunk_elements();
    for (std::size_t done = 0; done < out.size();) {
      const RowIndex row = first + done;
      const std::uint64_t number = row / per_chunk, start = number * per_chunk;
      if (number != loaded_) {
        // No further than to the last offset that any range wants, which saves most of the last chunk where a
        // head can be decoded by itself.
        const std::uint64_t wanted = std::min({per_chunk, indptr_.size() - start, end - start});
        PENSTOCK_RETURN_IF_ERROR(
            indptr_.decode_chunk(number, fetched_, chunk_.first(wanted * item), step_, codec_, nullptr));
        loaded_ = number;
      }
      const auto n =
          static_cast<std::size_t>(std::min<std::uint64_t>(out.size() - done, start + per_chunk - row));
      PENSTOCK_RETURN_IF_ERROR(widen(row, chunk_.data() + (row - start) * item, out.subspan(done, n)));
      done += n;
    }
  }
  // Scratch was laid out for rows no longer than the longest. widen() has looked at the order inside of one
  // chunk only; this looks at it across chunks too.
  for (std::size_t i = 1; i < out.size(); ++i) {
    if (out[i] < out[i - 1] || out[i] - out[i - 1] > bounds_.longest_row) {
      return Status::io_error(fmt::format("{}: the length of row {} has changed since the file was opened",
                                          indptr_.where(), first + i - 1));
    }
  }
  return {};
}

}  // namespace penstock::anndata
