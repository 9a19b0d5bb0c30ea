// What pandas writes of a DataFrame's index, in the key-value metadata `pandas`: either names of columns that
// hold it, or the range that it was. Of a table with 60,000 columns the description has megabytes, of which a
// few words are wanted, so that it is not made into a tree. The parser calls a handler for each word instead,
// which keeps track of where it is:
//
//     depth 0  {                                          the description
//     depth 1    "index_columns": [                        wanted_: the key at depth 1 is this one
//     depth 2      "cell_id",                              in_list_: an element, a level of the index
//     depth 2      {"kind": "range",                       or an object that describes a range,
//     depth 3       "start": 0, "stop": 7, "step": 1}      with numbers at depth 3
//                ],
//              "columns": [{...}, ...] }                   passed over
//
// An error in the text, or a description that is no object, ends the parsing, and the rows are numbered 0, 1,
// 2, ...
#include "parquet/pandas_index.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/checked.h"

namespace penstock::parquet {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostLevels = 64;  // of an index; more are no description of one

// How many numbers range(start, stop, step) has. Differences are unsigned: they may not fit into int64.
std::uint64_t range_length(std::int64_t start, std::int64_t stop, std::int64_t step) {
  const auto from = static_cast<std::uint64_t>(start), to = static_cast<std::uint64_t>(stop);
  const auto by = static_cast<std::uint64_t>(step);
  if (step > 0 && stop > start) return ceil_div(to - from, by);
  // 0 - by, and not -step: the least int64 has no positive counterpart.
  if (step < 0 && stop < start) return ceil_div(from - to, std::uint64_t{0} - by);
  return 0;
}

// Picks {"index_columns": ["name", {"start": 0, "stop": 7, "step": 1}, ...]} out of a description while it is
// parsed: the descriptions of all columns lie beside it.
class IndexColumns final : public nlohmann::json_sax<Json> {
 public:
  std::set<std::string, std::less<>> columns;
  std::size_t n_levels = 0;
  bool has_range = false;  // a level that is an object
  std::int64_t start = 0, stop = 0, step = 0;

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(std::int64_t n) override { return number(n); }
  bool number_unsigned(std::uint64_t n) override {
    return n > INT64_MAX ? value() : number(static_cast<std::int64_t>(n));
  }
  bool number_float(double, const std::string&) override { return value(); }
  bool binary(Json::binary_t&) override { return value(); }
  bool string(std::string& text) override {
    if (is_level() && n_levels < kMostLevels) columns.insert(std::move(text));
    return value();
  }
  bool start_object(std::size_t) override {
    if (is_level()) has_range = true;
    return open(false);
  }
  bool start_array(std::size_t) override {
    // JSON allows a key twice. The last one counts, as it does for pandas.
    if (wanted_ && depth_ == 1) {  // the last of several
      columns.clear();
      n_levels = 0;
      has_range = false;
      start = stop = step = 0;
    }
    return open(true);
  }
  // Keys that could be long are not kept: "start" is the longest that is asked for.
  bool key(std::string& name) override {
    if (depth_ == 1) wanted_ = name == "index_columns";
    if (depth_ == 3) key_ = name.size() <= 5 ? name : std::string();
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  // The next value is an element of index_columns.
  bool is_level() const { return wanted_ && in_list_ && depth_ == 2; }
  bool value() {
    if (is_level()) ++n_levels;
    return true;
  }
  bool number(std::int64_t n) {
    if (wanted_ && in_list_ && depth_ == 3) {
      if (key_ == "start") start = n;
      if (key_ == "stop") stop = n;
      if (key_ == "step") step = n;
    }
    return value();
  }
  bool open(bool array) {
    value();
    if (depth_ == 0 && array) return false;  // a description is an object
    // index_columns that are no list have no levels.
    if (depth_ == 1) in_list_ = array;
    key_.clear();
    ++depth_;
    return true;
  }
  bool close() {
    --depth_;
    if (depth_ == 1) in_list_ = false;
    return true;
  }

  int depth_ = 0;
  bool wanted_ = false;   // the value of index_columns
  bool in_list_ = false;  // and that it is a list
  std::string key_;       // of an object in it
};

}  // namespace

PandasIndex pandas_index(std::string_view json, std::uint64_t n_rows) {
  PandasIndex out;
  IndexColumns found;
  if (!Json::sax_parse(json.begin(), json.end(), &found) || found.n_levels > kMostLevels) return out;
  out.columns = std::move(found.columns);
  // A range among several levels would name rows by one level of an index that has more.
  if (found.n_levels == 1 && found.has_range && range_length(found.start, found.stop, found.step) == n_rows) {
    out.start = found.start;
    out.step = found.step;
  }
  return out;
}

bool is_index_name(std::string_view column) {
  constexpr std::string_view kFront = "__index_level_", kBack = "__";
  if (column == "__null_dask_index__") return true;
  if (!column.starts_with(kFront) || !column.ends_with(kBack) ||
      column.size() <= kFront.size() + kBack.size())
    return false;
  const auto number = column.substr(kFront.size(), column.size() - kFront.size() - kBack.size());
  return std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace penstock::parquet
