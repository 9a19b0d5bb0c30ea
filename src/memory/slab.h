// A large area straight from the system: mmap'd, huge-page advised. Costs address space until it is touched.
//
// Whoever maps a slab has reserved its bytes from a MemoryBudget first; the slab itself keeps no account.
// Thread contract: externally synchronised; the memory is the caller's to share.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>

#include "base/types.h"
#include "penstock/status.h"

namespace penstock {

// What a forked child has of a slab. `left_out`: nothing, so that fork() copies no page tables and the child
// holds no memory of a loader that it cannot use. `copied`: its content, copied page by page where either
// side writes.
enum class AtFork { left_out, copied };

// Asks for huge pages behind memory of anybody's, where it spans some: pages that nobody touched yet then
// come 2 MiB at a time. A hint.
void advise_huge_pages(std::byte* data, ByteCount bytes);

class Slab {
 public:
  Slab() = default;
  Slab(Slab&& other) noexcept;
  Slab& operator=(Slab&& other) noexcept;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab();

  // Zeroed, page-aligned (2 MiB-aligned when huge pages can help). `budget` status when the system refuses.
  static Result<Slab> map(ByteCount bytes, bool huge_pages, AtFork at_fork = AtFork::left_out);

  std::byte* data() const { return data_; }
  ByteCount size() const { return size_; }
  std::span<std::byte> bytes() const { return {data_, size_}; }
  // Gives the memory behind [from, size) back to the system; reading it yields zeros again. Rounds `from` up
  // to a page.
  void discard_from(ByteCount from);

 private:
  std::byte* data_ = nullptr;
  ByteCount size_ = 0;
  void* mapping_ = nullptr;
  ByteCount mapping_size_ = 0;
  pid_t pid_ = 0;  // who mapped it: in a forked child the range may be a hole, or somebody else's by now
};

}  // namespace penstock
