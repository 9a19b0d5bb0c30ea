// Two libraries for one format (RFC 1950, RFC 1951). libdeflate decodes whole buffers only, and is faster for
// it. zlib can stop in the middle, so it decodes heads of chunks: Note [Heads of chunks] in plan/sizing.cc.

#include "codecs/deflate.h"

#include <algorithm>
#include <limits>

#include "codecs/codec_state.h"

namespace penstock::internal {

StageResult inflate_all(std::span<const std::byte> stored, std::span<std::byte> out, CodecContext& context) {
  libdeflate_decompressor* decompressor = context.state().decompressor;
  if (decompressor == nullptr) return {StageStatus::no_memory};
  std::size_t consumed = 0;
  std::size_t written = 0;
  switch (libdeflate_zlib_decompress_ex(decompressor, stored.data(), stored.size(), out.data(), out.size(),
                                        &consumed, &written)) {
    // SHORT_OUTPUT does not come, because the number of bytes is asked for; the pipeline judges it.
    case LIBDEFLATE_SUCCESS:
    case LIBDEFLATE_SHORT_OUTPUT:
      return {StageStatus::ok, written};
    case LIBDEFLATE_INSUFFICIENT_SPACE:
      return {StageStatus::full};
    case LIBDEFLATE_BAD_DATA:
      break;
  }
  return {StageStatus::bad_data};
}

StageResult inflate_head(std::span<const std::byte> stored, std::span<std::byte> out, CodecContext& context) {
  if (out.empty()) return {};
  z_stream* stream = context.state().rewound_stream();
  if (stream == nullptr) return {StageStatus::no_memory};
  // zlib counts in 32 bits: longer buffers are handed over in pieces.
  constexpr std::size_t kPiece = std::numeric_limits<uInt>::max();
  const auto* in = reinterpret_cast<const Bytef*>(stored.data());
  std::size_t in_left = stored.size();
  std::size_t out_left = out.size();
  while (out_left > 0) {
    const uInt in_piece = static_cast<uInt>(std::min(in_left, kPiece));
    const uInt out_piece = static_cast<uInt>(std::min(out_left, kPiece));
    stream->next_in = const_cast<Bytef*>(in);  // zlib does not write to it
    stream->avail_in = in_piece;
    stream->next_out = reinterpret_cast<Bytef*>(out.data() + (out.size() - out_left));
    stream->avail_out = out_piece;
    const int code = inflate(stream, Z_NO_FLUSH);
    in += in_piece - stream->avail_in;
    in_left -= in_piece - stream->avail_in;
    out_left -= out_piece - stream->avail_out;
    // The chunk was shorter than the head that was asked for. The caller sees it by the number of bytes.
    if (code == Z_STREAM_END) break;
    if (code == Z_MEM_ERROR) return {StageStatus::no_memory};
    // Z_BUF_ERROR: nothing more can be done, the input ended early.
    if (code == Z_BUF_ERROR || (code == Z_OK && in_left == 0)) break;
    if (code != Z_OK) return {StageStatus::bad_data};
  }
  return {StageStatus::ok, out.size() - out_left};
}

}  // namespace penstock::internal
