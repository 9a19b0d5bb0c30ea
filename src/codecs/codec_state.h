// What a CodecContext holds. Internal to src/codecs.
#pragma once

#include <brotli/decode.h>
#include <libdeflate.h>
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include <chrono>

#include "codecs/codec.h"

namespace penstock {

struct CodecContext::State {
  State();
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // The stream for heads, rewound; made on first use. Null when there is no memory for it.
  z_stream* rewound_stream() { return rewound(&zlib_, 0); }
  // The same for gzip members.
  z_stream* rewound_gzip_stream() { return rewound(&gzip_, 16); }
  // Made on first use; null when there is no memory for them. The brotli decoder is the caller's to destroy.
  ZSTD_DCtx* zstd();
  LZ4F_dctx* lz4_frame();
  BrotliDecoderState* new_brotli();

  libdeflate_decompressor* decompressor = nullptr;  // null when there was no memory for it
  double seconds = 0;                               // see CodecContext::take_seconds()
  ByteCount bytes = 0;                              // see CodecContext::take_bytes()

 private:
  struct Stream {
    z_stream stream = {};
    bool ready = false;
  };
  // `format`: added to the window bits, as zlib wants it.
  static z_stream* rewound(Stream* stream, int format);

  Stream zlib_, gzip_;
  ZSTD_DCtx* zstd_ = nullptr;
  LZ4F_dctx* lz4_frame_ = nullptr;
};

// Adds the time of a scope to a context's.
class CodecTimer {
 public:
  explicit CodecTimer(CodecContext& context) : state_(context.state()) {}
  ~CodecTimer() { state_.seconds += std::chrono::duration<double>(Clock::now() - from_).count(); }
  CodecTimer(const CodecTimer&) = delete;
  CodecTimer& operator=(const CodecTimer&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  CodecContext::State& state_;
  const Clock::time_point from_ = Clock::now();
};

}  // namespace penstock
