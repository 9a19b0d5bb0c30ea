// A budget is a number with an account by tag. Nothing is allocated here: whoever takes memory reserves it
// first, and gives the reservation back when the memory is gone, so that the account is an upper bound of
// what is held at any moment.
//
// A share is a budget whose bytes count in two accounts. Of 100 MB for 2 loaders each has 50, whether
// the other one is there or not. A third share may be opened while the others do not use all of theirs,
// and is refused by the whole:
//
//     share A   40 of 50 MB        whole   40 + 45 = 85 of 100 MB
//     share B   45 of 50 MB        a share C may take 15 MB: its own limit is 50, but others have the rest

#include "penstock/memory_budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <charconv>
#include <cmath>

#include "memory/refusal.h"

namespace penstock {

namespace {
std::atomic<std::uint64_t> g_refuse{0}, g_asked{0};  // refusal.h

bool refused_by_test() {
  // 0 refuses none: the count begins with 1. Tests go through all numbers, so that every
  // reservation is refused once.
  const std::uint64_t nth = g_refuse.load(std::memory_order_relaxed);
  return ++g_asked == nth;
}
}  // namespace

void testing::refuse_reservation(std::uint64_t nth) {
  g_asked = 0;
  g_refuse = nth;
}
std::uint64_t testing::reservations_asked() { return g_asked; }

std::string_view memory_tag_name(MemoryTag tag) {
  static constexpr std::array<std::string_view, kMemoryTags> kNames = {"index",  "obs",   "fetch", "scratch",
                                                                       "window", "slots", "dense"};
  return kNames[static_cast<std::size_t>(tag)];
}

// What was moved from holds nothing, so the bytes are given back once.
Reservation::Reservation(Reservation&& other) noexcept
    : budget_(std::move(other.budget_)), tag_(other.tag_), bytes_(std::exchange(other.bytes_, 0)) {
  other.budget_.reset();
}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this != &other) {
    release();
    budget_ = std::move(other.budget_);
    other.budget_.reset();
    tag_ = other.tag_;
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

Reservation::~Reservation() { release(); }

bool Reservation::resize(std::uint64_t bytes) {
  // An empty reservation has no budget to ask. It can stay empty.
  if (!budget_) return bytes == 0;
  if (bytes > bytes_) {
    if (!budget_->take(tag_, bytes - bytes_)) return false;
  } else if (bytes < bytes_) {
    budget_->give_back(tag_, bytes_ - bytes);
  }
  bytes_ = bytes;
  return true;
}

void Reservation::release() {
  if (budget_ && bytes_ > 0) budget_->give_back(tag_, bytes_);
  bytes_ = 0;
  budget_.reset();
}

std::shared_ptr<MemoryBudget> MemoryBudget::create(std::uint64_t limit, std::uint32_t loaders) {
  return std::shared_ptr<MemoryBudget>(new MemoryBudget(limit, std::max(loaders, 1U)));
}

std::shared_ptr<MemoryBudget> MemoryBudget::open_share(std::string holder) {
  auto part = create(share(), 1);
  part->whole_ = shared_from_this();
  part->holder_ = std::move(holder);
  const std::lock_guard lock(mutex_);
  // Shares that have ended leave an empty pointer behind, which the next one clears away.
  std::erase_if(shares_, [](const auto& old) { return old.expired(); });
  shares_.push_back(part);
  return part;
}

bool MemoryBudget::crowded_out() const {
  const std::lock_guard lock(mutex_);
  return crowded_out_;
}

std::string MemoryBudget::held_by() const {
  std::vector<std::weak_ptr<MemoryBudget>> shares;
  {
    const std::lock_guard lock(mutex_);
    // A copy, because usage() takes a share's lock, and the order is a share's before its whole's.
    shares = shares_;
  }
  std::string text;
  std::size_t n = 0;
  for (const auto& weak : shares) {
    const auto part = weak.lock();
    if (!part) continue;
    const Usage held = part->usage();
    if (held.used == 0) continue;
    // A loader that was closed keeps only the batches that somebody still has.
    const bool closed = held.used == held.used_by_tag[static_cast<std::size_t>(MemoryTag::slots)] +
                                         held.used_by_tag[static_cast<std::size_t>(MemoryTag::dense)];
    text += fmt::format("{}{} ({}{})", n++ == 0 ? "" : ", ", format_bytes(held.used), part->holder_,
                        closed ? "; closed, its batches are still referenced" : "");
  }
  return fmt::format("{} loader{}{}{}", n, n == 1 ? "" : "s", n == 0 ? "" : ": ", text);
}

// A share takes from itself and from the budget that it is of, or from neither. Its lock is held while the
// other's is taken, always in this order. Which of the two refused is kept for the message: "plan for less"
// or "others have it".
bool MemoryBudget::add(MemoryTag tag, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  // Subtracted and not added: `bytes` may be anything up to 2^64 - 1, and `used` is never above the limit.
  if (bytes > limit_ - usage_.used) {
    crowded_out_ = false;  // by its own limit
    return false;
  }
  if (whole_ && !whole_->add(tag, bytes)) {
    crowded_out_ = true;
    return false;
  }
  const auto i = static_cast<std::size_t>(tag);
  usage_.used += bytes;
  usage_.used_by_tag[i] += bytes;
  usage_.peak = std::max(usage_.peak, usage_.used);
  usage_.peak_by_tag[i] = std::max(usage_.peak_by_tag[i], usage_.used_by_tag[i]);
  return true;
}

bool MemoryBudget::take(MemoryTag tag, std::uint64_t bytes) { return !refused_by_test() && add(tag, bytes); }

void MemoryBudget::give_back(MemoryTag tag, std::uint64_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    // The share gives back before the whole does, so that the whole never counts less than its shares hold
    // together.
    usage_.used -= bytes;
    usage_.used_by_tag[static_cast<std::size_t>(tag)] -= bytes;
  }
  if (whole_) whole_->give_back(tag, bytes);
}

std::optional<Reservation> MemoryBudget::try_reserve(MemoryTag tag, std::uint64_t bytes) {
  if (!take(tag, bytes)) return std::nullopt;
  return Reservation(shared_from_this(), tag, bytes);
}

Result<Reservation> MemoryBudget::reserve(MemoryTag tag, std::uint64_t bytes) {
  if (auto r = try_reserve(tag, bytes)) return std::move(*r);
  // Two messages: the share has room and the whole budget has none, or the share itself is full.
  if (const Usage own = usage(); whole_ && bytes <= own.limit - own.used) {
    const Usage all = whole_->usage();
    const std::uint64_t free = all.limit - all.used;
    return Status::budget(fmt::format("{} needs {}, {} of the shared {} are free (held by {})",
                                      memory_tag_name(tag), format_bytes(bytes), format_bytes(free),
                                      format_bytes(all.limit), whole_->held_by()))
        .with_bytes(bytes, free);
  }
  const Usage now = usage();
  std::string holders;
  for (std::size_t i = 0; i < kMemoryTags; ++i) {
    if (now.used_by_tag[i] == 0) continue;
    if (!holders.empty()) holders += ", ";
    holders +=
        fmt::format("{} {}", memory_tag_name(static_cast<MemoryTag>(i)), format_bytes(now.used_by_tag[i]));
  }
  const std::uint64_t free = now.limit - now.used;
  return Status::budget(fmt::format("{} needs {}, {} of {} are free{}", memory_tag_name(tag),
                                    format_bytes(bytes), format_bytes(free), format_bytes(now.limit),
                                    holders.empty() ? "" : " (held by: " + holders + ")"))
      .with_bytes(bytes, free);
}

MemoryBudget::Usage MemoryBudget::usage() const {
  const std::lock_guard lock(mutex_);
  Usage copy = usage_;
  copy.limit = limit_;
  return copy;
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto bad = [&] {
    return Status::invalid_argument(
        fmt::format("'{}' is not a number of bytes: write it as 2GB, 512MB, 1.5GiB or 1000000", text));
  };
  // By hand, since every number and unit that a person may write has to be taken or refused as a whole:
  // "1,5GB" and "2 gigs" are errors, not 1 byte and 2 bytes.
  std::string_view rest = text;
  while (!rest.empty() && std::isspace(static_cast<unsigned char>(rest.front()))) rest.remove_prefix(1);
  while (!rest.empty() && std::isspace(static_cast<unsigned char>(rest.back()))) rest.remove_suffix(1);
  double number = 0;
  const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  if (parsed.ec != std::errc() || !std::isfinite(number) || number < 0) return bad();
  rest.remove_prefix(static_cast<std::size_t>(parsed.ptr - rest.data()));
  while (!rest.empty() && std::isspace(static_cast<unsigned char>(rest.front()))) rest.remove_prefix(1);
  std::string unit;
  for (const char c : rest) unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  // "GB", "G", "GiB" and "Gi" end here as "g", the second pair with `binary`.
  if (!unit.empty() && unit.back() == 'b') unit.pop_back();
  const bool binary = !unit.empty() && unit.back() == 'i';
  if (binary) unit.pop_back();
  static constexpr std::string_view kUnits = "kmgtp";
  double scale = 1;
  if (!unit.empty()) {
    const auto power = kUnits.find(unit[0]);
    if (unit.size() != 1 || power == std::string_view::npos) return bad();
    scale = std::pow(binary ? 1024.0 : 1000.0, static_cast<double>(power + 1));
  } else if (binary) {
    return bad();
  }
  // 2^63 is 9.22e18. Larger sizes would overflow sums of them, and a double below it converts safely.
  const double bytes = number * scale;
  if (bytes >= 9.2e18) return bad();
  return static_cast<std::uint64_t>(bytes);
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "KB", "MB", "GB", "TB", "PB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // 999.6 KB would be printed as 1,000 KB; it is 1 MB.
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  // three significant digits, no trailing zeros The limits are those at which rounding adds a digit: 9.996
  // with two decimals is 10.00, one digit too many.
  std::string digits = fmt::format("{:.{}f}", value, value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2);
  if (digits.find('.') != std::string::npos) {
    while (digits.back() == '0') digits.pop_back();
    if (digits.back() == '.') digits.pop_back();
  }
  return fmt::format("{} {}", digits, kUnits[unit]);
}

std::string format_count(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (auto i = static_cast<std::ptrdiff_t>(digits.size()) - 3; i > 0; i -= 3)
    digits.insert(static_cast<std::size_t>(i), ",");
  return digits;
}

}  // namespace penstock
