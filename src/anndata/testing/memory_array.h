// Arrays that tests make themselves, chunked and compressed as they like, over a file in memory. Tests only.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
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

  // Rows x columns of numbers in chunks of chunk_rows x chunk_cols (0: in one piece). The padding is noise.
  static std::shared_ptr<MemoryArray> matrix(NumericType type, const std::vector<std::byte>& elements,
                                             std::uint64_t cols, std::uint64_t chunk_rows,
                                             std::uint64_t chunk_cols, bool deflate,
                                             bool big_endian = false) {
    auto array = std::make_shared<MemoryArray>(type, elements, ArrayOptions{.path = "/X"});
    const std::uint64_t item = array->dtype_.size, rows = cols == 0 ? 0 : array->size_ / cols;
    array->shape_ = {rows, cols};
    array->dtype_.big_endian = big_endian;
    if (chunk_rows == 0) return array;
    array->allocated_ = false;
    array->chunked_ = true;
    array->chunk_shape_ = {chunk_rows, chunk_cols};
    array->stored_bytes_ = 0;
    array->set_chunk_elements(chunk_rows * chunk_cols, deflate);
    std::vector<std::byte> bytes(16);
    for (std::uint64_t r = 0; r < rows; r += chunk_rows) {
      for (std::uint64_t c = 0; c < cols; c += chunk_cols) {
        std::vector<std::byte> chunk(chunk_rows * chunk_cols * item, std::byte{0xEE});
        for (std::uint64_t i = 0; i < std::min(chunk_rows, rows - r); ++i) {
          std::memcpy(chunk.data() + i * chunk_cols * item, elements.data() + ((r + i) * cols + c) * item,
                      std::min(chunk_cols, cols - c) * item);
        }
        array->add_chunk(std::move(chunk), bytes);
      }
    }
    array->rebuild_index();
    array->file_ = std::make_shared<MemoryFile>(std::move(bytes), "memory/X");
    return array;
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
  void damage(std::uint64_t number) {
    chunks_[number].offset = 0;
    rebuild_index();
  }
  void drop_chunk(std::uint64_t number) {
    chunks_[number].present = false;
    rebuild_index();
  }

 private:
  void set_chunk_elements(std::uint64_t elements, bool deflate) {
    chunk_elements_ = elements;
    if (deflate) filters_ = *FilterPipeline::create({{.id = FilterId::deflate, .params = {4}}}, dtype_.size);
  }

  void add_chunks(const std::vector<std::byte>& elements, const ArrayOptions& options,
                  std::vector<std::byte>& bytes) {
    chunked_ = true;
    chunk_shape_ = {options.chunk};
    set_chunk_elements(options.chunk, options.deflate);
    const std::size_t chunk_bytes = options.chunk * dtype_.size;
    for (std::uint64_t c = 0; c * chunk_bytes < elements.size(); ++c) {
      std::vector<std::byte> chunk(chunk_bytes, std::byte{0xEE});  // the padding of the last one is noise
      const std::size_t n = std::min(chunk_bytes, elements.size() - c * chunk_bytes);
      std::memcpy(chunk.data(), elements.data() + c * chunk_bytes, n);
      add_chunk(std::move(chunk), bytes);
    }
    rebuild_index();
  }
  void rebuild_index() {
    store::ChunkIndexBuilder builder("a table of chunks", n_chunks_, *index_budget_);
    for (std::uint64_t c = 0; c < n_chunks_; ++c) {
      if (chunks_[c].present) PENSTOCK_CHECK(builder.add(c, chunks_[c]).ok());
    }
    index_ = *builder.finish();
  }

  // The next one, behind what is in the file.
  void add_chunk(std::vector<std::byte> chunk, std::vector<std::byte>& bytes) {
    if (!filters_.empty()) {
      uLongf packed = compressBound(chunk.size());
      std::vector<std::byte> out(packed);
      compress2(reinterpret_cast<Bytef*>(out.data()), &packed, reinterpret_cast<const Bytef*>(chunk.data()),
                chunk.size(), 1);
      out.resize(packed);
      chunk = std::move(out);
    }
    chunks_.push_back({.offset = bytes.size(), .stored = chunk.size(), .present = true});
    bytes.insert(bytes.end(), chunk.begin(), chunk.end());
    stored_bytes_ += chunk.size();
    ++n_chunks_;
  }

  std::string path_ = "/";
  std::string label_ = "memory";
  std::vector<store::ChunkLocation> chunks_;
  std::shared_ptr<MemoryBudget> index_budget_ = MemoryBudget::create(64 << 20);
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
