// Records that list their fields (penstock/fields.h) as JSON.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "penstock/fields.h"
#include "penstock/memory_budget.h"
#include "penstock/note.h"

namespace penstock::plan {

using Json = nlohmann::ordered_json;

template <class T>
Json json_value(const T& value) {
  return value;
}

inline Json json_value(const std::array<std::uint64_t, kMemoryTags>& by_tag) {
  Json json;
  for (std::size_t i = 0; i < kMemoryTags; ++i) {
    json[std::string(memory_tag_name(static_cast<MemoryTag>(i)))] = by_tag[i];
  }
  return json;
}

inline Json json_value(const std::vector<Note>& notes) {
  Json json = Json::array();
  for (const Note& note : notes) json.push_back(note.text);
  return json;
}

inline Json json_value(const MemoryBudget::Usage& usage) {
  Json json;
  json["limit"] = usage.limit;
  json["used"] = usage.used;
  json["peak"] = usage.peak;
  json["used_by_tag"] = json_value(usage.used_by_tag);
  json["peak_by_tag"] = json_value(usage.peak_by_tag);
  return json;
}

// Every field of a record under its name, behind what `json` has.
template <class Record>
void add_fields(Json& json, const Record& record) {
  each_field(record,
             [&](const char* name, const auto& value, const auto&...) { json[name] = json_value(value); });
}

// As text, whatever bytes are in names from files. indent: -1 for one line.
inline std::string json_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace penstock::plan
