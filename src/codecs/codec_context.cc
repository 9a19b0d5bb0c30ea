// Decoders keep tables and windows that are costly to make, so each thread keeps one of each kind from
// chunk to chunk and resets it. What every file needs is made at once; the others on first use, because
// most files have one codec.
//
// A decoder for which there is no memory is null. That is an error of the chunk that wanted it, and not of
// the thread.

#include <utility>

#include "codecs/codec_state.h"

namespace penstock {

CodecContext::State::State() : decompressor(libdeflate_alloc_decompressor()) {}

CodecContext::State::~State() {
  // All of them take null.
  libdeflate_free_decompressor(decompressor);
  if (zlib_.ready) inflateEnd(&zlib_.stream);
  if (gzip_.ready) inflateEnd(&gzip_.stream);
  ZSTD_freeDCtx(zstd_);
  LZ4F_freeDecompressionContext(lz4_frame_);
}

z_stream* CodecContext::State::rewound(Stream* s, int format) {
  // zlib.h, inflateInit2: 15 is the largest window there is, so every stream fits; 16 more
  // stands for gzip's header.
  constexpr int kWindowBits = 15;
  if (s->ready) return inflateReset(&s->stream) == Z_OK ? &s->stream : nullptr;
  if (inflateInit2(&s->stream, kWindowBits + format) != Z_OK) return nullptr;
  s->ready = true;
  return &s->stream;
}

ZSTD_DCtx* CodecContext::State::zstd() {
  if (zstd_ == nullptr) zstd_ = ZSTD_createDCtx();
  return zstd_;
}

LZ4F_dctx* CodecContext::State::lz4_frame() {
  if (lz4_frame_ == nullptr && LZ4F_isError(LZ4F_createDecompressionContext(&lz4_frame_, LZ4F_VERSION))) {
    lz4_frame_ = nullptr;
  }
  return lz4_frame_;
}

BrotliDecoderState* CodecContext::State::new_brotli() {
  // The library has no way to reset one. It is made for each page.
  return BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
}

CodecContext::CodecContext() : state_(std::make_unique<State>()) {}
CodecContext::~CodecContext() = default;
CodecContext::CodecContext(CodecContext&&) noexcept = default;
CodecContext& CodecContext::operator=(CodecContext&&) noexcept = default;

double CodecContext::take_seconds() { return std::exchange(state_->seconds, 0); }
ByteCount CodecContext::take_bytes() { return std::exchange(state_->bytes, 0); }
void CodecContext::count(ByteCount bytes) { state_->bytes += bytes; }

ByteCount CodecContext::fixed_bytes() {
  // libdeflate's tables are ~12 KiB; zlib documents 7 KiB of state and a window of 32 KiB.
  return 64 * 1024;
}

}  // namespace penstock
