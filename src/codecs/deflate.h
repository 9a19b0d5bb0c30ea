// Deflate (HDF5 filter 1): a zlib stream, whole through libdeflate or its head through zlib.
//
// Thread contract: the context belongs to the calling thread; see codec.h.
#pragma once

#include <cstddef>
#include <span>

#include "codecs/codec.h"
#include "codecs/codec_record.h"

namespace penstock::internal {

// Inflates the whole stream and verifies its Adler-32. Bytes behind the end of the stream are ignored, as
// HDF5 ignores them.
StageResult inflate_all(std::span<const std::byte> stored, std::span<std::byte> out, CodecContext& context);

// Inflates the first out.size() bytes of the stream and stops there: damage further on is not seen.
StageResult inflate_head(std::span<const std::byte> stored, std::span<std::byte> out, CodecContext& context);

}  // namespace penstock::internal
