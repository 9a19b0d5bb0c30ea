// The byte budget that a loader never exceeds. Memory on the data path is reserved here, under a tag,
// before it is taken from the system.
//
//   auto budget = penstock::MemoryBudget::create(2ull << 30);
//   auto r = budget->reserve(penstock::MemoryTag::window, 64 << 20);   // Status budget when it does not fit
//   ... use 64 MiB ...                                                 // given back when *r dies
//
// Several loaders may share a budget (LoaderOptions::shared_budget). Each has a share of its own of it, which
// is limit / loaders whoever else is there: so what a loader plans, and with it the order of its rows and its
// checkpoints, follow from what was asked for and not from what else happens to live.
//
// Thread contract: MemoryBudget is thread-safe; a Reservation is externally synchronised.
// Layer: memory.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/status.h"

namespace penstock {

// Who holds the bytes: chunk indexes and row tables; obs codes; bytes read ahead; per-thread decode
// buffers; the shuffle window; batches being built or handed out; dense forms of CSR batches.
enum class MemoryTag : std::uint8_t { index, obs, fetch, scratch, window, slots, dense };
inline constexpr std::size_t kMemoryTags = 7;
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
  // limit in bytes. loaders > 0: how many shares it has.
  static std::shared_ptr<MemoryBudget> create(std::uint64_t limit, std::uint32_t loaders = 2);

  std::uint32_t loaders() const { return loaders_; }
  // What each loader plans for.
  std::uint64_t share() const { return limit_ / loaders_; }
  // A budget of share() bytes whose reservations count here, too; there may be more of them than loaders() as
  // long as they fit together. `holder` names it: "1,000 cells in batches of 64".
  std::shared_ptr<MemoryBudget> open_share(std::string holder);
  // Of a share: the budget it is of, else null.
  const std::shared_ptr<MemoryBudget>& whole() const { return whole_; }
  // Of a share: it was refused bytes of its own because others hold them.
  bool crowded_out() const;
  // Who holds how much of the shares: "2 loaders: 64 MB (1,000 cells in batches of 64), 32 MB (...)".
  std::string held_by() const;

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
  MemoryBudget(std::uint64_t limit, std::uint32_t loaders) : limit_(limit), loaders_(loaders) {}
  friend class Reservation;
  bool take(MemoryTag tag, std::uint64_t bytes);
  bool add(MemoryTag tag, std::uint64_t bytes);  // to what is used here
  void give_back(MemoryTag tag, std::uint64_t bytes);

  const std::uint64_t limit_;
  const std::uint32_t loaders_;
  // Of a share.
  std::shared_ptr<MemoryBudget> whole_;
  std::string holder_;
  mutable std::mutex mutex_;  // a share's before its whole's
  // guarded by mutex_
  Usage usage_;
  bool crowded_out_ = false;
  std::vector<std::weak_ptr<MemoryBudget>> shares_;
};

// "2GB", "256 MB", "1.5GiB", "1048576": decimal units are powers of 1000, *iB units powers of 1024.
Result<std::uint64_t> parse_bytes(std::string_view text);
// 1234567 -> "1.23 MB".
std::string format_bytes(std::uint64_t bytes);
// 1234567 -> "1,234,567".
std::string format_count(std::uint64_t n);

}  // namespace penstock
