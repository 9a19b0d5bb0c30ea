// From what the user says (an array, a column, a class to balance by) to whole numbers that add up to about
// 2^62.
//
// Why whole numbers: every rank and machine must place the same copies, and a sum of fractions depends on the
// order in which they are added. 2^62 because a product with the rows of an epoch, up to 2^33, fits into 128
// bits, and because rounding each of a billion rows is then off by less than a billionth in total.
//
// Example: two classes to balance, of 3 rows and of 1 row, all with given weight 1. Each class gets half of
// 2^62:
//
//     class 0    sum 3, scale 2^61 / 3    each row weighs about 2^61 / 3
//     class 1    sum 1, scale 2^61        its row weighs 2^61 and comes three times as often
//
// Three passes over the columns use each_row(): build() adds up the classes, draw() takes rows for measuring
// what a typical row is like, and sum() adds up the blocks. Nothing is kept for each row; of() works a weight
// out again whenever a block is decoded, from the labels that came with it.

#include "setup/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/load.h"
#include "base/names.h"
#include "base/permutation.h"
#include "dataset/selection.h"
#include "memory/reserve_for.h"
#include "setup/label_reader.h"

namespace penstock::loader {
namespace {

constexpr RowIndex kRowsAtOnce = 1 << 16;
constexpr std::uint64_t kMostClasses = 1 << 20;  // of a column of integers
constexpr ByteCount kClassBytes = 64;            // of a number in a hash table and its sums

// Calls visit(file, row, position, view) for each selected row in order, with the columns read; it returns a
// Status.
template <class Visit>
Status each_row(const RowLabels& labels, std::span<const internal::FilePart> parts, MemoryBudget& budget,
                Visit visit) {
  LabelReader reader(&labels, budget);
  std::uint64_t position = 0;
  for (std::uint32_t file = 0; file < parts.size(); ++file) {
    const internal::FilePart& part = parts[file];
    internal::RowCursor cursor(part);
    const RowIndex n = part.source->traits().n_rows;
    for (RowIndex first = 0; first < n; first += kRowsAtOnce) {
      const RowRange range{first, std::min(n, first + kRowsAtOnce)};
      // A stretch without a selected row is not read.
      if (!cursor.before(range.last)) continue;
      PENSTOCK_ASSIGN_OR_RETURN(const RowLabels::View view, reader.read(file, range));
      while (cursor.before(range.last)) {
        PENSTOCK_RETURN_IF_ERROR(visit(file, cursor.next(), position, view));
        ++position;
      }
    }
  }
  return {};
}

// A column by name; the last of that name, which has the Dataset's own categories. A user may ask for a
// column as a label with categories of their own, and weigh by the same column. Then it is there twice, and
// weights go by all of its values.
std::optional<std::size_t> find(const RowLabels& labels, const std::string& name) {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < labels.all_columns().size(); ++i) {
    if (labels.all_columns()[i].name == name) found = i;
  }
  return found;
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
                                                  const internal::LabelColumn& label) {
  std::vector<std::string> names = label.categories;
  if (label.kind == ObsKind::boolean) {
    names = {"False", "True"};
  } else if (label.kind != ObsKind::category) {
    return Status::invalid_argument(
        fmt::format("weights: obs '{}' holds numbers; weights by value are for categories", label.name));
  }
  // Entry 0 is for code -1, a missing value.
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
  return o.epoch_size != 0 || !o.balance.empty() || o.balance_labels || !o.weights_column.empty() ||
         o.weights;
}

std::vector<std::string> hidden_columns(const LoaderOptions& o) {
  std::vector<std::string> out;
  for (const std::string& name : {o.balance, o.weights_column}) {
    const bool travels =
        std::find(o.obs.begin(), o.obs.end(), name) != o.obs.end() && !o.categories.contains(name);
    // A column that travels with categories of the user's own does not serve: values that are not among them
    // are -1 there, and could not be told apart.
    if (!name.empty() && !travels && std::find(out.begin(), out.end(), name) == out.end())
      out.push_back(name);
  }
  return out;
}

Result<std::vector<internal::LabelColumn>> label_columns(const internal::DatasetImpl& data,
                                                         const LoaderOptions& options) {
  std::vector<internal::LabelColumn> out;
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

// In three parts: is what is asked for consistent, how much memory does it take, and then one pass that adds
// up the given weights of each class. Every refusal that needs no reading comes before the pass.
Result<RowWeights> RowWeights::build(const LoaderOptions& options, const RowLabels& labels,
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
  if (options.balance_labels && !options.balance.empty()) {
    return Status::invalid_argument("balance: labels or an obs column, not both");
  }
  if (options.balance_labels && options.balance_labels->size() != n_rows) {
    return Status::invalid_argument(
        fmt::format("balance: {} labels for {} selected rows: one each, in their order",
                    format_count(options.balance_labels->size()), format_count(n_rows)));
  }
  std::uint64_t n_classes = 1;
  ByteCount bytes = 0;
  out.labels_ = options.balance_labels;
  if (out.labels_ && n_rows > 0) {
    // The largest label sizes the table of classes, so it is bounded before anything is allocated.
    const auto [least, largest] = std::minmax_element(out.labels_->begin(), out.labels_->end());
    if (*least < 0 || static_cast<std::uint64_t>(*largest) >= kMostClasses) {
      return Status::invalid_argument(
          fmt::format("balance: a label is class {}; classes are numbers from 0 to less than {}",
                      *least < 0 ? *least : *largest, format_count(kMostClasses)));
    }
    n_classes = static_cast<std::uint64_t>(*largest) + 1;
    bytes += n_rows * sizeof(std::int32_t) + n_classes * kClassBytes;
  }
  if (!options.balance.empty()) {
    out.class_column_ = find(labels, options.balance);
    const internal::LabelColumn& label = labels.all_columns()[*out.class_column_];
    out.class_kind_ = label.kind;
    if (label.kind == ObsKind::floating32 || label.kind == ObsKind::floating64) {
      return Status::invalid_argument(
          fmt::format("balance: obs '{}' holds fractions or missing numbers; balance by categories, strings, "
                      "integers or booleans",
                      label.name));
    }
    // Integers are numbered in the order in which they are met, since nobody knows them before.
    n_classes = label.kind == ObsKind::category  ? label.categories.size()
                : label.kind == ObsKind::boolean ? 2
                                                 : 0;
    bytes += n_classes * kClassBytes;
  }
  if (!options.weights_column.empty()) {
    out.given_column_ = find(labels, options.weights_column);
    const internal::LabelColumn& label = labels.all_columns()[*out.given_column_];
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
  // `bytes` grows with every new integer, and the reservation before the table does.
  const auto add_to_class = [&](std::uint32_t file, RowIndex row, std::uint64_t position,
                                const RowLabels::View& view) -> Status {
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
    } else if (out.class_column_ || out.labels_) {
      c = out.class_of(view, row, position);
      // Code -1 as an unsigned number is above all classes. Such rows are counted and not refused one by one,
      // so that the message can say how many there are.
      if (c >= classes.size()) {
        ++missing;
        return {};
      }
    }
    const double weight = out.given(view, row, position);
    // Written so that NaN, which compares as false to everything, is refused as well.
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
  // Classes without a row (a category that the selection leaves out) get no share.
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
    // Weights of 1e-308 each are valid numbers, but a share divided by their sum overflows.
    if (!std::isfinite(out.scale_[c])) {
      return Status::invalid_argument(fmt::format(
          "weights: their sum is {}, too small to divide by; multiply all of them by 1e300", classes[c].sum));
    }
    out.largest_ = std::max(out.largest_, classes[c].largest * out.scale_[c]);
  }
  return out;
}

// What the largest weight is due in whole copies, and one more: Note [Systematic sampling]. The factor makes
// up for rounding in the division.
std::uint64_t RowWeights::most_copies(std::uint64_t epoch_rows) const {
  return static_cast<std::uint64_t>(std::min(largest_ / sum_ * static_cast<double>(epoch_rows) * (1 + 1e-9),
                                             static_cast<double>(plan::kMostEpochRows))) +
         1;
}

double RowWeights::given(const RowLabels::View& labels, RowIndex row, std::uint64_t position) const {
  if (array_) return (*array_)[position];
  if (!given_column_) return 1;
  std::byte value[8];
  labels.read(*given_column_, row, value);
  if (by_category_.empty()) return number(given_kind_, value);
  return by_category_[given_kind_ == ObsKind::boolean
                          ? 1 + static_cast<std::size_t>(number(given_kind_, value))
                          : static_cast<std::size_t>(load<std::int32_t>(value) + 1)];
}

std::uint32_t RowWeights::class_of(const RowLabels::View& labels, RowIndex row,
                                   std::uint64_t position) const {
  if (labels_) return static_cast<std::uint32_t>((*labels_)[position]);
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

std::uint64_t RowWeights::of(const RowLabels::View& labels, RowIndex row, std::uint64_t position) const {
  if (!weighted()) return 1;
  // A file that changes under us may have other classes now: such rows do not come. build() has numbered all
  // values that the column had, so a number from outside can only be new in the file.
  const std::uint32_t c = class_of(labels, row, position);
  if (c >= scale_.size()) return 0;
  const double weight = given(labels, row, position) * scale_[c];
  // No row weighs more than all of them should. Where the file has changed a weight may be anything, and
  // converting too large a double to an integer is undefined.
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

Result<std::vector<RowWeights::Drawn>> RowWeights::draw(std::uint64_t n, const RowLabels& labels,
                                                        std::span<const internal::FilePart> parts,
                                                        MemoryBudget& budget) const {
  std::vector<Drawn> out;
  // Equal distances on the axis of all weights, the first point in the middle of a stretch: rows come as
  // often as they weigh, without a random number.
  const double apart = sum_ / static_cast<double>(n);
  double at = 0, next = apart / 2;
  const auto add = [&](std::uint32_t file, RowIndex row, std::uint64_t position,
                       const RowLabels::View& view) -> Status {
    at += static_cast<double>(of(view, row, position));
    for (; next < at && out.size() < n; next += apart) out.push_back({file, row});
    return {};
  };
  PENSTOCK_RETURN_IF_ERROR(each_row(labels, parts, budget, add));
  return out;
}

Result<RowWeights::Summed> RowWeights::sum(const LoaderOptions& options, const plan::BlockTable& blocks,
                                           const RowLabels& labels, std::uint64_t epoch_size,
                                           std::span<const internal::FilePart> parts,
                                           MemoryBudget& budget) const {
  PENSTOCK_ASSIGN_OR_RETURN(auto sampling, plan::Sampling::reserve(blocks.size(), options.seed, budget));
  const double epoch = static_cast<double>(epoch_size);
  if (!weighted()) {
    for (std::uint64_t b = 0; b < blocks.size(); ++b) sampling.set_mass(b, blocks[b].selected);
    PENSTOCK_RETURN_IF_ERROR(sampling.finish({epoch_size, blocks.rows(), false, options.shuffle}));
    return Summed{std::move(sampling), std::min(epoch, static_cast<double>(blocks.rows())), 0};
  }
  // What a weight must be for its row to come once in each epoch. A row of half that weight comes in every
  // other epoch and counts as half a row that is different from the others.
  double distinct = 0;
  const double once = sum_ / epoch;
  std::uint64_t b = 0, mass = 0, digest = 0;
  const auto add_to_block = [&](std::uint32_t file, RowIndex row, std::uint64_t position,
                                const RowLabels::View& view) -> Status {
    // Rows and blocks ascend together, and each selected row lies in a block, so the loop ends before the
    // table does. Blocks it passes have had all their rows.
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
