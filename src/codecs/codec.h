// The filter pipeline of a chunk: stored bytes -> exactly sized decoded bytes.
//
// A pipeline is the list of filters in the order the writer applied them; decoding runs it backwards and
// leaves out the filters whose bit is set in the chunk's mask. Decoding is a pure function into a buffer of
// the caller's, whose size is the decoded size: fewer or more bytes is an error with both numbers.
//
// Thread contract: a FilterPipeline is immutable. A CodecContext belongs to one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "penstock/status.h"

namespace penstock {

// The filters that are read. What files call them, HDF5 by numbers, is mapped where the files are read.
enum class FilterId : std::uint8_t { deflate, shuffle, fletcher32, lzf, lz4, zstd, blosc, bitshuffle };

struct FilterSpec {
  FilterId id = FilterId::deflate;
  // deflate: the level; shuffle: bytes of an element; others as HDF5 has them
  std::vector<std::uint32_t> params;
};

namespace internal {
struct Codec;
}

// Decoder state of one thread: a libdeflate decompressor, and on first use a zlib stream for heads of chunks
// and contexts of the other codecs.
class CodecContext {
 public:
  CodecContext();
  ~CodecContext();
  CodecContext(CodecContext&&) noexcept;
  CodecContext& operator=(CodecContext&&) noexcept;

  // Bytes a context holds besides its step buffers (an upper bound, to be reserved under `scratch`).
  static ByteCount fixed_bytes();

  // Seconds that decoding with this context took, codecs and filters alike, since the last call.
  double take_seconds();
  // Bytes that came out of decoding with this context since the last call, whole chunks where only a part of
  // them was wanted; and those of data that is stored as it is, which who copies it counts in.
  ByteCount take_bytes();
  void count(ByteCount bytes);

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// What a decode came to. The text of describe() is for the caller to put the file, object, chunk and offset
// before.
struct DecodeResult {
  enum class Kind : std::uint8_t {
    ok,
    short_output,
    long_output,
    bad_data,
    checksum,
    no_space
  } kind = Kind::ok;
  // The filter or compression that failed; nullptr: the chunk has none.
  const internal::Codec* codec = nullptr;
  std::uint64_t expected = 0;  // bytes, or the stored checksum
  // Bytes, or the computed checksum. A decompressor that ran out of room says one more than expected.
  std::uint64_t found = 0;
  bool ok() const { return kind == Kind::ok; }
  // "deflate: expected 68312 bytes, got 68309"
  std::string describe() const;
};

class FilterPipeline {
 public:
  FilterPipeline() = default;  // no filters: stored == decoded

  // item_size: bytes of one array element (for shuffle without parameters). `corrupt` for more than 32
  // filters or impossible parameters.
  static Result<FilterPipeline> create(std::vector<FilterSpec> filters, std::size_t item_size);

  bool empty() const { return filters_.empty(); }
  const std::vector<FilterSpec>& filters() const { return filters_; }
  // "shuffle+deflate(4)", "none".
  std::string describe() const;

  // Bytes of step buffer that decode() needs for chunks of `decoded` bytes: between filters, and within zstd,
  // blosc and bitshuffle, which allocate nothing beside it. 0 for any other single filter.
  ByteCount step_bytes(ByteCount decoded) const;
  // The most decoded bytes that `stored` bytes can honestly become (deflate: 1032:1), to refuse bombs early.
  ByteCount max_decoded(ByteCount stored, std::uint32_t mask) const;
  // The most stored bytes that a chunk of `decoded` bytes can honestly have (incompressible data + framing).
  ByteCount max_stored(ByteCount decoded) const;

  // Decodes one whole chunk: out.size() is the decoded size, and on an error its contents are unspecified.
  // Bytes behind the end of a zlib stream are ignored, as HDF5 ignores them. `step` is at least
  // step_bytes(out.size()).
  DecodeResult decode(std::span<const std::byte> stored, std::uint32_t mask, std::span<std::byte> out,
                      std::span<std::byte> step, CodecContext& context) const;

  // True when a prefix of a chunk can be had for less than the whole: unfiltered, or deflate alone (masked
  // filters count as absent; a trailing fletcher32 cannot be verified on a head, so it says no).
  bool can_decode_head(std::uint32_t mask) const;
  // Decodes the first out.size() bytes of a chunk. Only when can_decode_head(mask). Checksums at the end of
  // the stream are not seen.
  DecodeResult decode_head(std::span<const std::byte> stored, std::uint32_t mask, std::span<std::byte> out,
                           CodecContext& context) const;

 private:
  std::vector<FilterSpec> filters_;
};

}  // namespace penstock
