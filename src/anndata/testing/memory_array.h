// Arrays that tests make themselves, chunked and compressed as they like, over a file in memory. Tests only.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "io/testing/memory_file.h"
#include "store/store.h"

namespace penstock::testing {

struct ArrayOptions {
  std::uint64_t chunk = 0;  // elements; 0: in one piece
  bool deflate = false;
  std::string path = "/X/data";
};

class MemoryArray final : public store::Array {
 public:
  MemoryArray(NumericType type, const std::vector<std::byte>& elements, const ArrayOptions& options)
      : path_(options.path) {
    dtype_.cls = store::TypeClass::number;
    dtype_.number = type;
    dtype_.size = static_cast<std::uint32_t>(numeric_size(type));
    dtype_.description = numeric_name(type);
    size_ = elements.size() / dtype_.size;
    shape_ = {size_};
    std::vector<std::byte> bytes(16);  // so that no chunk lies at 0
    if (options.chunk == 0) {
      allocated_ = true;
      contiguous_offset_ = bytes.size();
      bytes.insert(bytes.end(), elements.begin(), elements.end());
      stored_bytes_ = elements.size();
    } else {
      add_chunks(elements, options, bytes);
    }
    file_ = std::make_shared<MemoryFile>(std::move(bytes), "memory" + path_);
  }

  // Strings, or booleans stored as bytes.
  explicit MemoryArray(std::vector<std::string> strings) : strings_(std::move(strings)) {
    dtype_.cls = store::TypeClass::vlen_string;
    dtype_.size = 16;
    dtype_.description = "vlen string";
    size_ = strings_.size();
    shape_ = {size_};
    file_ = std::make_shared<MemoryFile>(std::vector<std::byte>(16), "memory");
  }
  static std::shared_ptr<MemoryArray> booleans(const std::vector<std::uint8_t>& flags) {
    const auto* bytes = reinterpret_cast<const std::byte*>(flags.data());
    auto array = std::make_shared<MemoryArray>(
        NumericType::u8, std::vector<std::byte>(bytes, bytes + flags.size()), ArrayOptions{});
    array->dtype_.cls = store::TypeClass::boolean;
    return array;
  }

  const std::string& path() const override { return path_; }
  const std::string& file_label() const override { return label_; }
  Result<std::vector<std::string>> attribute_names() const override { return std::vector<std::string>(); }
  Result<std::optional<store::Attribute>> attribute(const std::string& name) const override {
    if (name != "categories" || !target_) return std::optional<store::Attribute>();
    store::Attribute reference;
    reference.type.cls = store::TypeClass::reference;
    reference.references = {1};
    return std::optional(reference);
  }
  Result<std::shared_ptr<const store::Node>> follow(const store::Attribute&) const override {
    if (!target_) return Status::corrupt("a dangling reference");
    return target_;
  }
  Result<std::vector<std::string>> read_strings(std::uint64_t first, std::uint64_t count) const override {
    const auto begin = strings_.begin() + static_cast<std::ptrdiff_t>(first);
    return std::vector<std::string>(begin, begin + static_cast<std::ptrdiff_t>(count));
  }

  void set_path(std::string path) { path_ = std::move(path); }
  void set_type_class(store::TypeClass cls) { dtype_.cls = cls; }
  // What attribute `categories` refers to.
  void set_categories(std::shared_ptr<const store::Node> target) { target_ = std::move(target); }

  // Points chunk `number` at bytes that are no deflate stream.
  void damage(std::uint64_t number) { index_[number].offset_low = 0; }
  void drop_chunk(std::uint64_t number) { index_[number].stored = 0; }

 private:
  void add_chunks(const std::vector<std::byte>& elements, const ArrayOptions& options,
                  std::vector<std::byte>& bytes) {
    chunked_ = true;
    chunk_elements_ = options.chunk;
    chunk_shape_ = {options.chunk};
    n_chunks_ = (size_ + options.chunk - 1) / options.chunk;
    if (options.deflate) {
      filters_ = *FilterPipeline::create({{.id = 1, .params = {4}, .name = "deflate"}}, dtype_.size);
    }
    const std::size_t chunk_bytes = options.chunk * dtype_.size;
    for (std::uint64_t c = 0; c < n_chunks_; ++c) {
      std::vector<std::byte> chunk(chunk_bytes, std::byte{0xEE});  // the padding of the last one is noise
      const std::size_t n = std::min(chunk_bytes, elements.size() - c * chunk_bytes);
      std::memcpy(chunk.data(), elements.data() + c * chunk_bytes, n);
      if (options.deflate) {
        uLongf packed = compressBound(chunk_bytes);
        std::vector<std::byte> out(packed);
        compress2(reinterpret_cast<Bytef*>(out.data()), &packed, reinterpret_cast<const Bytef*>(chunk.data()),
                  chunk_bytes, 1);
        out.resize(packed);
        chunk = std::move(out);
      }
      index_.push_back(
          {static_cast<std::uint32_t>(bytes.size()), 0, static_cast<std::uint32_t>(chunk.size())});
      bytes.insert(bytes.end(), chunk.begin(), chunk.end());
      stored_bytes_ += chunk.size();
    }
  }

  std::string path_ = "/";
  std::string label_ = "memory";
  std::vector<std::string> strings_;
  std::shared_ptr<const store::Node> target_;
};

// Numbers as an array of `type`.
template <class T>
std::vector<std::byte> to_bytes(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace penstock::testing
