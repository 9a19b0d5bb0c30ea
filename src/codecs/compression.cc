#include "codecs/compression.h"

#include <brotli/decode.h>
#include <libdeflate.h>
#include <lz4.h>
#include <lz4frame.h>
#include <snappy-sinksource.h>
#include <snappy.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "codecs/codec_state.h"

namespace penstock {
namespace {

using Bytes = std::span<const std::byte>;
using Kind = DecodeResult::Kind;

const char* chars(Bytes bytes) { return reinterpret_cast<const char*>(bytes.data()); }
char* chars(std::span<std::byte> bytes) { return reinterpret_cast<char*>(bytes.data()); }

std::uint16_t id_of(Compression compression) {
  return static_cast<std::uint16_t>(kFirstCompressionId + static_cast<int>(compression));
}

DecodeResult fail(Compression compression, Kind kind, std::uint64_t expected = 0, std::uint64_t found = 0) {
  return {kind, id_of(compression), expected, found};
}

DecodeResult exactly(Compression compression, std::size_t expected, std::size_t found) {
  if (found == expected) return {};
  return fail(compression, found < expected ? Kind::short_output : Kind::long_output, expected, found);
}

DecodeResult decode_none(Bytes stored, std::span<std::byte> out) {
  if (stored.size() == out.size() && !out.empty()) std::memcpy(out.data(), stored.data(), out.size());
  return exactly(Compression::none, out.size(), stored.size());
}

DecodeResult decode_snappy(Bytes stored, std::span<std::byte> out) {
  std::size_t size = 0;
  if (!snappy::GetUncompressedLength(chars(stored), stored.size(), &size)) {
    return fail(Compression::snappy, Kind::bad_data);
  }
  const DecodeResult result = exactly(Compression::snappy, out.size(), size);
  if (!result.ok()) return result;
  if (!snappy::RawUncompress(chars(stored), stored.size(), chars(out))) {
    return fail(Compression::snappy, Kind::bad_data);
  }
  return {};
}

// Members follow one another (RFC 1952, 2.2); some of them may be empty.
DecodeResult decode_gzip(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  libdeflate_decompressor* decompressor = context.state().decompressor;
  if (decompressor == nullptr) return fail(Compression::gzip, Kind::no_space);
  std::size_t at = 0, written = 0;
  while (at < stored.size()) {
    std::size_t consumed = 0, produced = 0;
    switch (libdeflate_gzip_decompress_ex(decompressor, stored.data() + at, stored.size() - at,
                                          out.data() + written, out.size() - written, &consumed, &produced)) {
      case LIBDEFLATE_SUCCESS:
        break;
      case LIBDEFLATE_INSUFFICIENT_SPACE:
        return fail(Compression::gzip, Kind::long_output, out.size(), out.size() + 1);
      default:
        return fail(Compression::gzip, Kind::bad_data);
    }
    at += consumed;
    written += produced;
  }
  return exactly(Compression::gzip, out.size(), written);
}

DecodeResult decode_zstd(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  ZSTD_DCtx* zstd = context.state().zstd();
  if (zstd == nullptr) return fail(Compression::zstd, Kind::no_space);
  const std::size_t written = ZSTD_decompressDCtx(zstd, out.data(), out.size(), stored.data(), stored.size());
  if (!ZSTD_isError(written)) return exactly(Compression::zstd, out.size(), written);
  return ZSTD_getErrorCode(written) == ZSTD_error_dstSize_tooSmall
             ? fail(Compression::zstd, Kind::long_output, out.size(), out.size() + 1)
             : fail(Compression::zstd, Kind::bad_data);
}

// A stream into `out`; how many bytes came, and whether it ended.
std::size_t run_brotli(Bytes stored, std::span<std::byte> out, CodecContext& context,
                       BrotliDecoderResult* result) {
  BrotliDecoderState* brotli = context.state().new_brotli();
  *result = BROTLI_DECODER_RESULT_ERROR;
  if (brotli == nullptr) return 0;
  std::size_t in_left = stored.size(), out_left = out.size();
  const auto* in = reinterpret_cast<const std::uint8_t*>(stored.data());
  auto* to = reinterpret_cast<std::uint8_t*>(out.data());
  *result = BrotliDecoderDecompressStream(brotli, &in_left, &in, &out_left, &to, nullptr);
  BrotliDecoderDestroyInstance(brotli);
  return out.size() - out_left;
}

DecodeResult decode_brotli(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  BrotliDecoderResult result;
  const std::size_t written = run_brotli(stored, out, context, &result);
  switch (result) {
    case BROTLI_DECODER_RESULT_SUCCESS:
      return exactly(Compression::brotli, out.size(), written);
    case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
      return fail(Compression::brotli, Kind::long_output, out.size(), out.size() + 1);
    default:
      return fail(Compression::brotli, Kind::bad_data);
  }
}

// One lz4 block; negative when it is damaged or does not fit.
std::int64_t lz4_block(Bytes stored, std::span<std::byte> out) {
  if (stored.size() > LZ4_MAX_INPUT_SIZE || out.size() > LZ4_MAX_INPUT_SIZE) return -1;
  return LZ4_decompress_safe(chars(stored), chars(out), static_cast<int>(stored.size()),
                             static_cast<int>(out.size()));
}

DecodeResult decode_lz4_raw(Compression compression, Bytes stored, std::span<std::byte> out) {
  const std::int64_t written = lz4_block(stored, out);
  if (written < 0) return fail(compression, Kind::bad_data);
  return exactly(compression, out.size(), static_cast<std::size_t>(written));
}

std::uint32_t big_endian(Bytes bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<std::uint32_t>(bytes[at + i]);
  return value;
}

// Hadoop's framing: {bytes uncompressed, bytes compressed, block}...; false when it is not that.
bool decode_hadoop(Bytes stored, std::span<std::byte> out) {
  std::size_t at = 0, written = 0;
  while (stored.size() - at >= 8) {
    const std::uint32_t raw = big_endian(stored, at), size = big_endian(stored, at + 4);
    at += 8;
    if (size > stored.size() - at || raw > out.size() - written) return false;
    if (lz4_block(stored.subspan(at, size), out.subspan(written, raw)) != std::int64_t{raw}) return false;
    at += size;
    written += raw;
  }
  return at == stored.size() && written == out.size();
}

// An lz4 frame, as some writers put under the older codec number.
bool decode_lz4_frame(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  LZ4F_dctx* frame = context.state().lz4_frame();
  if (frame == nullptr) return false;
  LZ4F_resetDecompressionContext(frame);
  std::size_t at = 0, written = 0;
  while (at < stored.size()) {
    std::size_t in = stored.size() - at, to = out.size() - written;
    const std::size_t left =
        LZ4F_decompress(frame, out.data() + written, &to, stored.data() + at, &in, nullptr);
    if (LZ4F_isError(left) || (in == 0 && to == 0)) return false;
    at += in;
    written += to;
    if (left == 0) break;
  }
  return written == out.size();
}

DecodeResult decode_lz4_hadoop(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  if (decode_hadoop(stored, out)) return {};
  if (lz4_block(stored, out) == static_cast<std::int64_t>(out.size())) return {};
  if (decode_lz4_frame(stored, out, context)) return {};
  return fail(Compression::lz4_hadoop, Kind::bad_data);
}

// Writes what comes until the buffer is full; says how much came.
class HeadSink : public snappy::Sink {
 public:
  explicit HeadSink(std::span<std::byte> out) : out_(out) {}
  void Append(const char* bytes, std::size_t n) override {
    const std::size_t part = std::min(n, out_.size() - written_);
    if (part > 0) std::memcpy(out_.data() + written_, bytes, part);
    written_ += part;
  }
  std::size_t written() const { return written_; }

 private:
  std::span<std::byte> out_;
  std::size_t written_ = 0;
};

// How much of a page's stored bytes a head of `out` bytes needs at most: literals are the costliest, with
// five bytes before at least one. The library cannot stop early, so it is not given more.
std::size_t snappy_prefix(std::size_t stored, std::size_t out) { return std::min(stored, 2 * out + 128); }

std::size_t head_snappy(Bytes stored, std::span<std::byte> out) {
  snappy::ByteArraySource source(chars(stored), snappy_prefix(stored.size(), out.size()));
  HeadSink sink(out);
  snappy::UncompressAsMuchAsPossible(&source, &sink);
  return sink.written();
}

std::size_t head_gzip(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  z_stream* stream = context.state().rewound_gzip_stream();
  if (stream == nullptr) return 0;
  std::size_t written = 0;
  while (written < out.size() && !stored.empty()) {
    const auto in = static_cast<uInt>(std::min<std::size_t>(stored.size(), std::numeric_limits<uInt>::max()));
    const auto room =
        static_cast<uInt>(std::min<std::size_t>(out.size() - written, std::numeric_limits<uInt>::max()));
    stream->next_in =
        const_cast<Bytef*>(reinterpret_cast<const Bytef*>(stored.data()));  // zlib does not write to it
    stream->avail_in = in;
    stream->next_out = reinterpret_cast<Bytef*>(out.data() + written);
    stream->avail_out = room;
    const int code = inflate(stream, Z_NO_FLUSH);
    stored = stored.subspan(in - stream->avail_in);
    written += room - stream->avail_out;
    if (code == Z_STREAM_END) {
      if (inflateReset(stream) != Z_OK) break;
    } else if (code != Z_OK) {
      break;
    }
  }
  return written;
}

std::size_t head_zstd(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  ZSTD_DCtx* zstd = context.state().zstd();
  if (zstd == nullptr) return 0;
  ZSTD_DCtx_reset(zstd, ZSTD_reset_session_only);
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  ZSTD_inBuffer in{stored.data(), stored.size(), 0};
  while (to.pos < to.size) {
    const std::size_t before_in = in.pos, before_out = to.pos;
    const std::size_t code = ZSTD_decompressStream(zstd, &to, &in);
    if (ZSTD_isError(code) || code == 0 || (in.pos == before_in && to.pos == before_out)) break;
  }
  return to.pos;
}

std::size_t head_lz4(Bytes stored, std::span<std::byte> out) {
  if (stored.size() > LZ4_MAX_INPUT_SIZE || out.size() > LZ4_MAX_INPUT_SIZE) return 0;
  const int written = LZ4_decompress_safe_partial(chars(stored), chars(out), static_cast<int>(stored.size()),
                                                  static_cast<int>(out.size()), static_cast<int>(out.size()));
  return written < 0 ? 0 : static_cast<std::size_t>(written);
}

}  // namespace

const char* compression_name(Compression compression) {
  switch (compression) {
    case Compression::none:
      return "uncompressed";
    case Compression::snappy:
      return "snappy";
    case Compression::gzip:
      return "gzip";
    case Compression::lzo:
      return "lzo";
    case Compression::brotli:
      return "brotli";
    case Compression::lz4_hadoop:
      return "lz4 (hadoop)";
    case Compression::zstd:
      return "zstd";
    case Compression::lz4_raw:
      return "lz4";
  }
  return "?";
}

bool is_readable(Compression compression) {
  return compression != Compression::lzo && compression <= Compression::lz4_raw;
}

ByteCount compression_bytes(Compression compression) {
  switch (compression) {
    case Compression::zstd:
      return 128 << 10;  // a context for whole buffers is ~94 KiB
    case Compression::brotli:
      return (16 << 20) + (1 << 20);  // the largest window (RFC 7932), tables
    case Compression::lz4_hadoop:
      return (8 << 20) + (1 << 20);  // two of a frame's largest blocks
    default:
      return 0;
  }
}

ByteCount max_decompressed(Compression compression, ByteCount stored) {
  switch (compression) {
    case Compression::none:
      return stored;
    case Compression::snappy:
      return stored * 22;  // a copy of up to 64 bytes takes 3
    case Compression::gzip:
      return stored * 1032;  // a match of 258 bytes takes 2 bits
    case Compression::lz4_hadoop:
    case Compression::lz4_raw:
      return stored * 255;  // a byte of a length stands for 255
    case Compression::zstd:
      return stored * (ByteCount{128} << 10);  // a block of one repeated byte: up to 128 KiB for 4
    case Compression::brotli:
      return stored * (ByteCount{16} << 20);  // a meta-block of up to 16 MiB for a few bits
    case Compression::lzo:
      break;
  }
  return 0;
}

DecodeResult decompress(Compression compression, Bytes stored, std::span<std::byte> out,
                        CodecContext& context) {
  const CodecTimer timer(context);
  switch (compression) {
    case Compression::none:
      return decode_none(stored, out);
    case Compression::snappy:
      return decode_snappy(stored, out);
    case Compression::gzip:
      return decode_gzip(stored, out, context);
    case Compression::brotli:
      return decode_brotli(stored, out, context);
    case Compression::lz4_hadoop:
      return decode_lz4_hadoop(stored, out, context);
    case Compression::zstd:
      return decode_zstd(stored, out, context);
    case Compression::lz4_raw:
      return decode_lz4_raw(compression, stored, out);
    case Compression::lzo:
      break;
  }
  return fail(compression, Kind::bad_data);
}

std::size_t decompress_head(Compression compression, Bytes stored, std::span<std::byte> out,
                            CodecContext& context) {
  if (out.empty() || stored.empty()) return 0;
  const CodecTimer timer(context);
  switch (compression) {
    case Compression::none: {
      const std::size_t n = std::min(stored.size(), out.size());
      std::memcpy(out.data(), stored.data(), n);
      return n;
    }
    case Compression::snappy:
      return head_snappy(stored, out);
    case Compression::gzip:
      return head_gzip(stored, out, context);
    case Compression::brotli: {
      BrotliDecoderResult result;
      return run_brotli(stored, out, context, &result);
    }
    case Compression::zstd:
      return head_zstd(stored, out, context);
    case Compression::lz4_raw:
      return head_lz4(stored, out);
    case Compression::lz4_hadoop:
    case Compression::lzo:
      break;
  }
  return 0;
}

}  // namespace penstock
