#include "anndata/indptr.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "base/checked.h"
#include "memory/reserve_for.h"
#include "source/numbers.h"

namespace penstock::anndata {

namespace {

// Bytes of a deflate stream become at most 1032 times as many, so a far longer indptr than that is a lie that
// would only cost time.
Status check_plausible(const store::Array& indptr) {
  if (indptr.file() == nullptr) return {};
  const auto decoded = checked_mul(indptr.size(), indptr.dtype().size);
  const auto limit = checked_mul(indptr.file()->size(), 1032);
  if (decoded && (!limit || *decoded <= *limit)) return {};
  return Status::corrupt(fmt::format("{}: {} row offsets cannot come out of a file of {} bytes",
                                     indptr.where(), indptr.size(), indptr.file()->size()));
}

// Widens n stored offsets that follow `previous`; false at the first that is negative or too small, `bad` of
// them being good.
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
                   const std::function<void(RowIndex, std::span<const std::uint64_t>)>& visit) {
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
      if (first == 0 && good > 0 && part[0] != 0) {
        return Status::corrupt(
            fmt::format("{}: the offset of row 0 is {}, expected 0", indptr.where(), part[0]));
      }
      if (!ascending) {
        return Status::corrupt(fmt::format("{}: the offset of row {} is smaller than the one before it ({})",
                                           indptr.where(), first + good,
                                           good > 0 ? part[good - 1] : previous));
      }
      previous = part.back();
      // Told before the whole is checked, so no visitor may trust an offset beyond the arrays.
      if (previous > entries) {
        const auto over = std::upper_bound(part.begin(), part.end(), entries) - part.begin();
        return Status::corrupt(fmt::format(
            "{}: the offset of row {} is {}, but data and indices have {} elements", indptr.where(),
            first + static_cast<std::uint64_t>(over), part[static_cast<std::size_t>(over)], entries));
      }
      visit(first, part);
    }
    if (previous != entries) {
      return Status::corrupt(
          fmt::format("{}: the offset after the last row ({}) is {}, but data and indices have "
                      "{} elements",
                      indptr.where(), n - 1, previous, entries));
    }
  } catch (const std::bad_alloc&) {
    return Status::budget(indptr.where() + ": the system has no memory for a chunk of row offsets");
  }
  return {};
}

ByteCount RowOffsets::bytes(RowIndex n_rows, const OffsetBounds& bounds) {
  const std::uint64_t n = n_rows + 1;
  const bool narrow = bounds.longest_row < (std::uint64_t{1} << 32) / kGroup;
  return narrow ? n * sizeof(std::uint32_t) + ceil_div(n, kGroup) * sizeof(std::uint64_t)
                : n * sizeof(std::uint64_t);
}

Result<RowOffsets> RowOffsets::create(const store::Array& indptr, const OffsetBounds& bounds,
                                      MemoryBudget& budget) {
  const std::uint64_t n = indptr.size();
  RowOffsets offsets;
  PENSTOCK_ASSIGN_OR_RETURN(offsets.reservation_,
                            reserve_for(indptr.where(), budget, MemoryTag::index, bytes(n - 1, bounds)));
  const bool narrow = bounds.longest_row < (std::uint64_t{1} << 32) / kGroup;
  try {
    offsets.bases_.resize(narrow ? ceil_div(n, kGroup) : n);
    if (narrow) offsets.deltas_.resize(n);
  } catch (const std::bad_alloc&) {
    return Status::budget(indptr.where() + ": the system has no memory for row offsets");
  }
  // A file that changed since it was opened could hold longer rows than `bounds`; deltas must not wrap then.
  bool changed = false;
  PENSTOCK_RETURN_IF_ERROR(
      scan_indptr(indptr, bounds.entries, budget, [&](RowIndex first, std::span<const std::uint64_t> part) {
        for (std::size_t i = 0; i < part.size(); ++i) {
          const RowIndex row = first + i;
          if (!narrow) {
            offsets.bases_[row] = part[i];
            continue;
          }
          if (row % kGroup == 0) offsets.bases_[row / kGroup] = part[i];
          const std::uint64_t delta = part[i] - offsets.bases_[row / kGroup];
          changed |= delta > 0xffffffffu;
          offsets.deltas_[row] = static_cast<std::uint32_t>(delta);
        }
      }));
  if (changed) return Status::io_error(indptr.where() + ": changed since the file was opened");
  return offsets;
}

void RowOffsets::read(RowIndex first, std::span<std::uint64_t> out) const {
  if (deltas_.empty()) {
    std::copy_n(bases_.begin() + static_cast<std::ptrdiff_t>(first), out.size(), out.begin());
    return;
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = bases_[(first + i) / kGroup] + deltas_[first + i];
  }
}

ByteCount OffsetDecoder::chunk_bytes(const store::Array& indptr) {
  if (!indptr.is_chunked()) return 0;
  return std::min(indptr.chunk_elements(), indptr.size()) * indptr.dtype().size;
}

ByteCount OffsetDecoder::step_bytes(const store::Array& indptr) {
  return indptr.is_chunked() ? indptr.step_bytes() : indptr.range_scratch_bytes();
}

Status OffsetDecoder::widen(RowIndex first, const std::byte* raw, std::span<std::uint64_t> out) {
  std::size_t good = 0;
  const bool ascending = widen_ascending(indptr_.dtype().number, raw, 0, out, good);
  if (ascending && (out.empty() || out.back() <= bounds_.entries)) return {};
  return Status::io_error(fmt::format("{}: the offset of row {} has changed since the file was opened",
                                      indptr_.where(), first + good));
}

Status OffsetDecoder::read(RowIndex first, RowIndex end, std::span<std::uint64_t> out) {
  const std::size_t item = indptr_.dtype().size;
  if (!indptr_.is_chunked()) {
    // The raw elements go to the end of `out`; widening forward never overtakes them.
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
  for (std::size_t i = 1; i < out.size(); ++i) {
    if (out[i] < out[i - 1] || out[i] - out[i - 1] > bounds_.longest_row) {
      return Status::io_error(fmt::format("{}: the length of row {} has changed since the file was opened",
                                          indptr_.where(), first + i - 1));
    }
  }
  return {};
}

}  // namespace penstock::anndata
