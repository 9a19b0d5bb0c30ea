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
  static constexpr std::array<std::string_view, kMemoryTags> kNames = {"index",   "obs",    "fetch",
                                                                       "scratch", "window", "slots"};
  return kNames[static_cast<std::size_t>(tag)];
}

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

std::shared_ptr<MemoryBudget> MemoryBudget::create(std::uint64_t limit) {
  return std::shared_ptr<MemoryBudget>(new MemoryBudget(limit));
}

bool MemoryBudget::take(MemoryTag tag, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > limit_ - usage_.used || refused_by_test()) return false;
  const auto i = static_cast<std::size_t>(tag);
  usage_.used += bytes;
  usage_.used_by_tag[i] += bytes;
  usage_.peak = std::max(usage_.peak, usage_.used);
  usage_.peak_by_tag[i] = std::max(usage_.peak_by_tag[i], usage_.used_by_tag[i]);
  return true;
}

void MemoryBudget::give_back(MemoryTag tag, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  usage_.used -= bytes;
  usage_.used_by_tag[static_cast<std::size_t>(tag)] -= bytes;
}

std::optional<Reservation> MemoryBudget::try_reserve(MemoryTag tag, std::uint64_t bytes) {
  if (!take(tag, bytes)) return std::nullopt;
  return Reservation(shared_from_this(), tag, bytes);
}

Result<Reservation> MemoryBudget::reserve(MemoryTag tag, std::uint64_t bytes) {
  if (auto r = try_reserve(tag, bytes)) return std::move(*r);
  const Usage now = usage();
  std::string holders;
  for (std::size_t i = 0; i < kMemoryTags; ++i) {
    if (now.used_by_tag[i] == 0) continue;
    if (!holders.empty()) holders += ", ";
    holders +=
        fmt::format("{} {}", memory_tag_name(static_cast<MemoryTag>(i)), format_bytes(now.used_by_tag[i]));
  }
  return Status::budget(fmt::format("{} needs {}, {} of {} are free{}", memory_tag_name(tag),
                                    format_bytes(bytes), format_bytes(now.limit - now.used),
                                    format_bytes(now.limit),
                                    holders.empty() ? "" : " (held by: " + holders + ")"));
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
  const double bytes = number * scale;
  if (bytes >= 9.2e18) return bad();
  return static_cast<std::uint64_t>(bytes);
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "KB", "MB", "GB", "TB", "PB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  // three significant digits, no trailing zeros
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
