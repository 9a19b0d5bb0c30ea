// What HDF5 and zarr have in common: groups, attributes, chunked arrays behind a filter pipeline and a chunk
// index. anndata/ is written once, over this.
//
// Ownership: nodes are shared_ptr and keep the file open. Thread contract: immutable after open, safe from
// many threads. Everything here is the metadata path (malloc, bounded by `limits`), except the request/decode
// half of Array, which the data path uses and which does not allocate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "codecs/codec.h"
#include "io/file.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"
#include "source/request.h"
#include "store/chunk_index.h"

namespace penstock::store {

enum class TypeClass : std::uint8_t {
  number,        // `number` says which
  boolean,       // HDF5 enum {FALSE, TRUE} over a 1-byte integer; zarr bool
  fixed_string,  // `size` bytes each
  vlen_string,
  reference,  // HDF5 object reference
  compound,   // records of fields (`members`): the tables of anndata before 0.7
  other,      // named in `description`; `unsupported` on use
};

struct Member;

struct DataType {
  TypeClass cls = TypeClass::other;
  NumericType number = NumericType::i8;
  std::uint32_t size = 0;     // bytes of one element in a decoded chunk
  bool big_endian = false;    // numbers only
  bool space_padded = false;  // fixed strings: strip trailing spaces instead of stopping at NUL
  std::string description;    // "float32", "vlen string", "HDF5 bitfield", ...
  std::shared_ptr<const std::vector<Member>> members;  // of a compound, in order
};

// A field of a compound.
struct Member {
  std::string name;
  ByteCount offset = 0;  // in an element; the field lies inside
  DataType type;
};

// A decoded attribute. Exactly one of the vectors is filled, by type.cls (booleans are ints).
struct Attribute {
  DataType type;
  std::vector<std::uint64_t> shape;  // empty = scalar; {0} also for a null dataspace
  std::vector<std::int64_t> ints;
  std::vector<double> floats;
  std::vector<std::string> strings;
  std::vector<std::uint64_t> references;  // opaque; for Node::follow
};

class Group;
class Array;

class Node {
 public:
  virtual ~Node() = default;
  virtual const std::string& path() const = 0;        // "/obs/drug"; the root is "/"
  virtual const std::string& file_label() const = 0;  // path of the file
  virtual Result<std::vector<std::string>> attribute_names() const = 0;
  // nullopt when there is none of this name. `unsupported` only for the attribute asked for.
  virtual Result<std::optional<Attribute>> attribute(const std::string& name) const = 0;
  // The object that a reference attribute's first element points to; dangling -> corrupt.
  virtual Result<std::shared_ptr<const Node>> follow(const Attribute& reference) const = 0;
  // Two nodes of one file have the same number exactly when they are the same object (hard links make cycles:
  // a walk keeps the numbers it has seen). 0 where a format has no links.
  virtual std::uint64_t object_id() const { return 0; }
  const Group* as_group() const;
  const Array* as_array() const;
  // "file.h5ad: /obs/drug", to begin messages with.
  std::string where() const { return file_label() + ": " + path(); }
};

class Group : public Node {
 public:
  // Names of the direct children in the order stored. Linear time for tens of thousands of links.
  virtual Result<std::vector<std::string>> children() const = 0;
  virtual bool has(const std::string& name) const = 0;
  // A child by name, or a descendant by "a/b/c". not_found lists near or existing names; external links
  // and object kinds that are not read are `unsupported`, named.
  virtual Result<std::shared_ptr<const Node>> child(const std::string& name) const = 0;
  // The file says that its writer has not closed it: it writes still, or it was ended.
  virtual bool left_open() const { return false; }
};

// An n-dimensional array of fixed-size elements (rank 0 = one element; a null dataspace = shape {0}), cut
// into a grid of chunks (row-major chunk numbers). A contiguous or compact array has no stored grid:
// is_chunked() is false and elements are addressable.
class Array : public Node {
 public:
  const DataType& dtype() const { return dtype_; }
  const std::vector<std::uint64_t>& shape() const { return shape_; }
  std::uint64_t size() const { return size_; }  // elements; product of shape, checked at open
  bool is_chunked() const { return chunked_; }
  const std::vector<std::uint64_t>& chunk_shape() const { return chunk_shape_; }  // only when chunked
  std::uint64_t chunk_elements() const { return chunk_elements_; }                // only when chunked
  std::uint64_t n_chunks() const { return n_chunks_; }  // of the grid; 0 when not chunked
  const FilterPipeline& filters() const { return filters_; }
  const File* file() const { return file_.get(); }
  // Bytes stored in the file for the whole array.
  ByteCount stored_bytes() const { return stored_bytes_; }
  // What its chunk index holds.
  ByteCount index_bytes() const { return index_.bytes(); }
  // Stored bytes of the largest chunk; 0 when not chunked.
  ByteCount largest_chunk() const { return index_.largest_stored(); }

  ChunkLocation chunk(std::uint64_t number) const;

  // Bytes of a decoded chunk.
  ByteCount chunk_bytes() const { return chunk_elements_ * dtype_.size; }

  // --- data path, 1-d arrays (and unchunked ones of any rank, C order): elements [first, first + count) ---
  // Arrays of other types are `unsupported` here and in the metadata path; of compounds come the bytes.
  // Adds the byte ranges of every chunk touched (for an unchunked array: of exactly those elements). With
  // estimated heads, of the last chunk only what decoding it up to the last element is expected to take,
  // where that pays.
  void add_requests(std::uint64_t first, std::uint64_t count, Heads heads, RequestList& list) const;
  // What CodecContext::take_bytes() says after elements [first, first + count) were decoded: of a chunked
  // array they are of one chunk, from its first on.
  ByteCount decoded_bytes(std::uint64_t first, std::uint64_t count) const;
  // Decodes chunk `number` whole into out (chunk_elements() * dtype().size bytes; byte order native
  // afterwards), or only its first out.size() bytes when that is less: by a head decode where the pipeline
  // can and it pays, else whole through `step`. step must hold step_bytes(). A chunk of which only a head was
  // fetched that turns out too short is an error that sets *head_too_short (null: none was fetched that way).
  Status decode_chunk(std::uint64_t number, const Fetched& fetched, std::span<std::byte> out,
                      std::span<std::byte> step, CodecContext& codec, bool* head_too_short) const;
  ByteCount step_bytes() const;
  // Elements of a 1-d array into out (count * dtype().size bytes). Scratch: range_scratch_bytes().
  Status decode_range(std::uint64_t first, std::uint64_t count, const Fetched& fetched,
                      std::span<std::byte> scratch, CodecContext& codec, std::span<std::byte> out) const;
  ByteCount range_scratch_bytes() const;

  // --- metadata path ---
  // Both reserve their buffers (a few chunks) from the budget given at open, under `scratch`.
  // All elements in C order without edge padding, native byte order, any rank; at most max_bytes (else
  // budget).
  Result<std::vector<std::byte>> read_all(ByteCount max_bytes) const;
  // Elements [first, first + count) of a 1-d or unchunked array into count * dtype().size bytes.
  Status read_range(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const;
  // A field of an array of compounds (of rank 1), as an array of its own whose values are in memory, reserved
  // under `index` while it lives.
  static Result<std::shared_ptr<const Array>> open_field(std::shared_ptr<const Array> records,
                                                         const Member& field);
  // A chunk's elements that lie inside the shape, in C order; chunked arrays only.
  Result<std::vector<std::byte>> read_chunk_inside(std::uint64_t number) const;
  // Elements of this array's file that were taken out of it, such as the fields of a compound, as strings.
  virtual Result<std::vector<std::string>> to_strings(std::span<const std::byte> elements,
                                                      const DataType& type) const;
  // Strings (fixed or vlen) [first, first + count) of a 1-d or scalar array.
  virtual Result<std::vector<std::string>> read_strings(std::uint64_t first, std::uint64_t count) const = 0;

 protected:
  // Filled by the format's open.
  DataType dtype_;
  std::vector<std::uint64_t> shape_, chunk_shape_;
  std::uint64_t size_ = 0, chunk_elements_ = 0, n_chunks_ = 0;
  bool chunked_ = false;
  FilterPipeline filters_;
  std::shared_ptr<const File> file_;
  ByteCount stored_bytes_ = 0;
  std::vector<std::byte> fill_;           // dtype_.size bytes in native byte order, or empty for zeros
  std::shared_ptr<MemoryBudget> budget_;  // for the buffers of the metadata path; null = not counted
  ChunkIndex index_;
  // Not chunked: one run of bytes in the file, or bytes held here (compact).
  bool allocated_ = false;  // false: fill value everywhere
  ByteOffset contiguous_offset_ = 0;
  std::vector<std::byte> compact_;

 private:
  Status check_usable() const;
  Status check_range(std::uint64_t first, std::uint64_t count) const;
  Status chunk_error(std::uint64_t number, const ChunkLocation& at, std::string_view what) const;
  bool all_filters_skipped(std::uint32_t mask) const;
  bool head_pays(std::uint64_t number, std::uint32_t mask, ByteCount bytes) const;
  ByteCount head_stored_bytes(std::uint64_t number, const ChunkLocation& at, ByteCount bytes) const;
  void write_fill(std::span<std::byte> out) const;
  void to_native(std::span<std::byte> out) const;
  Status find_chunk(std::uint64_t number, const ChunkLocation& at, const Fetched& fetched,
                    std::span<const std::byte>& stored) const;
  Status decode_whole(std::uint64_t number, const ChunkLocation& at, std::span<const std::byte> stored,
                      std::span<std::byte> out, std::span<std::byte> step, CodecContext& codec) const;
  Status decode_head(std::uint64_t number, const ChunkLocation& at, std::span<const std::byte> stored,
                     std::span<std::byte> out, CodecContext& codec) const;
  Status read_grid(std::span<std::byte> out) const;
};

inline constexpr ByteCount kDefaultIndexBytes = 256'000'000;

// Bounds for metadata. The budget is the Dataset's index budget.
struct OpenLimits {
  std::shared_ptr<MemoryBudget> index_budget;  // null: one of kDefaultIndexBytes for this file
  FileOpener opener = open_posix_file;
};

}  // namespace penstock::store
