#include "source/coded_strings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>
#include <unordered_map>

#include "memory/reserve_for.h"
#include "source/column_text.h"

namespace penstock {

namespace {

std::size_t code_width(std::size_t n_names) { return n_names < 255 ? 1 : n_names < 65'535 ? 2 : 4; }

// Stores code + 1 so that 0 is missing.
class CodedColumn final : public ObsColumn {
 public:
  CodedColumn(const std::vector<std::uint32_t>& codes_plus_1, std::size_t n_names)
      : n_rows_(codes_plus_1.size()), width_(code_width(n_names)), codes_(codes_plus_1.size() * width_) {
    // Little-endian: the low bytes are the narrow number.
    for (std::size_t i = 0; i < n_rows_; ++i)
      std::memcpy(codes_.data() + i * width_, &codes_plus_1[i], width_);
  }

  ObsKind kind() const override { return ObsKind::category; }
  RowIndex n_rows() const override { return n_rows_; }
  // In memory already: nothing to read, so any range is served at any time.
  bool streamable() const override { return true; }
  Status requests(RowRange, RequestList&) const override { return {}; }
  ByteCount scratch_bytes(RowIndex) const override { return 0; }

  Status decode(RowRange rows, const Fetched&, Scratch&, std::span<std::byte> out) const override {
    if (rows.last > n_rows_ || out.size() != rows.size() * sizeof(std::int32_t)) {
      return Status::internal("rows of a string column that are not there");
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::int32_t code = 0;
      std::memcpy(&code, codes_.data() + (rows.first + i) * width_, width_);
      --code;
      std::memcpy(out.data() + i * sizeof(code), &code, sizeof(code));
    }
    return {};
  }

 private:
  const std::size_t n_rows_, width_;
  std::vector<std::byte> codes_;
};

// Distinct strings in the order of their first appearance, and every row's number among them + 1.
class Coder {
 public:
  static constexpr ByteCount kBytesPerName = 96;  // of a hash node beside the characters, twice while sorting

  bool add(std::string&& text, bool missing) {
    if (missing) {
      codes_.push_back(0);
      return true;
    }
    const auto [at, fresh] =
        numbers_.try_emplace(std::move(text), static_cast<std::uint32_t>(numbers_.size()));
    if (fresh) characters_ += at->first.size();
    codes_.push_back(at->second + 1);
    return numbers_.size() <= kMaxDistinctStrings;
  }

  ByteCount name_bytes() const { return numbers_.size() * 2 * kBytesPerName + 2 * characters_; }

  // Renumbers by sorted name.
  std::vector<std::string> sort() {
    std::vector<std::pair<std::string, std::uint32_t>> names(numbers_.begin(), numbers_.end());
    std::sort(names.begin(), names.end());
    std::vector<std::uint32_t> renumbered(names.size() + 1, 0);
    std::vector<std::string> sorted;
    sorted.reserve(names.size());
    for (std::uint32_t i = 0; i < names.size(); ++i) {
      renumbered[names[i].second + 1] = i + 1;
      sorted.push_back(std::move(names[i].first));
    }
    for (std::uint32_t& code : codes_) code = renumbered[code];
    return sorted;
  }

  std::vector<std::uint32_t>& codes() { return codes_; }

 private:
  std::unordered_map<std::string, std::uint32_t> numbers_;
  std::vector<std::uint32_t> codes_;
  ByteCount characters_ = 0;
};

Status too_many(const TableColumn& column) {
  return Status::invalid_argument(fmt::format(
      "{}: more than {} distinct strings make no label; look rows up by number instead: batch.index "
      "gives the rows of a batch, and ds.obs_names or ds.obs the strings",
      column.where(), format_count(kMaxDistinctStrings)));
}

Result<std::shared_ptr<const CodedStrings>> code(const TableColumn& column, MemoryBudget& budget) {
  const std::uint64_t n = column.size(), step = column.rows_at_once();
  auto result = std::make_shared<CodedStrings>();
  // While coding: 4 bytes a row, the strings of a slab, and every distinct string.
  const ByteCount fixed = n * sizeof(std::uint32_t) + std::min(n, step) * (sizeof(std::string) + 32);
  PENSTOCK_ASSIGN_OR_RETURN(result->held, reserve_for(column.where(), budget, MemoryTag::obs, fixed));
  Coder coder;
  coder.codes().reserve(n);
  for (std::uint64_t first = 0; first < n; first += step) {
    PENSTOCK_ASSIGN_OR_RETURN(Column rows, column.read(first, std::min(step, n - first), 0));
    for (std::size_t i = 0; i < rows.strings.size(); ++i) {
      const bool missing = !rows.missing.empty() && rows.missing[i] != 0;
      if (!coder.add(std::move(rows.strings[i]), missing)) return too_many(column);
    }
    PENSTOCK_RETURN_IF_ERROR(
        resize_for(column.where(), budget, result->held, MemoryTag::obs, fixed + coder.name_bytes()));
  }
  result->names = coder.sort();
  const ByteCount both = fixed + coder.name_bytes() + n * code_width(result->names.size());
  PENSTOCK_RETURN_IF_ERROR(resize_for(column.where(), budget, result->held, MemoryTag::obs, both));
  result->column = std::make_shared<CodedColumn>(coder.codes(), result->names.size());
  (void)result->held.resize(n * code_width(result->names.size()) + string_bytes(result->names));  // shrinks
  return std::shared_ptr<const CodedStrings>(std::move(result));
}

}  // namespace

Result<std::shared_ptr<const CodedStrings>> code_strings(const TableColumn& column, MemoryBudget& budget) {
  try {
    return code(column, budget);
  } catch (const std::bad_alloc&) {
    return Status::budget(column.where() + ": the system has no memory for its codes");
  }
}

}  // namespace penstock
