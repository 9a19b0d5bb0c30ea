// One row of a table for each codec of Parquet, and functions that make the libraries' results comparable:
// how many bytes came, whether there were more than room for, or whether the data is damaged. Pages say how
// long they are when they are decoded, so room is exact, and any other length is an error.
//
// What a hostile page may try, and where it ends: a bomb, at most_decoded, before memory is reserved; a
// length that lies, at `full` or at short_output; members or frames without contents, at the end of the
// input, since each loop moves on.

#include "codecs/compression.h"

#include <brotli/decode.h>
#include <libdeflate.h>
#include <lz4.h>
#include <lz4frame.h>
#include <snappy-sinksource.h>
#include <snappy.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>

#include "base/checked.h"
#include "codecs/codec_record.h"
#include "codecs/codec_state.h"
#include "codecs/inner.h"

namespace penstock {
namespace {

using Bytes = std::span<const std::byte>;
using Kind = DecodeResult::Kind;

const char* chars(Bytes bytes) { return reinterpret_cast<const char*>(bytes.data()); }
char* chars(std::span<std::byte> bytes) { return reinterpret_cast<char*>(bytes.data()); }

using internal::Codec;
using internal::StageResult;
using internal::StageStatus;

// The true size is known, so the message can say it.
StageResult of_all(std::size_t size, std::span<std::byte> out) {
  return {size > out.size() ? StageStatus::full : StageStatus::ok, size};
}

StageResult decode_none(Bytes stored, std::span<std::byte> out, CodecContext&) {
  if (stored.size() == out.size() && !out.empty()) std::memcpy(out.data(), stored.data(), out.size());
  return of_all(stored.size(), out);
}

StageResult head_none(Bytes stored, std::span<std::byte> out, CodecContext&) {
  const std::size_t n = std::min(stored.size(), out.size());
  std::memcpy(out.data(), stored.data(), n);
  return {StageStatus::ok, n};
}

StageResult decode_snappy(Bytes stored, std::span<std::byte> out, CodecContext&) {
  return internal::snappy_block(stored, out);
}

// Members follow one another (RFC 1952, 2.2); some of them may be empty. The page ends with the last one:
// bytes behind it that are no member are damage.
StageResult decode_gzip(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  libdeflate_decompressor* decompressor = context.state().decompressor;
  if (decompressor == nullptr) return {StageStatus::no_memory};
  std::size_t at = 0, written = 0;
  while (at < stored.size()) {
    std::size_t consumed = 0, produced = 0;
    switch (libdeflate_gzip_decompress_ex(decompressor, stored.data() + at, stored.size() - at,
                                          out.data() + written, out.size() - written, &consumed, &produced)) {
      case LIBDEFLATE_SUCCESS:
        break;
      case LIBDEFLATE_INSUFFICIENT_SPACE:
        return {StageStatus::full};
      default:
        return {StageStatus::bad_data};
    }
    at += consumed;
    written += produced;
  }
  return {StageStatus::ok, written};
}

StageResult decode_zstd(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  return internal::zstd_block(stored, out, context.state().zstd());
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

StageResult decode_brotli(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  BrotliDecoderResult result;
  const std::size_t written = run_brotli(stored, out, context, &result);
  switch (result) {
    case BROTLI_DECODER_RESULT_SUCCESS:
      return {StageStatus::ok, written};
    case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
      return {StageStatus::full};
    default:
      return {StageStatus::bad_data};
  }
}

// One lz4 block; negative when it is damaged or does not fit.
std::int64_t lz4_block(Bytes stored, std::span<std::byte> out) {
  const StageResult result = internal::lz4_block(stored, out);
  return result.status == StageStatus::ok ? static_cast<std::int64_t>(result.written) : -1;
}

StageResult decode_lz4_raw(Bytes stored, std::span<std::byte> out, CodecContext&) {
  return internal::lz4_block(stored, out);
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

// Compression.md calls this codec deprecated and its framing undocumented. parquet-mr writes Hadoop's frames,
// and other writers have put bare blocks and lz4's own frames under the same number, so that a reader can
// only try. Hadoop's come first, as they are the usual ones and told by sizes that must add up. Each attempt
// has to give exactly the page's bytes, which data of another framing hardly does.
StageResult decode_lz4_hadoop(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  const StageResult whole{StageStatus::ok, out.size()};
  if (decode_hadoop(stored, out)) return whole;
  if (lz4_block(stored, out) == static_cast<std::int64_t>(out.size())) return whole;
  if (decode_lz4_frame(stored, out, context)) return whole;
  return {StageStatus::bad_data};
}

// Writes what comes until the buffer is full; says how much came. The library writes through a sink, and
// takes no size at which to stop; what is too much is dropped.
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

// How much of a page's stored bytes a head of `out` bytes needs: a literal of one byte, behind a tag of one,
// is the costliest that encoders write. One that spends more gets a shorter head. The library cannot stop
// early, so it is not given more.
std::size_t snappy_prefix(std::size_t stored, std::size_t out) { return std::min(stored, 2 * out + 128); }

StageResult head_snappy(Bytes stored, std::span<std::byte> out, CodecContext&) {
  snappy::ByteArraySource source(chars(stored), snappy_prefix(stored.size(), out.size()));
  HeadSink sink(out);
  snappy::UncompressAsMuchAsPossible(&source, &sink);
  return {StageStatus::ok, sink.written()};
}

StageResult head_gzip(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  z_stream* stream = context.state().rewound_gzip_stream();
  if (stream == nullptr) return {StageStatus::no_memory};
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
    // The next member goes on in the same buffer.
    if (code == Z_STREAM_END) {
      if (inflateReset(stream) != Z_OK) break;
    } else if (code != Z_OK) {
      break;
    }
  }
  return {StageStatus::ok, written};
}

StageResult head_zstd(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  ZSTD_DCtx* zstd = context.state().zstd();
  if (zstd == nullptr) return {StageStatus::no_memory};
  // A head leaves the context in the middle of a frame.
  ZSTD_DCtx_reset(zstd, ZSTD_reset_session_only);
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  ZSTD_inBuffer in{stored.data(), stored.size(), 0};
  // Until the buffer is full, a frame ends, or nothing moves any more, which is the end of a head that was
  // cut short.
  while (to.pos < to.size) {
    const std::size_t before_in = in.pos, before_out = to.pos;
    const std::size_t code = ZSTD_decompressStream(zstd, &to, &in);
    if (ZSTD_isError(code) || code == 0 || (in.pos == before_in && to.pos == before_out)) break;
  }
  return {StageStatus::ok, to.pos};
}

StageResult head_brotli(Bytes stored, std::span<std::byte> out, CodecContext& context) {
  BrotliDecoderResult result;
  return {StageStatus::ok, run_brotli(stored, out, context, &result)};
}

StageResult head_lz4(Bytes stored, std::span<std::byte> out, CodecContext&) {
  if (stored.size() > LZ4_MAX_INPUT_SIZE || out.size() > LZ4_MAX_INPUT_SIZE) return {StageStatus::bad_data};
  const int written = LZ4_decompress_safe_partial(chars(stored), chars(out), static_cast<int>(stored.size()),
                                                  static_cast<int>(out.size()), static_cast<int>(out.size()));
  if (written < 0) return {StageStatus::bad_data};
  return {StageStatus::ok, static_cast<std::size_t>(written)};
}

template <ByteCount kTimes>
ByteCount at_most(ByteCount stored) {
  return saturating_mul(stored, kTimes);
}

// In the order of Compression.
constexpr Codec kCompressions[] = {
    {.name = "uncompressed", .most_decoded = at_most<1>, .decode = decode_none, .head = head_none},
    // A copy of up to 64 bytes takes 3.
    {.name = "snappy", .most_decoded = at_most<22>, .decode = decode_snappy, .head = head_snappy},
    // A match of 258 bytes takes 2 bits.
    {.name = "gzip", .most_decoded = at_most<1032>, .decode = decode_gzip, .head = head_gzip},
    {.name = "lzo", .most_decoded = at_most<0>},
    // A context has the largest window (RFC 7932) and tables; a meta-block of up to 16 MiB takes a few bits.
    {.name = "brotli",
     .context_bytes = (16 << 20) + (1 << 20),
     .most_decoded = at_most<ByteCount{16} << 20>,
     .decode = decode_brotli,
     .head = head_brotli},
    // A context has two of a frame's largest blocks; a byte of a length stands for 255.
    {.name = "lz4 (hadoop)",
     .context_bytes = (8 << 20) + (1 << 20),
     .most_decoded = at_most<255>,
     .decode = decode_lz4_hadoop},
    // A context for whole buffers is ~94 KiB; a block of one repeated byte is up to 128 KiB for 4.
    {.name = "zstd",
     .context_bytes = 128 << 10,
     .most_decoded = at_most<ByteCount{128} << 10>,
     .decode = decode_zstd,
     .head = head_zstd},
    {.name = "lz4", .most_decoded = at_most<255>, .decode = decode_lz4_raw, .head = head_lz4},
    {.name = "?", .most_decoded = at_most<0>},
};

// What files may name and this table does not know is the last row, which cannot be read.
const Codec& codec_of(Compression compression) {
  return kCompressions[std::min(static_cast<std::size_t>(compression), std::size(kCompressions) - 1)];
}

}  // namespace

const char* compression_name(Compression compression) { return codec_of(compression).name; }

bool is_readable(Compression compression) { return codec_of(compression).decode != nullptr; }

ByteCount compression_bytes(Compression compression) { return codec_of(compression).context_bytes; }

ByteCount max_decompressed(Compression compression, ByteCount stored) {
  return codec_of(compression).most_decoded(stored);
}

DecodeResult decompress(Compression compression, Bytes stored, std::span<std::byte> out,
                        CodecContext& context) {
  const Codec& codec = codec_of(compression);
  const CodecTimer timer(context);
  context.count(out.size());
  if (codec.decode == nullptr) return {Kind::bad_data, &codec};
  const StageResult result = codec.decode(stored, out, context);
  switch (result.status) {
    case StageStatus::ok:
      // A decoder that wrote less has seen the end of its input: short, and not damaged.
      if (result.written == out.size()) return {};
      return {Kind::short_output, &codec, out.size(), result.written};
    case StageStatus::full:
      return {Kind::long_output, &codec, out.size(), std::max(result.written, out.size() + 1)};
    case StageStatus::no_memory:
      return {Kind::no_space, &codec};
    case StageStatus::bad_data:
      break;
  }
  return {Kind::bad_data, &codec};
}

std::size_t decompress_head(Compression compression, Bytes stored, std::span<std::byte> out,
                            CodecContext& context) {
  const Codec& codec = codec_of(compression);
  if (out.empty() || stored.empty() || codec.head == nullptr) return 0;
  const CodecTimer timer(context);
  const StageResult result = codec.head(stored, out, context);
  return result.status == StageStatus::ok ? result.written : 0;
}

}  // namespace penstock
