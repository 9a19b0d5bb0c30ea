#include "loader/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "base/names.h"
#include "base/permutation.h"
#include "dataset/selection.h"
#include "loader/label_reader.h"
#include "memory/reserve_for.h"

namespace penstock::loader {
namespace {

constexpr RowIndex kRowsAtOnce = 1 << 16;
constexpr std::uint64_t kMostClasses = 1 << 20;  // of a column of integers
constexpr ByteCount kClassBytes = 64;            // of a number in a hash table and its sums

// Calls visit(file, row, position, view) for each selected row in order, with the columns read; it returns a
// Status.
template <class Visit>
Status each_row(const Labels& labels, std::span<const internal::FilePart> parts, MemoryBudget& budget,
                Visit visit) {
  PENSTOCK_ASSIGN_OR_RETURN(auto reader, LabelReader::make(&labels, budget));
  std::uint64_t position = 0;
  for (std::uint32_t file = 0; file < parts.size(); ++file) {
    const internal::FilePart& part = parts[file];
    internal::RowCursor cursor(part);
    const RowIndex n = part.source->traits().n_rows;
    for (RowIndex first = 0; first < n; first += kRowsAtOnce) {
      const RowRange range{first, std::min(n, first + kRowsAtOnce)};
      if (!cursor.before(range.last)) continue;
      PENSTOCK_ASSIGN_OR_RETURN(const Labels::View view, reader.read(file, range));
      while (cursor.before(range.last)) {
        PENSTOCK_RETURN_IF_ERROR(visit(file, cursor.next(), position, view));
        ++position;
      }
    }
  }
  return {};
}

// A column by name; the last of that name, which has the Dataset's own categories.
std::optional<std::size_t> find(const Labels& labels, const std::string& name) {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < labels.all_columns().size(); ++i) {
    if (labels.all_columns()[i].name == name) found = i;
  }
  return found;
}

template <class T>
T load(const std::byte* value) {
  T out;
  std::memcpy(&out, value, sizeof(out));
  return out;
}

double number(ObsKind kind, const std::byte* value) {
  switch (kind) {
    case ObsKind::boolean:
      return std::to_integer<std::uint8_t>(*value) != 0 ? 1 : 0;
    case ObsKind::integer:
      return static_cast<double>(load<std::int64_t>(value));
    case ObsKind::floating32:
      return static_cast<double>(load<float>(value));
    default:
      return load<double>(value);
  }
}

// The given weights of a column's categories, [code + 1]; a missing value and categories that are not named
// weigh 1.
Result<std::vector<double>> weights_of_categories(const LoaderOptions& options,
                                                  const internal::Label& label) {
  std::vector<std::string> names = label.categories;
  if (label.kind == ObsKind::boolean) {
    names = {"False", "True"};
  } else if (label.kind != ObsKind::category) {
    return Status::invalid_argument(
        fmt::format("weights: obs '{}' holds numbers; weights by value are for categories", label.name));
  }
  std::vector<double> out(names.size() + 1, 1.0);
  for (const auto& [name, weight] : options.category_weights) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      return Status::not_found(fmt::format("weights: obs '{}' has no category '{}'; {}", label.name, name,
                                           suggest_names(name, names)));
    }
    out[static_cast<std::size_t>(found - names.begin()) + 1] = weight;
  }
  return out;
}

}  // namespace

bool is_sampled(const LoaderOptions& o) {
  return o.epoch_size != 0 || !o.balance.empty() || !o.weights_column.empty() || o.weights;
}

std::vector<std::string> hidden_columns(const LoaderOptions& o) {
  std::vector<std::string> out;
  for (const std::string& name : {o.balance, o.weights_column}) {
    const bool travels =
        std::find(o.obs.begin(), o.obs.end(), name) != o.obs.end() && !o.categories.contains(name);
    if (!name.empty() && !travels && std::find(out.begin(), out.end(), name) == out.end())
      out.push_back(name);
  }
  return out;
}

Result<std::vector<internal::Label>> label_columns(const internal::DatasetImpl& data,
                                                   const LoaderOptions& options) {
  std::vector<internal::Label> out;
  for (const std::string& name : options.obs) {
    const auto given = options.categories.find(name);
    PENSTOCK_ASSIGN_OR_RETURN(auto label,
                              data.label(name, given == options.categories.end() ? nullptr : &given->second));
    out.push_back(std::move(label));
  }
  for (const std::string& name : hidden_columns(options)) {
    PENSTOCK_ASSIGN_OR_RETURN(auto label, data.label(name, nullptr));
    out.push_back(std::move(label));
  }
  return out;
}

Result<RowWeights> RowWeights::build(const LoaderOptions& options, const Labels& labels,
                                     std::span<const internal::FilePart> parts, MemoryBudget& budget) {
  RowWeights out;
  std::uint64_t n_rows = 0;
  for (const auto& part : parts) {
    out.first_position_.push_back(n_rows);
    n_rows += part.n_selected;
  }
  out.sum_ = static_cast<double>(n_rows);
  if (options.weights && !options.weights_column.empty()) {
    return Status::invalid_argument("weights: an array or an obs column, not both");
  }
  if (options.weights && options.weights->size() != n_rows) {
    return Status::invalid_argument(
        fmt::format("weights: {} numbers for {} selected rows: one each, in their order",
                    format_count(options.weights->size()), format_count(n_rows)));
  }
  std::uint64_t n_classes = 1;
  ByteCount bytes = 0;
  if (!options.balance.empty()) {
    out.class_column_ = find(labels, options.balance);
    const internal::Label& label = labels.all_columns()[*out.class_column_];
    out.class_kind_ = label.kind;
    if (label.kind == ObsKind::floating32 || label.kind == ObsKind::floating64) {
      return Status::invalid_argument(
          fmt::format("balance: obs '{}' holds fractions or missing numbers; balance by categories, strings, "
                      "integers or booleans",
                      label.name));
    }
    n_classes = label.kind == ObsKind::category  ? label.categories.size()
                : label.kind == ObsKind::boolean ? 2
                                                 : 0;
    bytes += n_classes * kClassBytes;
  }
  if (!options.weights_column.empty()) {
    out.given_column_ = find(labels, options.weights_column);
    const internal::Label& label = labels.all_columns()[*out.given_column_];
    out.given_kind_ = label.kind;
    if (!options.category_weights.empty()) {
      PENSTOCK_ASSIGN_OR_RETURN(out.by_category_, weights_of_categories(options, label));
      bytes += out.by_category_.size() * sizeof(double);
    } else if (label.kind == ObsKind::category) {
      return Status::invalid_argument(
          fmt::format("weights: obs '{}' holds categories, not numbers; say what each weighs: "
                      "weights={{'{}': {{category: weight, ...}}}}",
                      label.name, label.name));
    }
  }
  out.array_ = options.weights;
  if (out.array_) bytes += n_rows * sizeof(double);
  PENSTOCK_ASSIGN_OR_RETURN(out.held_, reserve_for("weights", budget, MemoryTag::obs, bytes));
  if (!out.weighted()) {
    out.scale_[0] = 1;
    return out;
  }

  struct OfClass {
    double sum = 0, largest = 0;
  };
  std::vector<OfClass> classes(n_classes);
  std::uint64_t missing = 0;
  const auto add_to_class = [&](std::uint32_t file, RowIndex row, std::uint64_t position,
                                const Labels::View& view) -> Status {
    std::uint32_t c = 0;
    if (out.class_column_ && out.class_kind_ == ObsKind::integer) {
      std::byte value[8];
      view.read(*out.class_column_, row, value);
      const auto [found, is_new] = out.class_numbers_.try_emplace(load<std::int64_t>(value),
                                                                  static_cast<std::uint32_t>(classes.size()));
      c = found->second;
      if (is_new) {
        if (classes.size() == kMostClasses) {
          return Status::invalid_argument(fmt::format("balance: obs '{}' has more than {} different values",
                                                      options.balance, format_count(kMostClasses)));
        }
        bytes += kClassBytes;
        PENSTOCK_RETURN_IF_ERROR(resize_for("classes to balance", budget, out.held_, MemoryTag::obs, bytes));
        classes.emplace_back();
      }
    } else if (out.class_column_) {
      c = out.class_of(view, row);
      if (c >= classes.size()) {
        ++missing;
        return {};
      }
    }
    const double weight = out.given(view, row, position);
    if (!(weight >= 0) || !std::isfinite(weight)) {
      return Status::invalid_argument(
          fmt::format("weights: the weight of row {} of {} is {}; weights are finite numbers >= 0", row,
                      parts[file].source->label(), weight));
    }
    classes[c].sum += weight;
    classes[c].largest = std::max(classes[c].largest, weight);
    return {};
  };
  PENSTOCK_RETURN_IF_ERROR(each_row(labels, parts, budget, add_to_class));
  if (missing > 0) {
    return Status::invalid_argument(fmt::format(
        "balance: {} of {} rows have no value in obs '{}' and so belong to no class; leave them out, "
        "ds.query(\"{}.notnull()\")",
        format_count(missing), format_count(n_rows), options.balance, options.balance));
  }
  const auto present =
      std::count_if(classes.begin(), classes.end(), [](const OfClass& c) { return c.sum > 0; });
  out.sum_ = static_cast<double>(plan::kMass);
  const double share = out.sum_ / static_cast<double>(std::max<std::ptrdiff_t>(1, present));
  out.scale_.assign(classes.size(), 0);
  out.largest_ = 0;
  for (std::size_t c = 0; c < classes.size(); ++c) {
    if (!std::isfinite(classes[c].sum))
      return Status::invalid_argument("weights: their sum is no finite number");
    if (classes[c].sum > 0) out.scale_[c] = share / classes[c].sum;
    if (!std::isfinite(out.scale_[c])) {
      return Status::invalid_argument(fmt::format(
          "weights: their sum is {}, too small to divide by; multiply all of them by 1e300", classes[c].sum));
    }
    out.largest_ = std::max(out.largest_, classes[c].largest * out.scale_[c]);
  }
  return out;
}

std::uint64_t RowWeights::most_copies(std::uint64_t epoch_rows) const {
  return static_cast<std::uint64_t>(std::min(largest_ / sum_ * static_cast<double>(epoch_rows) * (1 + 1e-9),
                                             static_cast<double>(plan::kMostEpochRows))) +
         1;
}

double RowWeights::given(const Labels::View& labels, RowIndex row, std::uint64_t position) const {
  if (array_) return (*array_)[position];
  if (!given_column_) return 1;
  std::byte value[8];
  labels.read(*given_column_, row, value);
  if (by_category_.empty()) return number(given_kind_, value);
  return by_category_[given_kind_ == ObsKind::boolean
                          ? 1 + static_cast<std::size_t>(number(given_kind_, value))
                          : static_cast<std::size_t>(load<std::int32_t>(value) + 1)];
}

std::uint32_t RowWeights::class_of(const Labels::View& labels, RowIndex row) const {
  if (!class_column_) return 0;
  std::byte value[8];
  labels.read(*class_column_, row, value);
  switch (class_kind_) {
    case ObsKind::boolean:
      return std::to_integer<std::uint8_t>(*value) != 0 ? 1 : 0;
    case ObsKind::integer: {
      const auto found = class_numbers_.find(load<std::int64_t>(value));
      return found == class_numbers_.end() ? static_cast<std::uint32_t>(scale_.size()) : found->second;
    }
    default: {
      const auto code = load<std::int32_t>(value);
      return code < 0 ? static_cast<std::uint32_t>(-1) : static_cast<std::uint32_t>(code);
    }
  }
}

std::uint64_t RowWeights::of(const Labels::View& labels, RowIndex row, std::uint64_t position) const {
  if (!weighted()) return 1;
  // A file that changes under us may have other classes now: such rows do not come.
  const std::uint32_t c = class_of(labels, row);
  if (c >= scale_.size()) return 0;
  const double weight = given(labels, row, position) * scale_[c];
  return weight > 0 && weight <= 2 * static_cast<double>(plan::kMass)
             ? static_cast<std::uint64_t>(std::llround(weight))
             : 0;
}

std::uint64_t RowWeights::position(std::uint32_t file, RowIndex row, const internal::FilePart& part) const {
  const std::uint64_t before = part.selected == nullptr ? row
                               : row == 0               ? 0
                                          : part.selected->rank(static_cast<std::uint32_t>(row - 1));
  return first_position_[file] + before;
}

Result<std::vector<RowWeights::Drawn>> RowWeights::draw(std::uint64_t n, const Labels& labels,
                                                        std::span<const internal::FilePart> parts,
                                                        MemoryBudget& budget) const {
  std::vector<Drawn> out;
  const double apart = sum_ / static_cast<double>(n);
  double at = 0, next = apart / 2;
  const auto add = [&](std::uint32_t file, RowIndex row, std::uint64_t position,
                       const Labels::View& view) -> Status {
    at += static_cast<double>(of(view, row, position));
    for (; next < at && out.size() < n; next += apart) out.push_back({file, row});
    return {};
  };
  PENSTOCK_RETURN_IF_ERROR(each_row(labels, parts, budget, add));
  return out;
}

Result<RowWeights::Summed> RowWeights::sum(const LoaderOptions& options, const plan::BlockTable& blocks,
                                           const Labels& labels, std::uint64_t epoch_size,
                                           std::span<const internal::FilePart> parts,
                                           MemoryBudget& budget) const {
  PENSTOCK_ASSIGN_OR_RETURN(auto sampling, plan::Sampling::reserve(blocks.size(), options.seed, budget));
  const double epoch = static_cast<double>(epoch_size);
  if (!weighted()) {
    for (std::uint64_t b = 0; b < blocks.size(); ++b) sampling.set_mass(b, blocks[b].selected);
    PENSTOCK_RETURN_IF_ERROR(sampling.finish({epoch_size, blocks.rows(), false, options.shuffle}));
    return Summed{std::move(sampling), std::min(epoch, static_cast<double>(blocks.rows())), 0};
  }
  // What a weight must be for its row to come once in each epoch.
  double distinct = 0;
  const double once = sum_ / epoch;
  std::uint64_t b = 0, mass = 0, digest = 0;
  const auto add_to_block = [&](std::uint32_t file, RowIndex row, std::uint64_t position,
                                const Labels::View& view) -> Status {
    while (blocks[b].file != file || row >= std::uint64_t{blocks[b].first_row} + blocks[b].rows) {
      sampling.set_mass(b++, std::exchange(mass, 0));
    }
    const std::uint64_t weight = of(view, row, position);
    mass += weight;
    digest += mix64(position ^ mix64(weight));  // a sum: quicker than a chain
    distinct += std::min(1.0, static_cast<double>(weight) / once);
    return {};
  };
  PENSTOCK_RETURN_IF_ERROR(each_row(labels, parts, budget, add_to_block));
  if (b < blocks.size()) sampling.set_mass(b, mass);
  PENSTOCK_RETURN_IF_ERROR(sampling.finish({epoch_size, blocks.rows(), true, options.shuffle}));
  return Summed{std::move(sampling), std::min(epoch, distinct), digest};
}

}  // namespace penstock::loader
