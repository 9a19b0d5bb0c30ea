#include "codecs/codec_state.h"

namespace penstock {

CodecContext::State::State() : decompressor(libdeflate_alloc_decompressor()) {}

CodecContext::State::~State() {
  libdeflate_free_decompressor(decompressor);
  if (stream_ready_) inflateEnd(&stream_);
}

z_stream* CodecContext::State::rewound_stream() {
  if (stream_ready_) {
    if (inflateReset(&stream_) != Z_OK) return nullptr;
    return &stream_;
  }
  if (inflateInit(&stream_) != Z_OK) return nullptr;
  stream_ready_ = true;
  return &stream_;
}

CodecContext::CodecContext() : state_(std::make_unique<State>()) {}
CodecContext::~CodecContext() = default;
CodecContext::CodecContext(CodecContext&&) noexcept = default;
CodecContext& CodecContext::operator=(CodecContext&&) noexcept = default;

ByteCount CodecContext::fixed_bytes() {
  // libdeflate's tables are ~12 KiB; zlib documents 7 KiB of state and a window of 32 KiB.
  return 64 * 1024;
}

}  // namespace penstock
