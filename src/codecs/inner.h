// Single calls of the libraries, as filters that have blocks of their own make them: zstd, lz4, snappy, zlib.
// Each decodes one block into `out` and allocates nothing. Internal to src/codecs.
//
// Thread contract: pure functions; a context and `work` belong to the calling thread.
#pragma once

#include <cstddef>
#include <span>

#include "codecs/codec_record.h"

typedef struct ZSTD_DCtx_s ZSTD_DCtx;

namespace penstock::internal {

using In = std::span<const std::byte>;
using Out = std::span<std::byte>;

// Bytes of work in which a zstd decoder can be made, and the decoder: null when `work` is smaller.
ByteCount zstd_work_bytes();
ZSTD_DCtx* zstd_in(Out work);
// All frames of `stored`.
StageResult zstd_block(In stored, Out out, ZSTD_DCtx* zstd);

// An lz4 block without a frame; `bad_data` also where it does not fit.
StageResult lz4_block(In stored, Out out);
StageResult snappy_block(In stored, Out out);

}  // namespace penstock::internal
