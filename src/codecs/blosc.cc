#include "codecs/blosc.h"

#include <algorithm>
#include <cstring>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "codecs/bitshuffle.h"
#include "codecs/blosclz.h"
#include "codecs/deflate.h"
#include "codecs/kernels/unshuffle.h"

namespace penstock::internal {
namespace {

constexpr unsigned kNewestVersion = 2;
constexpr std::size_t kHead = 16;
enum Flag : unsigned { kShuffled = 1, kCopied = 2, kBitShuffled = 4, kNotSplit = 16 };
enum Inner : unsigned { kBloscLz, kLz4, kSnappy, kZlib, kZstd };
// A block may be cut into one stream for each byte of an element: not for long elements or short streams.
constexpr std::size_t kMostStreams = 16, kShortestStream = 128;

class Decoder {
 public:
  Decoder(In stored, Out out, Out work, CodecContext& context)
      : stored_(stored), out_(out), work_(work), context_(context) {}

  // version | codec's version | flags | bytes of an element (u8 each) | bytes | bytes of a block | stored bytes
  // (u32 each) | where each block begins u32...
  StageResult run() {
    ByteReader r(stored_);
    const unsigned version = r.u8();
    r.skip(1);
    flags_ = r.u8();
    item_ = r.u8();
    const std::uint32_t bytes = r.u32();
    const std::uint32_t block = r.u32();
    const std::uint32_t stored = r.u32();
    if (r.failed() || version == 0 || version > kNewestVersion || item_ == 0) return {StageStatus::bad_data};
    if (stored < kHead || stored > stored_.size()) return {StageStatus::bad_data};
    if (bytes > out_.size()) return {StageStatus::full, bytes};
    stored_ = stored_.first(stored);
    left_ = stored;
    if (bytes == 0) return {};
    if ((flags_ & kCopied) != 0) {
      if (stored - kHead != bytes) return {StageStatus::bad_data};
      std::memcpy(out_.data(), stored_.data() + kHead, bytes);
      return {StageStatus::ok, bytes};
    }
    if (block == 0) return {StageStatus::bad_data};
    if (flags_ >> 5 == kZstd) {
      const Out context = work_.last(std::min<std::size_t>(work_.size(), zstd_work_bytes()));
      zstd_ = zstd_in(context);
      work_ = work_.first(work_.size() - context.size());
    }
    ByteReader starts(stored_.subspan(kHead));
    for (std::uint32_t at = 0; at < bytes;) {
      const std::uint32_t n = std::min(block, bytes - at);
      const StageStatus status = decode_block(starts.u32(), out_.subspan(at, n), n < block);
      if (starts.failed()) return {StageStatus::bad_data};
      if (status != StageStatus::ok) return {status};
      at += n;
    }
    return {StageStatus::ok, bytes};
  }

 private:
  // Streams: stored bytes u32 | bytes, as they are when they would not be fewer.
  StageStatus decode_block(std::uint32_t start, Out out, bool last_and_short) {
    const bool bits = (flags_ & kBitShuffled) != 0 && out.size() >= item_;
    const bool planes = (flags_ & kShuffled) != 0 && item_ > 1;
    if (start < kHead || start > stored_.size()) return StageStatus::bad_data;
    if ((bits || planes) && out.size() > work_.size()) return StageStatus::no_memory;
    const Out to = bits || planes ? work_.first(out.size()) : out;
    const bool split = (flags_ & kNotSplit) == 0 && item_ <= kMostStreams && !last_and_short &&
                       out.size() / item_ >= kShortestStream;
    const std::size_t streams = split ? item_ : 1, each = out.size() / streams;
    if (each * streams != out.size()) return StageStatus::bad_data;
    ByteReader r(stored_.subspan(start));
    for (std::size_t s = 0; s < streams; ++s) {
      const std::uint32_t size = r.u32();
      const In from = r.bytes(size);
      // Blocks may lie in any order, but each of them takes its own bytes.
      if (r.failed() || size > left_) return StageStatus::bad_data;
      left_ -= size;
      const StageStatus status = decode_stream(from, to.subspan(s * each, each));
      if (status != StageStatus::ok) return status;
    }
    if (bits) {
      unshuffle_bit_block(to, out);
    } else if (planes) {
      unshuffle(to.data(), to.size(), item_, out.data());
    }
    return StageStatus::ok;
  }

  // Blocks whose elements are not a multiple of 8 stay as they are.
  void unshuffle_bit_block(In in, Out out) const {
    const std::size_t elements = in.size() / item_, whole = elements % 8 == 0 ? elements * item_ : 0;
    if (whole > 0) unshuffle_bits(in.data(), elements, item_, out.data());
    if (in.size() > whole) std::memcpy(out.data() + whole, in.data() + whole, in.size() - whole);
  }

  StageStatus decode_stream(In from, Out to) {
    if (from.size() == to.size()) {
      std::memcpy(to.data(), from.data(), to.size());
      return StageStatus::ok;
    }
    StageResult result{StageStatus::bad_data};
    switch (flags_ >> 5) {
      case kBloscLz:
        result = blosclz_block(from, to);
        break;
      case kLz4:  // and lz4hc, whose blocks are the same
        result = lz4_block(from, to);
        break;
      case kSnappy:
        result = snappy_block(from, to);
        break;
      case kZlib:
        result = inflate_all(from, to, context_);
        break;
      case kZstd:
        result = zstd_block(from, to, zstd_);
        break;
      default:
        break;
    }
    if (result.status == StageStatus::ok && result.written != to.size()) return StageStatus::bad_data;
    return result.status == StageStatus::full ? StageStatus::bad_data : result.status;
  }

  In stored_;
  const Out out_;
  Out work_;
  CodecContext& context_;
  unsigned flags_ = 0;
  std::size_t item_ = 0;
  std::uint32_t left_ = 0;  // stored bytes that no stream has taken
  ZSTD_DCtx* zstd_ = nullptr;
};

}  // namespace

const char* blosc_inner(const std::vector<std::uint32_t>& params) {
  static constexpr const char* kNames[] = {"blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"};
  return params.size() > 6 && params[6] < std::size(kNames) ? kNames[params[6]] : nullptr;
}

ByteCount blosc_work_bytes(ByteCount raw) { return checked_add(raw, zstd_work_bytes()).value_or(raw); }

StageResult blosc_decode(In stored, Out out, Out work, CodecContext& context) {
  return Decoder(stored, out, work, context).run();
}

}  // namespace penstock::internal
