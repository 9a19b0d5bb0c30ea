// A group: its links are read when they are asked for, through the LinkCache of the file.
//
// Thread contract: immutable, safe from many threads.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hdf5/links.h"
#include "hdf5/object.h"
#include "store/store.h"

namespace penstock::hdf5 {

class Group final : public store::Group {
 public:
  explicit Group(Object object) : object_(std::move(object)) {}

  const std::string& path() const override { return object_.path(); }
  const std::string& file_label() const override { return object_.label(); }
  std::uint64_t object_id() const override { return object_.header() + 1; }
  Result<std::vector<std::string>> attribute_names() const override { return object_.attribute_names(); }
  Result<std::optional<store::Attribute>> attribute(const std::string& name) const override {
    return object_.attribute(name);
  }
  Result<std::shared_ptr<const store::Node>> follow(const store::Attribute& reference) const override {
    return object_.follow(reference);
  }
  Result<std::vector<std::string>> children() const override;
  bool has(const std::string& name) const override;
  Result<std::shared_ptr<const store::Node>> child(const std::string& name) const override;
  bool left_open() const override { return object_.image()->superblock().left_open; }

 private:
  // How far the search for one object has come; both are bounded.
  struct Progress {
    int soft_links = 0, components = 0, depth = 0;  // depth: links that are being followed
  };

  Result<std::shared_ptr<const LinkTable>> links() const;
  Result<std::shared_ptr<const store::Node>> resolve(std::string_view path, Progress& progress) const;

  const Object object_;
};

}  // namespace penstock::hdf5
