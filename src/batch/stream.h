// Copies that go past the caches, block by block. Internal to src/batch; stream_copy() of densify.h is the
// whole.
#pragma once

#include <cstddef>

namespace penstock::batch::internal {

// Copies n bytes, any alignment; 64-byte lines of dst that are written whole go out non-temporally. They are
// ordered before later stores only after stream_fence().
void stream_block(std::byte* dst, const std::byte* src, std::size_t n);

}  // namespace penstock::batch::internal
