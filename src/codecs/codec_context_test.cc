#include <gtest/gtest.h>
#include <libdeflate.h>

#include <cstdlib>

#include "codecs/codec_state.h"

namespace penstock {
namespace {

std::size_t allocated = 0;

void* counted_malloc(std::size_t n) {
  allocated += n;
  return std::malloc(n);
}
void* counted_zalloc(void*, unsigned items, unsigned size) {
  allocated += std::size_t{items} * size;
  return std::malloc(std::size_t{items} * size);
}
void counted_zfree(void*, void* p) { std::free(p); }

TEST(CodecContext, fixed_bytes_is_an_upper_bound) {
  libdeflate_set_memory_allocator(counted_malloc, std::free);
  libdeflate_free_decompressor(libdeflate_alloc_decompressor());
  libdeflate_set_memory_allocator(std::malloc, std::free);
  z_stream stream = {};
  stream.zalloc = counted_zalloc;
  stream.zfree = counted_zfree;
  ASSERT_EQ(inflateInit(&stream), Z_OK);
  // The window is allocated when output was produced; zlib's most is 32 KiB.
  inflateEnd(&stream);
  EXPECT_LE(allocated + 32 * 1024 + sizeof(CodecContext::State), CodecContext::fixed_bytes());
}

TEST(CodecContext, moves) {
  CodecContext a;
  CodecContext b(std::move(a));
  EXPECT_NE(b.state().decompressor, nullptr);
  EXPECT_NE(b.state().rewound_stream(), nullptr);
  CodecContext c;
  c = std::move(b);
  EXPECT_NE(c.state().rewound_stream(), nullptr);
}

}  // namespace
}  // namespace penstock
