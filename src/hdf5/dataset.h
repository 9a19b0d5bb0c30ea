// A dataset: its messages parsed into store::Array, its chunk table built at open.
//
// Thread contract: immutable, safe from many threads.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "hdf5/global_heap.h"
#include "hdf5/layout.h"
#include "hdf5/object.h"
#include "store/store.h"

namespace penstock::hdf5 {

class Dataset final : public store::Array {
 public:
  // Parses the header, checks geometry and chunk locations against the file, builds the chunk index
  // (store/chunk_index.h).
  static Result<std::shared_ptr<const store::Node>> open(Object object);

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
  Result<std::vector<std::string>> read_strings(std::uint64_t first, std::uint64_t count) const override;
  Result<std::vector<std::string>> to_strings(std::span<const std::byte> elements,
                                              const store::DataType& type) const override;

  explicit Dataset(Object object) : object_(std::move(object)) {}

 private:
  Status parse();
  Status set_fill(std::vector<std::byte> stored);
  Status set_unchunked(Layout layout);
  Status set_chunked(const Layout& layout);
  Status read_index(const Layout& layout, const std::vector<std::uint64_t>& grid);
  Result<std::vector<std::string>> decode_strings(StringReader& strings, std::span<const std::byte> elements,
                                                  const store::DataType& type) const;
  Status check_chunk(std::uint64_t number, ByteOffset offset, std::uint64_t stored, std::uint32_t mask) const;

  const Object object_;
  std::vector<std::uint64_t> most_;  // what shape_ may grow to
};

}  // namespace penstock::hdf5
