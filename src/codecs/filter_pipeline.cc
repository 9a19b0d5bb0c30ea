// Creation, description and bounds of a pipeline; decoding is in decode.cc.
//
// Bounds are asked for twice: how large can the stored bytes be that a chunk of this shape has in the file,
// and how large can what is stored become? The first finds damaged chunk indexes, the second refuses bombs
// before any memory is taken. Both go through the list of filters, and saturate: a file may name 32
// filters, and each multiplies.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/checked.h"
#include "codecs/bitshuffle.h"
#include "codecs/blosc.h"
#include "codecs/codec.h"
#include "codecs/codec_record.h"
#include "codecs/deflate.h"
#include "codecs/fletcher32.h"
#include "codecs/inner.h"
#include "codecs/lz4_filter.h"
#include "codecs/lzf.h"
#include "codecs/step_plan.h"

namespace penstock {
namespace {

constexpr std::size_t kMaxFilters = 32;  // bits of a chunk's mask; HDF5 allows as many

using internal::Codec;
using internal::StageResult;

// zlib's deflateBound for any strategy and memory level, rounded up.
ByteCount deflate_encoded(ByteCount raw) { return saturating_add(raw, raw / 8 + raw / 64 + 64); }
// RFC 1951, 3.2.5: the longest match, 258 bytes, takes a bit for its length and one for its distance at the
// least, so that a byte of input makes four of them, 1,032 bytes.
ByteCount deflate_decoded(ByteCount stored) { return saturating_mul(stored, 1032); }
ByteCount lzf_encoded(ByteCount raw) { return saturating_add(raw, raw / 32 + 16); }  // a byte per 32 literals
ByteCount lzf_decoded(ByteCount stored) { return saturating_mul(stored, 88); }       // 264 bytes for three
ByteCount same(ByteCount bytes) { return bytes; }
ByteCount with_checksum(ByteCount raw) { return saturating_add(raw, internal::kFletcher32Bytes); }
ByteCount without_checksum(ByteCount stored) {
  return stored - std::min<ByteCount>(stored, internal::kFletcher32Bytes);
}
// A byte of a length stands for 255; blocks of 16 bytes or more have 4 before them.
ByteCount lz4_decoded(ByteCount stored) { return saturating_mul(stored, 255); }
// A zstd block of one repeated byte is up to 128 KiB for 4.
ByteCount zstd_decoded(ByteCount stored) { return saturating_mul(stored, ByteCount{128} << 10); }
ByteCount zstd_encoded(ByteCount raw) { return saturating_add(raw, raw / 128 + 512); }
ByteCount blocks_encoded(ByteCount raw) { return saturating_add(raw, raw / 4 + 128); }
// Blocks of 8 bytes are possible, each of which zstd makes three times as long.
ByteCount bitshuffle_encoded(ByteCount raw) { return saturating_add(saturating_mul(raw, 4), 128); }
StageResult decode_lzf(std::span<const std::byte> stored, std::span<std::byte> out, CodecContext&) {
  return internal::lzf_decode(stored, out);
}

StageResult decode_lz4(std::span<const std::byte> stored, std::span<std::byte> out, CodecContext&) {
  return internal::lz4_filter_decode(stored, out);
}

// In the order of FilterId. Decode.cc undoes those without a function itself: they need parameters or work
// memory, and fletcher32 writes nothing.
constexpr Codec kFilters[] = {
    {.name = "deflate",
     .most_decoded = deflate_decoded,
     .most_encoded = deflate_encoded,
     .decode = internal::inflate_all,
     .head = internal::inflate_head},
    {.name = "shuffle", .compresses = false, .most_decoded = same, .most_encoded = same},
    {.name = "fletcher32",
     .compresses = false,
     .most_decoded = without_checksum,
     .most_encoded = with_checksum},
    {.name = "lzf", .most_decoded = lzf_decoded, .most_encoded = lzf_encoded, .decode = decode_lzf},
    {.name = "lz4", .most_decoded = lz4_decoded, .most_encoded = blocks_encoded, .decode = decode_lz4},
    {.name = "zstd", .most_decoded = zstd_decoded, .most_encoded = zstd_encoded},
    {.name = "blosc", .most_decoded = zstd_decoded, .most_encoded = blocks_encoded},
    {.name = "bitshuffle", .most_decoded = zstd_decoded, .most_encoded = bitshuffle_encoded},
};

}  // namespace

namespace internal {

const Codec& codec_of(FilterId filter) { return kFilters[static_cast<std::size_t>(filter)]; }

namespace {

// What undoing a filter takes beside input and output, where up to `raw` bytes come out.
ByteCount work_bytes(const FilterSpec& filter, ByteCount raw) {
  switch (filter.id) {
    case FilterId::zstd:
      return zstd_work_bytes();
    case FilterId::blosc:
      return blosc_work_bytes(raw);
    case FilterId::bitshuffle:
      return bitshuffle_work_bytes(filter.params, raw);
    default:
      return 0;
  }
}

}  // namespace

StepPlan plan_steps(const std::vector<FilterSpec>& filters, ByteCount decoded) {
  StepPlan plan;
  ByteCount bound = decoded;
  for (std::size_t i = 0; i < filters.size(); ++i) {
    const bool writes = filters[i].id != FilterId::fletcher32;
    if (i > 0 && writes) {
      // The filter at 0 writes to the output, so the buffers are for those behind it.
      plan.buffers = std::min<std::size_t>(plan.buffers + 1, 2);
      plan.bytes = std::max(plan.bytes, bound);
    }
    plan.work = std::max(plan.work, work_bytes(filters[i], bound));
    bound = codec_of(filters[i].id).most_encoded(bound);
  }
  return plan;
}

}  // namespace internal

Result<FilterPipeline> FilterPipeline::create(std::vector<FilterSpec> filters, std::size_t item_size) {
  if (filters.size() > kMaxFilters) {
    return Status::corrupt(
        fmt::format("a pipeline of {} filters; at most {} are possible", filters.size(), kMaxFilters));
  }
  for (FilterSpec& filter : filters) {
    // The element's size is a parameter of the filter; files that leave it out mean the array's.
    if (filter.id == FilterId::shuffle) {
      if (filter.params.empty()) {
        if (item_size > std::numeric_limits<std::uint32_t>::max()) {
          return Status::corrupt(fmt::format("shuffle: an item size of {} bytes", item_size));
        }
        filter.params.push_back(static_cast<std::uint32_t>(item_size));
      }
      if (filter.params[0] == 0) return Status::corrupt("shuffle: an item size of 0 bytes");
    }
    if (filter.id == FilterId::bitshuffle) {
      PENSTOCK_RETURN_IF_ERROR(internal::check_bitshuffle(filter.params));
    }
    // The level does not matter to a reader, but a level that cannot be says that the message
    // about filters is damaged.
    if (filter.id == FilterId::deflate && !filter.params.empty() && filter.params[0] > 9) {
      return Status::corrupt(
          fmt::format("deflate: a compression level of {}; 9 is the highest", filter.params[0]));
    }
  }
  FilterPipeline pipeline;
  pipeline.filters_ = std::move(filters);
  return pipeline;
}

std::string FilterPipeline::describe() const {
  if (filters_.empty()) return "none";
  std::string text;
  for (const FilterSpec& filter : filters_) {
    if (!text.empty()) text += '+';
    text += internal::codec_of(filter.id).name;
    if (filter.id == FilterId::deflate && !filter.params.empty()) {
      text += fmt::format("({})", filter.params[0]);
    }
    const char* inner = filter.id == FilterId::blosc        ? internal::blosc_inner(filter.params)
                        : filter.id == FilterId::bitshuffle ? internal::bitshuffle_inner(filter.params)
                                                            : nullptr;
    if (inner != nullptr) text += fmt::format("({})", inner);
  }
  return text;
}

ByteCount FilterPipeline::step_bytes(ByteCount decoded) const {
  return internal::plan_steps(filters_, decoded).total();
}

ByteCount FilterPipeline::max_decoded(ByteCount stored, std::uint32_t mask) const {
  ByteCount bound = stored;
  for (std::size_t i = filters_.size(); i-- > 0;) {
    if ((mask >> i & 1U) != 0) continue;
    bound = internal::codec_of(filters_[i].id).most_decoded(bound);
  }
  return bound;
}

ByteCount FilterPipeline::max_stored(ByteCount decoded) const {
  // A mask only takes filters away, and no filter's bound shrinks its input: all filters are the worst case.
  ByteCount bound = decoded;
  for (const FilterSpec& filter : filters_) bound = internal::codec_of(filter.id).most_encoded(bound);
  return bound;
}

bool FilterPipeline::can_decode_head(std::uint32_t mask) const {
  std::size_t active = 0;
  for (std::size_t i = 0; i < filters_.size(); ++i) {
    if ((mask >> i & 1U) != 0) continue;
    // Shuffle has none: the fourth byte of a chunk's first float lies behind three quarters of the shuffled
    // bytes.
    if (internal::codec_of(filters_[i].id).head == nullptr) return false;
    ++active;
  }
  return active <= 1;
}

}  // namespace penstock
