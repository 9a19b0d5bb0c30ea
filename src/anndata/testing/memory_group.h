// Groups, attributes and the encodings of AnnData tables, made in memory. Tests only.
//
//   auto obs = frame("/obs", {{"cell_line", categorical({0, 1, -1}, {"a", "b"})}, {"n", numbers<float>({1, 2,
//   3})}});
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "anndata/testing/memory_array.h"
#include "store/store.h"

namespace penstock::testing {

class MemoryGroup final : public store::Group {
 public:
  using Children = std::vector<std::pair<std::string, std::shared_ptr<store::Node>>>;

  explicit MemoryGroup(std::string path = "/") : path_(std::move(path)) {}
  MemoryGroup(std::string encoding, Children children) : children_(std::move(children)) {
    set("encoding-type", std::move(encoding));
  }

  const std::string& path() const override { return path_; }
  const std::string& file_label() const override { return label_; }
  Result<std::vector<std::string>> attribute_names() const override { return std::vector<std::string>(); }
  Result<std::optional<store::Attribute>> attribute(const std::string& name) const override {
    const auto found = attributes_.find(name);
    if (found == attributes_.end()) return std::optional<store::Attribute>();
    return std::optional(found->second);
  }
  Result<std::shared_ptr<const store::Node>> follow(const store::Attribute&) const override {
    return Status::internal("no references here");
  }
  Result<std::vector<std::string>> children() const override {
    std::vector<std::string> names;
    for (const auto& [name, node] : children_) names.push_back(name);
    return names;
  }
  bool has(const std::string& name) const override {
    for (const auto& child : children_) {
      if (child.first == name) return true;
    }
    return false;
  }
  Result<std::shared_ptr<const store::Node>> child(const std::string& name) const override {
    for (const auto& child : children_) {
      if (child.first == name) return std::shared_ptr<const store::Node>(child.second);
    }
    return Status::not_found(where() + ": no " + name);
  }

  void add(const std::string& name, std::shared_ptr<store::Node> node) {
    children_.emplace_back(name, std::move(node));
  }
  void set(const std::string& name, std::string text) {
    set(name, std::vector<std::string>{std::move(text)});
  }
  void set(const std::string& name, std::vector<std::string> texts) {
    store::Attribute attribute;
    attribute.type.cls = store::TypeClass::vlen_string;
    attribute.shape = {texts.size()};
    attribute.strings = std::move(texts);
    attributes_[name] = std::move(attribute);
  }
  void set_ints(const std::string& name, std::vector<std::int64_t> ints) {
    store::Attribute attribute;
    attribute.type.cls = store::TypeClass::number;
    attribute.shape = {ints.size()};
    attribute.ints = std::move(ints);
    attributes_[name] = std::move(attribute);
  }
  void remove_attribute(const std::string& name) { attributes_.erase(name); }
  void set_path(std::string path) { path_ = std::move(path); }
  void set_label(std::string label) { label_ = std::move(label); }

 private:
  std::string path_ = "/";
  std::string label_ = "memory";
  Children children_;
  std::map<std::string, store::Attribute> attributes_;
};

template <class T>
constexpr NumericType numeric_type_of() {
  constexpr bool is_signed = std::is_signed_v<T>;
  if constexpr (std::is_same_v<T, double>) return NumericType::f64;
  if constexpr (std::is_same_v<T, float>) return NumericType::f32;
  if constexpr (std::is_integral_v<T>) {
    switch (sizeof(T)) {
      case 1:
        return is_signed ? NumericType::i8 : NumericType::u8;
      case 2:
        return is_signed ? NumericType::i16 : NumericType::u16;
      case 4:
        return is_signed ? NumericType::i32 : NumericType::u32;
      default:
        return is_signed ? NumericType::i64 : NumericType::u64;
    }
  }
}

template <class T>
std::shared_ptr<MemoryArray> numbers(const std::vector<T>& values, std::uint64_t chunk = 0) {
  return std::make_shared<MemoryArray>(numeric_type_of<T>(), to_bytes(values),
                                       ArrayOptions{chunk, chunk != 0, "/"});
}
inline std::shared_ptr<MemoryArray> strings(std::vector<std::string> values) {
  return std::make_shared<MemoryArray>(std::move(values));
}

// The modern layout; `categories` are strings or anything else.
inline std::shared_ptr<MemoryGroup> categorical(std::shared_ptr<store::Node> codes,
                                                std::shared_ptr<store::Node> categories,
                                                bool ordered = false) {
  auto group = std::make_shared<MemoryGroup>(
      "categorical",
      MemoryGroup::Children{{"codes", std::move(codes)}, {"categories", std::move(categories)}});
  group->set_ints("ordered", {ordered ? 1 : 0});
  return group;
}
inline std::shared_ptr<MemoryGroup> categorical(const std::vector<std::int8_t>& codes,
                                                std::vector<std::string> names, bool ordered = false) {
  return categorical(numbers(codes), strings(std::move(names)), ordered);
}
inline std::shared_ptr<MemoryGroup> nullable(const std::string& encoding, std::shared_ptr<store::Node> values,
                                             const std::vector<std::uint8_t>& mask) {
  return std::make_shared<MemoryGroup>(
      encoding, MemoryGroup::Children{{"values", std::move(values)}, {"mask", MemoryArray::booleans(mask)}});
}

// A table whose index is n names made of `prefix` and a number.
inline std::shared_ptr<MemoryGroup> frame(const std::string& file, std::uint64_t n,
                                          const MemoryGroup::Children& columns) {
  auto group = std::make_shared<MemoryGroup>("/obs");
  group->set_label(file);
  std::vector<std::string> index, order;
  for (std::uint64_t i = 0; i < n; ++i) index.push_back(file + "-" + std::to_string(i));
  group->add("_index", strings(std::move(index)));
  for (const auto& [name, node] : columns) {
    group->add(name, node);
    order.push_back(name);
  }
  group->set("_index", std::string("_index"));
  group->set("column-order", std::move(order));
  return group;
}

}  // namespace penstock::testing
