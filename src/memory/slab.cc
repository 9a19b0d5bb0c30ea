// Memory of hundreds of megabytes straight from mmap. An allocator would keep what is given back, and
// share its arenas with everybody; here a page that nobody has touched costs nothing, and munmap
// returns what was touched.
//
// Huge pages: one entry of the processor's table for 2 MiB and not for 4 KiB, which is what
// scattering rows all over a window needs. They must begin at multiples of 2 MiB, which mmap does not
// promise, so 2 MiB more are mapped:
//
//     mapping_   |---- slack ----|=========== data_, size_ bytes ===========|-- rest --|
//                                ^ a multiple of 2 MiB

#include "memory/slab.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "memory/refusal.h"
#include "penstock/memory_budget.h"

namespace penstock {
namespace {
constexpr ByteCount kPage = 4096;
constexpr ByteCount kHugePage = 2 << 20;

std::atomic<std::uint64_t> g_refuse{0}, g_asked{0};  // refusal.h

void* map_or_fail(ByteCount bytes) {
  if (++g_asked == g_refuse.load(std::memory_order_relaxed)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  // MAP_NORESERVE because the budget keeps the account: the kernel need not guess whether all of it will be
  // touched.
  return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}
}  // namespace

void testing::refuse_mapping(std::uint64_t nth) {
  g_asked = 0;
  g_refuse = nth;
}
std::uint64_t testing::mappings_asked() { return g_asked; }

void advise_huge_pages(std::byte* data, ByteCount bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  // Only what spans whole huge pages is advised; the ends belong to neighbours as well.
  const ByteCount before = round_up(address, kHugePage) - address;
  if (bytes < before + kHugePage) return;
  madvise(data + before, (bytes - before) / kHugePage * kHugePage, MADV_HUGEPAGE);
}

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
  // A forked child that destroys its copy of the object must not unmap what may be another library's memory
  // by now.
  if (mapping_ != nullptr && pid_ == getpid()) munmap(mapping_, mapping_size_);
}

Result<Slab> Slab::map(ByteCount bytes, bool huge_pages, AtFork at_fork) {
  Slab slab;
  slab.size_ = bytes;
  if (bytes == 0) return slab;
  const bool huge = huge_pages && bytes >= kHugePage;
  // Room to start on a huge-page boundary; the slack is never touched.
  slab.mapping_size_ = round_up(bytes, kPage) + (huge ? kHugePage : 0);
  void* p = map_or_fail(slab.mapping_size_);
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
  // After fork() the child would share every page until one of the two writes to it, and each write of a
  // training parent would copy a page.
  if (at_fork == AtFork::left_out) madvise(p, slab.mapping_size_, MADV_DONTFORK);
  return slab;
}

void Slab::discard_from(ByteCount from) {
  const ByteCount start = round_up(from, kPage);
  if (start < size_) madvise(data_ + start, round_up(size_, kPage) - start, MADV_DONTNEED);
}

}  // namespace penstock
