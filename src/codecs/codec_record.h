// One codec: what it is called, how far it can shrink or stretch bytes, and how it decodes. The filters of
// chunks (filter_pipeline.cc) and the compressions of pages (compression.cc) are a table of these each; the
// numbers that file formats have for them are mapped in hdf5/ and parquet/. Internal to src/codecs.
//
// Thread contract: constants, pure functions; a context belongs to the calling thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "codecs/codec.h"

namespace penstock::internal {

// full: there was more output than room. bad_data: damaged. no_memory: for the decoder's state.
enum class StageStatus : std::uint8_t { ok, full, bad_data, no_memory };

// What one decoder came to.
struct StageResult {
  StageStatus status = StageStatus::ok;
  std::size_t written = 0;  // of `full`: all bytes that there are, where that is known; else 0
};

struct Codec {
  const char* name = "?";
  // A compressor stops when the room is used up: how much more would have come is not known.
  bool compresses = true;
  // Bytes that a context holds for it, beside its fixed_bytes().
  ByteCount context_bytes = 0;
  // The most bytes that `stored` bytes can honestly become, to refuse bombs early; saturates.
  ByteCount (*most_decoded)(ByteCount stored) = nullptr;
  // The most bytes that an encoder makes of `raw` bytes; saturates. Of filters only.
  ByteCount (*most_encoded)(ByteCount raw) = nullptr;
  // All of it into `out`, whose size is the expected one: writing fewer bytes is ok here, and the caller's to
  // judge. nullptr: not read, or (shuffle, fletcher32) not to be told from the bytes alone.
  StageResult (*decode)(std::span<const std::byte> stored, std::span<std::byte> out,
                        CodecContext& context) = nullptr;
  // The first out.size() bytes, or as many as `stored`, which may be cut short, gives. nullptr: heads cannot
  // be had.
  StageResult (*head)(std::span<const std::byte> stored, std::span<std::byte> out,
                      CodecContext& context) = nullptr;
};

const Codec& codec_of(FilterId filter);

}  // namespace penstock::internal
