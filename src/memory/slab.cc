#include "memory/slab.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "penstock/memory_budget.h"

namespace penstock {
namespace {
constexpr ByteCount kPage = 4096;
constexpr ByteCount kHugePage = 2 << 20;
}  // namespace

Slab::Slab(Slab&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      mapping_size_(std::exchange(other.mapping_size_, 0)),
      pid_(other.pid_) {}

Slab& Slab::operator=(Slab&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_size_, other.mapping_size_);
  std::swap(pid_, other.pid_);
  return *this;
}

Slab::~Slab() {
  if (mapping_ != nullptr && pid_ == getpid()) munmap(mapping_, mapping_size_);
}

Result<Slab> Slab::map(ByteCount bytes, bool huge_pages) {
  Slab slab;
  slab.size_ = bytes;
  if (bytes == 0) return slab;
  const bool huge = huge_pages && bytes >= kHugePage;
  // Room to start on a huge-page boundary; the slack is never touched.
  slab.mapping_size_ = round_up(bytes, kPage) + (huge ? kHugePage : 0);
  void* p = mmap(nullptr, slab.mapping_size_, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    const int e = errno;
    slab.mapping_size_ = 0;
    return Status(
        StatusCode::budget,
        fmt::format("the system refused {} of address space: {}", format_bytes(bytes), std::strerror(e)), e);
  }
  slab.mapping_ = p;
  slab.pid_ = getpid();
  slab.data_ = static_cast<std::byte*>(p);
  if (huge) {
    const auto address = reinterpret_cast<std::uintptr_t>(p);
    slab.data_ += round_up(address, kHugePage) - address;
    madvise(slab.data_, round_up(bytes, kPage), MADV_HUGEPAGE);
  } else {
    madvise(p, slab.mapping_size_, MADV_NOHUGEPAGE);  // resident bytes follow touched bytes
  }
  madvise(p, slab.mapping_size_, MADV_DONTFORK);
  return slab;
}

void Slab::discard_from(ByteCount from) {
  const ByteCount start = round_up(from, kPage);
  if (start < size_) madvise(data_ + start, round_up(size_, kPage) - start, MADV_DONTNEED);
}

}  // namespace penstock
