// What a CodecContext holds. Internal to src/codecs.
#pragma once

#include <libdeflate.h>
#include <zlib.h>

#include "codecs/codec.h"

namespace penstock {

struct CodecContext::State {
  State();
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // The stream for heads, rewound; made on first use. Null when there is no memory for it.
  z_stream* rewound_stream();

  libdeflate_decompressor* decompressor = nullptr;  // null when there was no memory for it

 private:
  z_stream stream_ = {};
  bool stream_ready_ = false;
};

}  // namespace penstock
