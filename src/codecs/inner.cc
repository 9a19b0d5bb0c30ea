#include "codecs/inner.h"

#include <lz4.h>
#include <snappy.h>
// A decoder in memory of the caller's, so that none is allocated, is of zstd's static part, which the shared
// library exports as well.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

#include <memory>

namespace penstock::internal {
namespace {

constexpr std::size_t kAlignment = 64;

const char* chars(In bytes) { return reinterpret_cast<const char*>(bytes.data()); }
char* chars(Out bytes) { return reinterpret_cast<char*>(bytes.data()); }

}  // namespace

ByteCount zstd_work_bytes() { return ZSTD_estimateDCtxSize() + kAlignment; }

ZSTD_DCtx* zstd_in(Out work) {
  void* at = work.data();
  std::size_t room = work.size();
  const std::size_t bytes = ZSTD_estimateDCtxSize();
  return std::align(kAlignment, bytes, at, room) == nullptr ? nullptr : ZSTD_initStaticDCtx(at, bytes);
}

StageResult zstd_block(In stored, Out out, ZSTD_DCtx* zstd) {
  if (zstd == nullptr) return {StageStatus::no_memory};
  const std::size_t written = ZSTD_decompressDCtx(zstd, out.data(), out.size(), stored.data(), stored.size());
  if (!ZSTD_isError(written)) return {StageStatus::ok, written};
  return ZSTD_getErrorCode(written) == ZSTD_error_dstSize_tooSmall ? StageResult{StageStatus::full}
                                                                   : StageResult{StageStatus::bad_data};
}

StageResult lz4_block(In stored, Out out) {
  if (stored.size() > LZ4_MAX_INPUT_SIZE || out.size() > LZ4_MAX_INPUT_SIZE) return {StageStatus::bad_data};
  const int written = LZ4_decompress_safe(chars(stored), chars(out), static_cast<int>(stored.size()),
                                          static_cast<int>(out.size()));
  if (written < 0) return {StageStatus::bad_data};
  return {StageStatus::ok, static_cast<std::size_t>(written)};
}

// The size stands before the bytes, so that one that is not the expected one is told without decoding.
StageResult snappy_block(In stored, Out out) {
  std::size_t size = 0;
  if (!snappy::GetUncompressedLength(chars(stored), stored.size(), &size)) return {StageStatus::bad_data};
  if (size > out.size()) return {StageStatus::full, size};
  if (!snappy::RawUncompress(chars(stored), stored.size(), chars(out))) return {StageStatus::bad_data};
  return {StageStatus::ok, size};
}

}  // namespace penstock::internal
