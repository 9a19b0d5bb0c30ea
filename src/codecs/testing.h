// Helpers of the codec tests: encoders, and buffers whose ends are guarded by an unmapped page.
#pragma once

#include <liblzf/lzf.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

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

}  // namespace penstock::testing
