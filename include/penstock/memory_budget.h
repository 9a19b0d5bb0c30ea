// The byte budget that a loader never exceeds. Memory on the data path is reserved here, under a tag,
// before it is taken from the system.
//
//   auto budget = penstock::MemoryBudget::create(2ull << 30);
//   auto r = budget->reserve(penstock::MemoryTag::window, 64 << 20);   // Status budget when it does not fit
//   ... use 64 MiB ...                                                 // given back when *r dies
//
// Thread contract: MemoryBudget is thread-safe; a Reservation is externally synchronised.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "penstock/status.h"

namespace penstock {

// Who holds the bytes: chunk indexes and row tables; obs codes; bytes read ahead; per-thread decode
// buffers; the shuffle window; batches being built or handed out.
enum class MemoryTag : std::uint8_t { index, obs, fetch, scratch, window, slots };
inline constexpr std::size_t kMemoryTags = 6;
std::string_view memory_tag_name(MemoryTag tag);

class MemoryBudget;

// A share of a budget. Move-only; gives its bytes back when it dies. An empty one holds nothing.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation();

  std::uint64_t bytes() const { return bytes_; }
  MemoryTag tag() const { return tag_; }
  // Grows or shrinks in place; false (and no change) when the budget cannot give the difference.
  bool resize(std::uint64_t bytes);
  void release();

 private:
  friend class MemoryBudget;
  Reservation(std::shared_ptr<MemoryBudget> budget, MemoryTag tag, std::uint64_t bytes)
      : budget_(std::move(budget)), tag_(tag), bytes_(bytes) {}

  std::shared_ptr<MemoryBudget> budget_;
  MemoryTag tag_ = MemoryTag::index;
  std::uint64_t bytes_ = 0;
};

class MemoryBudget : public std::enable_shared_from_this<MemoryBudget> {
 public:
  // limit in bytes.
  static std::shared_ptr<MemoryBudget> create(std::uint64_t limit);

  // Reserves or says who holds what: "window needs 64.0 MB, 12.0 MB of 256.0 MB are free (slots 120.0 MB,
  // ...)".
  Result<Reservation> reserve(MemoryTag tag, std::uint64_t bytes);
  std::optional<Reservation> try_reserve(MemoryTag tag, std::uint64_t bytes);

  struct Usage {
    std::uint64_t limit = 0, used = 0, peak = 0;
    std::array<std::uint64_t, kMemoryTags> used_by_tag{}, peak_by_tag{};
  };
  Usage usage() const;
  std::uint64_t limit() const { return limit_; }

 private:
  explicit MemoryBudget(std::uint64_t limit) : limit_(limit) {}
  friend class Reservation;
  bool take(MemoryTag tag, std::uint64_t bytes);
  void give_back(MemoryTag tag, std::uint64_t bytes);

  const std::uint64_t limit_;
  mutable std::mutex mutex_;
  Usage usage_;  // guarded by mutex_
};

// "2GB", "256 MB", "1.5GiB", "1048576": decimal units are powers of 1000, *iB units powers of 1024.
Result<std::uint64_t> parse_bytes(std::string_view text);
// 1234567 -> "1.23 MB".
std::string format_bytes(std::uint64_t bytes);
// 1234567 -> "1,234,567".
std::string format_count(std::uint64_t n);

}  // namespace penstock
