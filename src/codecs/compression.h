// The compressors of Parquet pages (format: Compression.md of apache/parquet-format): stored bytes -> exactly
// sized bytes.
//
// Decoding is a pure function into a buffer of the caller's whose size is the decoded size: fewer or more
// bytes is an error with both numbers. Thread contract: pure functions; a CodecContext belongs to one thread
// at a time. Memory: a context takes compression_bytes() beside its fixed_bytes(), on its first use of a
// codec (brotli: for each page).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/types.h"
#include "codecs/codec.h"

namespace penstock {

// What parquet.thrift numbers is mapped in parquet/metadata.h.
enum class Compression : std::uint8_t {
  none,
  snappy,
  gzip,  // members may follow one another
  lzo,   // not read
  brotli,
  lz4_hadoop,  // {raw u32 BE | size u32 BE | block}..., else a bare block, else an lz4 frame
  zstd,
  lz4_raw,
  unknown,
};

// "snappy", ...; "?" for an unknown one.
const char* compression_name(Compression compression);
// True for what decompress() takes: all but lzo and unknown ones.
bool is_readable(Compression compression);

// Bytes that decompress() may make a context hold, an upper bound to be reserved beside
// CodecContext::fixed_bytes().
ByteCount compression_bytes(Compression compression);

// The most bytes that `stored` bytes can honestly become, to refuse bombs before anything is reserved.
ByteCount max_decompressed(Compression compression, ByteCount stored);

// Decodes a whole page. On an error the contents of `out` are unspecified. DecodeResult::describe() names the
// codec ("snappy: expected 68312 bytes, got 68309").
DecodeResult decompress(Compression compression, std::span<const std::byte> stored, std::span<std::byte> out,
                        CodecContext& context);

// Decodes as much of the beginning of a page as `stored`, which may be cut short, gives and `out` holds: the
// number of bytes written (all codecs are sequential, so they are the page's first bytes). 0 also for damaged
// input, where decompress() says what is wrong, and for lz4_hadoop, whose framing a head does not tell.
// Metadata path: snappy, zstd and brotli allocate here.
std::size_t decompress_head(Compression compression, std::span<const std::byte> stored,
                            std::span<std::byte> out, CodecContext& context);

}  // namespace penstock
