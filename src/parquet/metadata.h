// The footer of a Parquet file: schema, row groups, column chunks, key-value metadata.
//
// Source: parquet.thrift of apache/parquet-format (Thrift compact protocol). The footer streams through a
// small window (footer.h): a file with one column per gene has an entry for every gene and row group, and of
// its descriptions of columns, which are longer than the entries, nothing is kept. What is kept is reserved
// before it is taken. Lists and strings are bounded by the bytes that are left, nesting by 32; offsets and
// sizes of column chunks are checked to lie inside the file.
//
// Thread contract: values, immutable after read_metadata.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "codecs/compression.h"
#include "io/file.h"
#include "parquet/pandas_index.h"
#include "penstock/memory_budget.h"
#include "penstock/status.h"

namespace penstock::parquet {

// The numbers of parquet.thrift.
enum class PhysicalType : std::uint8_t {
  boolean = 0,
  int32 = 1,
  int64 = 2,
  int96 = 3,
  float32 = 4,
  float64 = 5,
  byte_array = 6,
  fixed = 7,
};
const char* physical_name(PhysicalType type);
// Bytes of a value in a PLAIN page; 0 for byte_array (and boolean, whose values are bits).
std::size_t physical_size(PhysicalType type, std::uint32_t type_length);

enum class Encoding : std::uint8_t {
  plain = 0,
  plain_dictionary = 2,
  rle = 3,
  bit_packed = 4,
  delta_binary_packed = 5,
  delta_length_byte_array = 6,
  delta_byte_array = 7,
  rle_dictionary = 8,
  byte_stream_split = 9,
};
// "PLAIN", ..., "encoding 17".
std::string encoding_name(Encoding encoding);

// What a column's values mean, as far as it changes how they are read.
enum class Logical : std::uint8_t {
  none,
  string,    // UTF8, ENUM, JSON
  integer,   // with `bits` and `is_signed`
  float16,   // fixed(2)
  decimal,   // not read
  temporal,  // dates, times and timestamps: read as their integers
  other,     // named in `logical_text`
};

// A leaf of the schema.
struct Leaf {
  std::string path;  // "genes.list.element"
  std::string name;  // of the top-level field: "genes"
  PhysicalType type = PhysicalType::int32;
  std::uint32_t type_length = 0;  // of fixed
  Logical logical = Logical::none;
  std::string logical_text;  // for people: "string", "uint8", "decimal(9,2)", "timestamp[us]"
  std::uint8_t bits = 0;     // logical integer: 8, 16, 32, 64
  bool is_signed = true;
  std::uint8_t max_def = 0, max_rep = 0;
  // flat: the leaf is a child of the root. list: one repeated field on the way to it, or itself: a list of
  // each row (3-level, the 2-level legacy forms, a bare repeated field; also a field of repeated structs).
  // nested: anything else; not read.
  enum class Shape : std::uint8_t { flat, list, nested } shape = Shape::flat;
  // list only: the definition level from which on an element exists (it is null when the level is below
  // max_def), and that from which on the list itself is not null.
  std::uint8_t element_def = 0, list_def = 0;
};

// Bounds of a column chunk or page, as stored: PLAIN-encoded values without a length. Absent where the writer
// gave none, or where they mean nothing (deprecated min/max of anything but signed numbers).
struct Statistics {
  std::optional<std::string> min, max;
  std::optional<std::uint64_t> null_count;
};

// Some old writers leave the dictionary page's header out of `bytes`: pages may end so many bytes behind it.
inline constexpr ByteCount kUndeclaredBytes = 100;
// Of a column chunk. No machine has so much memory, and sums of some such numbers do not wrap.
inline constexpr ByteCount kMostUncompressed = ByteCount{1} << 48;
struct ColumnChunk {
  std::uint64_t n_values = 0;  // levels: nulls and empty lists included
  ByteOffset offset = 0;       // of the first page, the dictionary page included
  ByteCount bytes = 0;         // declared; they lie before the footer
  // Declared, but no more than `bytes` of its codec can become, nor than kMostUncompressed: a footer may say
  // anything, and scratch is reserved by it. No page is larger, but for kUndeclaredBytes.
  ByteCount uncompressed = 0;
  Compression codec = Compression::none;
  std::uint8_t codec_number = 0;  // of parquet.thrift, for messages
};
// What parquet.thrift's CompressionCodec numbers.
Compression compression_of(std::uint8_t number);

struct RowGroup {
  RowIndex first_row = 0;
  RowIndex n_rows = 0;
  std::vector<ColumnChunk> columns;    // parallel to FileMetadata::columns
  std::vector<Statistics> statistics;  // likewise, where they were asked for; else empty
};

struct FileMetadata {
  std::string label;  // of the file
  std::uint64_t n_rows = 0;
  std::size_t n_columns = 0;  // leaves in the file, wanted or not
  std::vector<Leaf> columns;
  std::vector<RowGroup> row_groups;
  PandasIndex pandas;  // from key-value metadata `pandas`, and names of columns
  std::string array;   // key-value metadata `array` (JSON: pqdata's shape); empty: none
  ByteCount footer_bytes = 0;
  Reservation held;  // of all this, under `index`

  // The leaf of a top-level field, or that with this path, or the only one below it: "genes", "cell.genes".
  // nullptr when there is none or there are several.
  const Leaf* find(std::string_view name) const;
  std::size_t index_of(const Leaf& column) const {
    return static_cast<std::size_t>(&column - columns.data());
  }
};

struct MetadataOptions {
  // Which leaves, and their chunks, are kept; unset: all.
  std::function<bool(const Leaf&)> wanted;
  // Fills RowGroup::statistics.
  bool statistics = false;
};

// Errors: `corrupt` (naming the field and the byte in the footer), `unsupported` (encrypted files, column
// chunks in other files), `budget`, invalid_argument when it is no Parquet file at all.
Result<std::shared_ptr<const FileMetadata>> read_metadata(const File& file, MemoryBudget& budget,
                                                          const MetadataOptions& options = {});
// True when the file begins as Parquet does (also encrypted ones: "PARE").
Result<bool> begins_as_parquet(const File& file);

}  // namespace penstock::parquet
