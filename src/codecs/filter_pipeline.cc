// Creation, description and bounds of a pipeline; decoding is in decode.cc.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "base/checked.h"
#include "codecs/codec.h"
#include "codecs/filter_names.h"
#include "codecs/fletcher32.h"
#include "codecs/step_plan.h"

namespace penstock {
namespace {

constexpr std::size_t kMaxFilters = 32;  // bits of a chunk's mask; HDF5 allows as many
constexpr ByteCount kNoBound = std::numeric_limits<ByteCount>::max();

bool is_built(std::uint16_t id) {
  switch (static_cast<FilterId>(id)) {
    case FilterId::deflate:
    case FilterId::shuffle:
    case FilterId::fletcher32:
    case FilterId::lzf:
      return true;
  }
  return false;
}

std::string not_built(const FilterSpec& filter) {
  const std::string_view known = internal::filter_name(filter.id);
  std::string message = fmt::format("filter {}", filter.id);
  if (!known.empty()) message += fmt::format(" ({})", known);
  if (!filter.name.empty() && filter.name != known) message += fmt::format(" \"{}\"", filter.name);
  message += " is not supported; rewrite the dataset with gzip or lzf compression";
  return message;
}

ByteCount saturating_mul(ByteCount a, ByteCount b) { return checked_mul(a, b).value_or(kNoBound); }
ByteCount saturating_add(ByteCount a, ByteCount b) { return checked_add(a, b).value_or(kNoBound); }

}  // namespace

namespace internal {

ByteCount most_encoded(std::uint16_t id, ByteCount raw) {
  switch (static_cast<FilterId>(id)) {
    case FilterId::deflate:
      // zlib's deflateBound for any strategy and memory level, rounded up.
      return saturating_add(raw, raw / 8 + raw / 64 + 64);
    case FilterId::lzf:
      return saturating_add(raw, raw / 32 + 16);  // one control byte per 32 literals
    case FilterId::fletcher32:
      return saturating_add(raw, kFletcher32Bytes);
    case FilterId::shuffle:
      break;
  }
  return raw;
}

StepPlan plan_steps(const std::vector<FilterSpec>& filters, ByteCount decoded) {
  StepPlan plan;
  ByteCount bound = decoded;
  for (std::size_t i = 0; i < filters.size(); ++i) {
    const bool writes = filters[i].id != static_cast<std::uint16_t>(FilterId::fletcher32);
    if (i > 0 && writes) {
      plan.buffers = std::min<std::size_t>(plan.buffers + 1, 2);
      plan.bytes = std::max(plan.bytes, bound);
    }
    bound = most_encoded(filters[i].id, bound);
  }
  return plan;
}

}  // namespace internal

Result<FilterPipeline> FilterPipeline::create(std::vector<FilterSpec> filters, std::size_t item_size) {
  if (filters.size() > kMaxFilters) {
    return Status::corrupt(
        fmt::format("a pipeline of {} filters; at most {} are possible", filters.size(), kMaxFilters));
  }
  for (FilterSpec& filter : filters) {
    if (!is_built(filter.id)) return Status::unsupported(not_built(filter));
    if (filter.id == static_cast<std::uint16_t>(FilterId::shuffle)) {
      if (filter.params.empty()) {
        if (item_size > std::numeric_limits<std::uint32_t>::max()) {
          return Status::corrupt(fmt::format("shuffle: an item size of {} bytes", item_size));
        }
        filter.params.push_back(static_cast<std::uint32_t>(item_size));
      }
      if (filter.params[0] == 0) return Status::corrupt("shuffle: an item size of 0 bytes");
    }
    if (filter.id == static_cast<std::uint16_t>(FilterId::deflate) && !filter.params.empty() &&
        filter.params[0] > 9) {
      return Status::corrupt(
          fmt::format("deflate: a compression level of {}; 9 is the highest", filter.params[0]));
    }
  }
  FilterPipeline pipeline;
  pipeline.filters_ = std::move(filters);
  return pipeline;
}

std::string FilterPipeline::describe() const {
  if (filters_.empty()) return "none";
  std::string text;
  for (const FilterSpec& filter : filters_) {
    if (!text.empty()) text += '+';
    text += internal::filter_name(filter.id);
    if (filter.id == static_cast<std::uint16_t>(FilterId::deflate) && !filter.params.empty()) {
      text += fmt::format("({})", filter.params[0]);
    }
  }
  return text;
}

ByteCount FilterPipeline::step_bytes(ByteCount decoded) const {
  const internal::StepPlan plan = internal::plan_steps(filters_, decoded);
  return saturating_mul(plan.buffers, plan.bytes);
}

ByteCount FilterPipeline::max_decoded(ByteCount stored, std::uint32_t mask) const {
  ByteCount bound = stored;
  for (std::size_t i = filters_.size(); i-- > 0;) {
    if ((mask >> i & 1U) != 0) continue;
    switch (static_cast<FilterId>(filters_[i].id)) {
      case FilterId::deflate:
        bound = saturating_mul(bound, 1032);  // 258 bytes for two bits
        break;
      case FilterId::lzf:
        bound = saturating_mul(bound, 88);  // 264 bytes for three bytes
        break;
      case FilterId::fletcher32:
        bound -= std::min<ByteCount>(bound, internal::kFletcher32Bytes);
        break;
      case FilterId::shuffle:
        break;
    }
  }
  return bound;
}

ByteCount FilterPipeline::max_stored(ByteCount decoded) const {
  // A mask only takes filters away, and no filter's bound shrinks its input: all filters are the worst case.
  ByteCount bound = decoded;
  for (const FilterSpec& filter : filters_) bound = internal::most_encoded(filter.id, bound);
  return bound;
}

bool FilterPipeline::can_decode_head(std::uint32_t mask) const {
  std::size_t active = 0;
  for (std::size_t i = 0; i < filters_.size(); ++i) {
    if ((mask >> i & 1U) != 0) continue;
    if (filters_[i].id != static_cast<std::uint16_t>(FilterId::deflate)) return false;
    ++active;
  }
  return active <= 1;
}

}  // namespace penstock
