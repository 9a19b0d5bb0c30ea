// An object of an open file: what groups and datasets have in common, and how an address becomes one of them.
//
// Thread contract: immutable, safe from many threads.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hdf5/image.h"
#include "store/store.h"

namespace penstock::hdf5 {

// Attributes and references of one object header; Group and Dataset hold one each and forward to it.
class Object {
 public:
  Object(std::shared_ptr<const Image> image, Address header, std::string path)
      : image_(std::move(image)), header_(header), path_(std::move(path)) {}

  const std::shared_ptr<const Image>& image() const { return image_; }
  Address header() const { return header_; }
  const std::string& path() const { return path_; }
  const std::string& label() const { return image_->label(); }
  // "file: path: " before a message.
  Status locate(Status status) const;

  Result<std::vector<std::string>> attribute_names() const;
  Result<std::optional<store::Attribute>> attribute(const std::string& name) const;
  Result<std::shared_ptr<const store::Node>> follow(const store::Attribute& reference) const;

 private:
  std::shared_ptr<const Image> image_;
  Address header_;
  std::string path_;
};

// The group or dataset whose header is at an address; committed datatypes and version 2 headers are
// `unsupported`. Messages begin with the file and the path.
Result<std::shared_ptr<const store::Node>> open_object(std::shared_ptr<const Image> image, Address header,
                                                       std::string path);

}  // namespace penstock::hdf5
