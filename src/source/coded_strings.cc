// A column of strings becomes numbers: each distinct string is kept once, sorted, and each row has the place
// of its string in that list, in as few bytes as the list's length needs.
//
//     rows      b a - b c       first seen    b 1, a 2, c 3      codes + 1    1 2 0 1 3
//     sorted    a b c           renumbered    b 2, a 1, c 3      codes + 1    2 1 0 2 3
//
// The column is read once, slab by slab. Codes have 4 bytes a row until all strings are known, since neither
// their order nor how many bytes a code takes is known before. Sorting makes the codes independent of the
// order of rows: two files with the same strings have the same list.
//
// A column with more than kMaxDistinctStrings different ones (barcodes, names of cells) makes no label, and
// is refused as soon as that many were seen.
#include "source/coded_strings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>
#include <unordered_map>

#include "memory/reserve_for.h"
#include "source/codes_in_memory.h"
#include "source/column_text.h"

namespace penstock {

namespace {

// The bounds leave room for the 0 of missing values: codes are stored as code + 1.
std::size_t code_width(std::size_t n_names) { return n_names < 255 ? 1 : n_names < 65'535 ? 2 : 4; }

// One code a row, in as few bytes as all of them need. Stores code + 1 so that 0 is missing.
class NarrowCodes {
 public:
  NarrowCodes(const std::vector<std::uint32_t>& codes_plus_1, std::size_t n_names)
      : width_(code_width(n_names)), codes_(codes_plus_1.size() * width_) {
    // Little-endian: the low bytes are the narrow number.
    for (std::size_t i = 0; i < codes_plus_1.size(); ++i) {
      std::memcpy(codes_.data() + i * width_, &codes_plus_1[i], width_);
    }
  }
  std::int32_t operator()(RowIndex row) const {
    std::int32_t code = 0;
    std::memcpy(&code, codes_.data() + row * width_, width_);
    return code - 1;
  }

 private:
  const std::size_t width_;
  std::vector<std::byte> codes_;
};

// Distinct strings in the order of their first appearance, and every row's number among them + 1.
class Coder {
 public:
  static constexpr ByteCount kBytesPerName = 96;  // of a hash node beside the characters, twice while sorting

  // False when there are too many.
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
  // renumbered[0] stays 0, so that missing rows need no test.
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
  // Known before anything is read. What strings take is added slab by slab, as they turn up.
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
  // Both forms of the codes are there while the narrow one is made.
  const ByteCount both = fixed + coder.name_bytes() + n * code_width(result->names.size());
  PENSTOCK_RETURN_IF_ERROR(resize_for(column.where(), budget, result->held, MemoryTag::obs, both));
  result->column =
      std::make_shared<CodesInMemory<NarrowCodes>>(n, NarrowCodes(coder.codes(), result->names.size()));
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
