// Visits every object of a file and reads everything there is to read. Tests and fuzzers only.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "store/store.h"

namespace penstock::hdf5 {

struct WalkResult {
  std::size_t groups = 0, arrays = 0, attributes = 0, unsupported = 0, over_budget = 0;
  ByteCount bytes = 0;
  std::vector<std::string> wrong;  // messages of any other status
  std::set<std::uint64_t> seen;
  std::size_t objects_left = 20000;
  // Called with every error, and with the values of every array that is not of strings; may be empty.
  std::function<void(const Status&)> on_status;
  std::function<void(const store::Array&, std::span<const std::byte>)> on_bytes;

  bool count(const Status& status) {
    if (!status.ok() && on_status) on_status(status);
    if (status.code() == StatusCode::unsupported) {
      ++unsupported;
    } else if (status.code() == StatusCode::budget) {
      ++over_budget;
    } else if (!status.ok()) {
      if (wrong.size() < 100) wrong.push_back(status.to_string());
    }
    return status.ok();
  }
};

inline void walk(const store::Node& node, ByteCount max_bytes, WalkResult& result) {
  if (result.objects_left == 0 || !result.seen.insert(node.object_id()).second) return;
  --result.objects_left;
  auto names = node.attribute_names();
  if (result.count(names.status())) {
    for (const auto& name : *names) {
      auto attribute = node.attribute(name);
      if (!result.count(attribute.status())) continue;
      ++result.attributes;
      if (!attribute->has_value()) {
        result.wrong.push_back(node.where() + " lost attribute " + name);
      } else if (!(*attribute)->references.empty()) {
        auto target = node.follow(**attribute);
        if (result.count(target.status())) walk(**target, max_bytes, result);
      }
    }
  }
  if (const auto* array = node.as_array()) {
    ++result.arrays;
    const auto cls = array->dtype().cls;
    if (cls == store::TypeClass::vlen_string || cls == store::TypeClass::fixed_string) {
      auto strings = array->read_strings(0, array->size());
      if (result.count(strings.status())) result.bytes += strings->size();
    } else {
      auto bytes = array->read_all(max_bytes);
      if (result.count(bytes.status())) {
        result.bytes += bytes->size();
        if (result.on_bytes) result.on_bytes(*array, *bytes);
      }
    }
    return;
  }
  ++result.groups;
  auto children = node.as_group()->children();
  if (!result.count(children.status())) return;
  for (const auto& name : *children) {
    auto child = node.as_group()->child(name);
    if (result.count(child.status())) walk(**child, max_bytes, result);
    if (result.objects_left == 0) return;
  }
}

}  // namespace penstock::hdf5
