#include "parquet/pandas_index.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/checked.h"

namespace penstock::parquet {
namespace {

using Json = nlohmann::json;

// How many numbers range(start, stop, step) has. Differences are unsigned: they may not fit into int64.
std::uint64_t range_length(std::int64_t start, std::int64_t stop, std::int64_t step) {
  const auto from = static_cast<std::uint64_t>(start), to = static_cast<std::uint64_t>(stop);
  const auto by = static_cast<std::uint64_t>(step);
  if (step > 0 && stop > start) return ceil_div(to - from, by);
  if (step < 0 && stop < start) return ceil_div(from - to, std::uint64_t{0} - by);
  return 0;
}

void take_range(const Json& range, std::uint64_t n_rows, PandasIndex* out) {
  const auto number = [&](const char* name) {
    const auto found = range.find(name);
    return found != range.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
  };
  const std::int64_t start = number("start"), step = number("step");
  if (range_length(start, number("stop"), step) != n_rows) return;
  out->start = start;
  out->step = step;
}

}  // namespace

bool PandasIndex::holds(const std::string& column) const {
  return std::find(columns.begin(), columns.end(), column) != columns.end();
}

PandasIndex pandas_index(const FileMetadata& metadata) {
  PandasIndex out;
  const auto found = metadata.key_value.find("pandas");
  if (found == metadata.key_value.end()) return out;
  // Of wide files the descriptions of all columns are long: they are not kept.
  const auto wanted = [](int depth, Json::parse_event_t event, Json& key) {
    return depth != 1 || event != Json::parse_event_t::key || key == "index_columns";
  };
  const auto json = Json::parse(found->second, wanted, false);
  if (!json.is_object()) return out;
  const auto levels = json.find("index_columns");
  if (levels == json.end() || !levels->is_array()) return out;
  for (const Json& level : *levels) {
    if (level.is_string()) out.columns.push_back(level.get<std::string>());
  }
  if (levels->size() == 1 && (*levels)[0].is_object()) take_range((*levels)[0], metadata.n_rows, &out);
  return out;
}

}  // namespace penstock::parquet
