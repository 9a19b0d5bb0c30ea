// Helpers of the codec tests: encoders, and buffers whose ends are guarded by an unmapped page.
#pragma once

#include <liblzf/lzf.h>
#include <lz4.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "codecs/fletcher32.h"

namespace penstock::testing {

using Bytes = std::vector<std::byte>;

// n bytes that end where the address space does: one byte further is a segmentation fault, in libraries too.
class GuardedBytes {
 public:
  explicit GuardedBytes(std::size_t n) : size_(n) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    mapped_ = (n + page - 1) / page * page + page;
    base_ = static_cast<std::byte*>(
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base_ + mapped_ - page, page, PROT_NONE);
    data_ = base_ + mapped_ - page - n;
    std::memset(base_, 0xA5, mapped_ - page);
  }
  explicit GuardedBytes(std::span<const std::byte> bytes) : GuardedBytes(bytes.size()) {
    if (!bytes.empty()) std::memcpy(data_, bytes.data(), bytes.size());
  }
  ~GuardedBytes() { munmap(base_, mapped_); }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;

  std::span<std::byte> span() const { return {data_, size_}; }
  Bytes copy() const { return {data_, data_ + size_}; }

 private:
  std::size_t size_;
  std::size_t mapped_ = 0;
  std::byte* base_ = nullptr;
  std::byte* data_ = nullptr;
};

// Counts as they look in expression matrices: small numbers, some repetition.
inline Bytes counts(std::size_t n, unsigned seed = 1) {
  std::mt19937 random(seed);
  Bytes bytes(n);
  for (std::size_t i = 0; i < n; ++i) {
    bytes[i] = i % 4 == 0 ? static_cast<std::byte>(random() % 7) : std::byte{0};
  }
  return bytes;
}

inline Bytes noise(std::size_t n, unsigned seed = 2) {
  std::mt19937 random(seed);
  Bytes bytes(n);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

inline Bytes deflated(std::span<const std::byte> raw, int level = 4) {
  uLongf size = compressBound(raw.size());
  Bytes out(size);
  compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(raw.data()),
            raw.size(), level);
  out.resize(size);
  return out;
}

// Empty when the data does not compress, as with h5py's filter.
inline Bytes lzf_encoded(std::span<const std::byte> raw) {
  Bytes out(raw.size() + raw.size() / 16 + 64);
  out.resize(lzf_compress(raw.data(), static_cast<unsigned>(raw.size()), out.data(),
                          static_cast<unsigned>(out.size())));
  return out;
}

inline Bytes shuffled(std::span<const std::byte> raw, std::size_t item_size) {
  const std::size_t items = raw.size() / item_size;
  Bytes out(raw.begin(), raw.end());
  for (std::size_t i = 0; i < items; ++i) {
    for (std::size_t b = 0; b < item_size; ++b) out[b * items + i] = raw[i * item_size + b];
  }
  return out;
}

inline Bytes with_fletcher32(std::span<const std::byte> raw) {
  Bytes out(raw.begin(), raw.end());
  const std::uint32_t sum = internal::fletcher32(raw);
  out.resize(raw.size() + 4);
  std::memcpy(out.data() + raw.size(), &sum, 4);
  return out;
}

// A number of `width` bytes to the end of `out`.
inline void append(Bytes& out, std::uint64_t value, std::size_t width, bool big_endian) {
  for (std::size_t i = 0; i < width; ++i) {
    out.push_back(static_cast<std::byte>(value >> (8 * (big_endian ? width - 1 - i : i))));
  }
}
inline void append(Bytes& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

inline Bytes zstd_encoded(std::span<const std::byte> raw, int level = 3) {
  Bytes out(ZSTD_compressBound(raw.size()));
  out.resize(ZSTD_compress(out.data(), out.size(), raw.data(), raw.size(), level));
  return out;
}

inline Bytes lz4_encoded_block(std::span<const std::byte> raw) {
  Bytes out(static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(raw.size()))));
  out.resize(static_cast<std::size_t>(
      LZ4_compress_default(reinterpret_cast<const char*>(raw.data()), reinterpret_cast<char*>(out.data()),
                           static_cast<int>(raw.size()), static_cast<int>(out.size()))));
  return out;
}

// HDF5's filter 32004.
inline Bytes lz4_encoded(std::span<const std::byte> raw, std::size_t block = 1 << 12) {
  Bytes out;
  append(out, raw.size(), 8, true);
  append(out, block, 4, true);
  for (std::size_t at = 0; at < raw.size(); at += block) {
    const auto part = raw.subspan(at, std::min(block, raw.size() - at));
    Bytes packed = lz4_encoded_block(part);
    if (packed.size() >= part.size()) packed.assign(part.begin(), part.end());
    append(out, packed.size(), 4, true);
    append(out, packed);
  }
  return out;
}

// Bit k of byte b of element i becomes bit i % 8 of byte (b * 8 + k) * n / 8 + i / 8; n is a multiple of 8.
inline Bytes shuffled_bits(std::span<const std::byte> raw, std::size_t item) {
  const std::size_t n = raw.size() / item;
  Bytes out(raw.size());
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t b = 0; b < item; ++b) {
      for (std::size_t k = 0; k < 8; ++k) {
        const auto bit = std::to_integer<unsigned>(raw[i * item + b]) >> k & 1U;
        out[(b * 8 + k) * (n / 8) + i / 8] |= static_cast<std::byte>(bit << (i % 8));
      }
    }
  }
  return out;
}

// HDF5's filter 32008 with the client values {0, 3, item, block, compression}; whole elements.
inline Bytes bitshuffle_encoded(std::span<const std::byte> raw, std::size_t item, std::size_t block,
                                unsigned compression) {
  Bytes out;
  if (compression != 0) {
    append(out, raw.size(), 8, true);
    append(out, block * item, 4, true);
  }
  const std::size_t n = raw.size() / item;
  std::size_t at = 0;
  while (n - at >= 8) {
    const std::size_t part = std::min(block, (n - at) / 8 * 8);
    const Bytes bits = shuffled_bits(raw.subspan(at * item, part * item), item);
    const Bytes packed = compression == 2   ? lz4_encoded_block(bits)
                         : compression == 3 ? zstd_encoded(bits)
                                            : bits;
    if (compression != 0) append(out, packed.size(), 4, true);
    append(out, packed);
    at += part;
  }
  append(out, raw.subspan(at * item));
  return out;
}

// A Blosc chunk in blocks of one stream each. `codec`: 1 lz4, 4 zstd; `shuffle`: 0 none, 1 bytes, 4 bits.
inline Bytes blosc_encoded(std::span<const std::byte> raw, std::size_t item, std::size_t block,
                           unsigned codec, unsigned shuffle) {
  Bytes blocks, starts;
  const std::size_t n = (raw.size() + block - 1) / block;
  for (std::size_t at = 0; at < raw.size(); at += block) {
    const auto part = raw.subspan(at, std::min(block, raw.size() - at));
    Bytes turned(part.begin(), part.end());
    if (shuffle == 1) turned = shuffled(part, item);
    if (shuffle == 4 && part.size() / item % 8 == 0) {
      const std::size_t whole = part.size() / item * item;
      turned = shuffled_bits(part.first(whole), item);
      append(turned, part.subspan(whole));
    }
    append(starts, 16 + 4 * n + blocks.size(), 4, false);
    Bytes packed = codec == 4 ? zstd_encoded(turned) : lz4_encoded_block(turned);
    if (packed.size() >= turned.size()) packed = turned;
    append(blocks, packed.size(), 4, false);
    append(blocks, packed);
  }
  Bytes out;
  for (const std::uint64_t byte :
       {std::uint64_t{2}, std::uint64_t{1}, std::uint64_t{codec << 5 | 16 | shuffle}, std::uint64_t{item}})
    append(out, byte, 1, false);
  for (const std::uint64_t number :
       {std::uint64_t{raw.size()}, std::uint64_t{block}, std::uint64_t{16 + starts.size() + blocks.size()}})
    append(out, number, 4, false);
  append(out, starts);
  append(out, blocks);
  return out;
}

}  // namespace penstock::testing
