// The FNV-1a hash (http://www.isthe.com/chongo/tech/comp/fnv/): a digest of text against accidents, not
// against intent.
//
// Thread contract: pure function.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock {

// `hash`: of what came before.
constexpr std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash = 0xcbf29ce484222325) {
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace penstock
