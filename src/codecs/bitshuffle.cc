#include "codecs/bitshuffle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "codecs/big_endian.h"

namespace penstock::internal {
namespace {

constexpr std::uint32_t kLz4 = 2, kZstd = 3;
constexpr std::size_t kMultiple = 8;  // elements that are turned together

std::uint32_t compression_of(const std::vector<std::uint32_t>& params) {
  return params.size() > 4 ? params[4] : 0;
}

// Bit c of byte r becomes bit r of byte c.
std::uint64_t transpose8(std::uint64_t x) {
  std::uint64_t t = (x ^ (x >> 7)) & 0x00aa00aa00aa00aaU;
  x ^= t ^ (t << 7);
  t = (x ^ (x >> 14)) & 0x0000cccc0000ccccU;
  x ^= t ^ (t << 14);
  t = (x ^ (x >> 28)) & 0x00000000f0f0f0f0U;
  return x ^ t ^ (t << 28);
}

// What the writer takes for a block when none is given.
std::uint64_t default_block(std::uint64_t item) {
  return std::max<std::uint64_t>(8192 / item / kMultiple * kMultiple, 128);
}

}  // namespace

void unshuffle_bits(const std::byte* in, std::size_t elements, std::size_t item_size, std::byte* out) {
  const std::size_t plane = elements / kMultiple;
  for (std::size_t byte = 0; byte < item_size; ++byte) {
    const std::byte* planes = in + byte * 8 * plane;
    for (std::size_t group = 0; group < plane; ++group) {
      std::uint64_t bits = 0;
      for (unsigned k = 0; k < 8; ++k)
        bits |= std::to_integer<std::uint64_t>(planes[k * plane + group]) << (8 * k);
      bits = transpose8(bits);
      std::byte* to = out + group * kMultiple * item_size + byte;
      for (unsigned i = 0; i < kMultiple; ++i) to[i * item_size] = static_cast<std::byte>(bits >> (8 * i));
    }
  }
}

Status check_bitshuffle(const std::vector<std::uint32_t>& params) {
  if (params.size() < 3 || params[2] == 0) {
    return Status::corrupt("bitshuffle: the filter does not say how large elements are");
  }
  if (params.size() > 3 && params[3] % kMultiple != 0) {
    return Status::corrupt(fmt::format("bitshuffle: blocks of {} elements, not a multiple of 8", params[3]));
  }
  const std::uint32_t compression = compression_of(params);
  if (compression == 0 || compression == kLz4 || compression == kZstd) return {};
  return Status::unsupported(fmt::format(
      "bitshuffle with compression {} is not supported; rewrite the dataset with gzip or lzf compression",
      compression));
}

const char* bitshuffle_inner(const std::vector<std::uint32_t>& params) {
  const std::uint32_t compression = compression_of(params);
  return compression == kLz4 ? "lz4" : compression == kZstd ? "zstd" : nullptr;
}

ByteCount bitshuffle_work_bytes(const std::vector<std::uint32_t>& params, ByteCount raw) {
  const std::uint32_t compression = compression_of(params);
  if (compression == 0) return 0;
  // A block's size stands in front of the chunk: at most all of it.
  return checked_add(raw, compression == kZstd ? zstd_work_bytes() : 0).value_or(raw);
}

// With compression: bytes u64 | bytes of a block u32 (big-endian), then blocks: stored bytes u32 | block. The
// last block is as long as 8 elements divide, and what is left of it follows as it is.
StageResult bitshuffle_decode(In stored, Out out, const std::vector<std::uint32_t>& params, Out work) {
  const std::uint64_t item = params[2];
  const std::uint32_t compression = compression_of(params);
  ByteReader r(stored);
  std::uint64_t bytes = stored.size(), block = params.size() > 3 ? params[3] : 0;
  if (compression != 0) {
    bytes = big_u64(r);
    const std::uint32_t block_bytes = big_u32(r);
    if (r.failed() || block_bytes % (item * kMultiple) != 0) return {StageStatus::bad_data};
    block = block_bytes / item;
  }
  if (block == 0) block = default_block(item);
  if (bytes > out.size()) return {StageStatus::full, bytes};
  if (bytes % item != 0) return {StageStatus::bad_data};
  ZSTD_DCtx* zstd = nullptr;
  if (compression == kZstd) {
    const Out context = work.last(std::min<std::size_t>(work.size(), zstd_work_bytes()));
    zstd = zstd_in(context);
    work = work.first(work.size() - context.size());
  }
  const std::uint64_t elements = bytes / item;
  for (std::uint64_t at = 0; elements - at >= kMultiple;) {
    const std::uint64_t n = std::min(block, (elements - at) / kMultiple * kMultiple);
    const ByteCount size = n * item;
    In from;
    if (compression == 0) {
      from = r.bytes(size);
      if (r.failed()) return {StageStatus::bad_data};
    } else {
      const std::uint32_t packed = big_u32(r);
      const In block_bytes = r.bytes(packed);
      if (r.failed()) return {StageStatus::bad_data};
      if (size > work.size()) return {StageStatus::no_memory};
      const Out to = work.first(size);
      const StageResult result =
          compression == kLz4 ? lz4_block(block_bytes, to) : zstd_block(block_bytes, to, zstd);
      if (result.status == StageStatus::no_memory) return result;
      if (result.status != StageStatus::ok || result.written != size) return {StageStatus::bad_data};
      from = to;
    }
    unshuffle_bits(from.data(), n, item, out.data() + at * item);
    at += n;
  }
  const std::size_t left = elements % kMultiple * item;
  const In rest = r.bytes(left);
  if (r.failed()) return {StageStatus::bad_data};
  if (left > 0) std::memcpy(out.data() + (bytes - left), rest.data(), left);
  return {StageStatus::ok, bytes};
}

}  // namespace penstock::internal
