// What a person asks for is checked one option at a time, and the first that makes no sense is refused with
// its name, what it may be and what it is. No file is looked at: what only the data can tell, such as the
// name of an obs column, is refused where it is looked up.
#include "loader/check_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "plan/sampling.h"
#include "setup/config.h"

namespace penstock::loader {
namespace {

// Planning adds up and multiplies batch sizes. Below this limit that stays far inside 64 bits, and no memory
// holds a batch as large all the same.
constexpr std::uint64_t kMaxBatch = std::uint64_t{1} << 31;

Status check_transforms(const LoaderOptions& o) {
  // Asked in this form NaN is refused, too: it is not larger than 0. A count is at most its row's total, so
  // that a scaled one is at most the target, and 1e30 is well inside what float32 holds.
  if (o.normalize_total && !(*o.normalize_total > 0 && *o.normalize_total < 1e30)) {
    return Status::invalid_argument(
        fmt::format("normalize_total must be a positive number, not {}", *o.normalize_total));
  }
  const NumericType type = numeric_type(o.dtype);
  // log1p(1) is 0.69, which an integer type would make 0.
  if ((o.normalize_total || o.log1p) && !is_floating(type)) {
    return Status::invalid_argument(fmt::format("{} gives fractions, dtype={} has none: use a floating dtype",
                                                o.normalize_total ? "normalize_total" : "log1p",
                                                numeric_name(type)));
  }
  return {};
}

// Names are what a batch's columns are looked up by, so two of the same name would hide one another. The
// lists have no more than 64 names, for which comparing each with all before it is quick enough.
Status check_twice(const char* what, const std::vector<std::string>& names) {
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (std::find(names.begin(), name, *name) != name)
      return Status::invalid_argument(fmt::format("{} '{}' is named twice", what, *name));
  }
  return {};
}

}  // namespace

Status check_options(const LoaderOptions& o) {
  if (o.batch_size == 0 || o.batch_size >= kMaxBatch) {
    return Status::invalid_argument(
        fmt::format("batch_size must be between 1 and {}, not {}", kMaxBatch - 1, o.batch_size));
  }
  if (o.world_size == 0 || o.rank >= o.world_size) {
    return Status::invalid_argument(
        fmt::format("rank must be in [0, world_size): rank {} of {}", o.rank, o.world_size));
  }
  // 0 is not refused: it means that the planner chooses.
  if (o.threads > kMaxThreads || o.io_threads > kMaxThreads) {
    return Status::invalid_argument(fmt::format("threads and io_threads must be at most {}", kMaxThreads));
  }
  if (o.obs.size() > plan::SlotLayout::kMaxColumns) {
    return Status::invalid_argument(
        fmt::format("at most {} obs columns can travel with the rows, {} were asked for; join the rest "
                    "through batch.index",
                    plan::SlotLayout::kMaxColumns, o.obs.size()));
  }
  if (o.epoch_size > plan::kMostEpochRows) {
    return Status::invalid_argument(fmt::format("epoch_size must be at most {}, not {}",
                                                format_count(plan::kMostEpochRows),
                                                format_count(o.epoch_size)));
  }
  PENSTOCK_RETURN_IF_ERROR(check_transforms(o));
  if (o.obsm.size() > plan::SlotLayout::kMaxObsm) {
    return Status::invalid_argument(
        fmt::format("at most {} entries of obsm can travel with the rows, {} were asked for",
                    plan::SlotLayout::kMaxObsm, o.obsm.size()));
  }
  PENSTOCK_RETURN_IF_ERROR(check_twice("obs column", o.obs));
  return check_twice("obsm", o.obsm);
}

}  // namespace penstock::loader
