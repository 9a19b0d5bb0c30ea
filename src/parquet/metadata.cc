#include "parquet/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "base/checked.h"
#include "memory/reserve_for.h"
#include "parquet/schema.h"
#include "parquet/thrift.h"

namespace penstock::parquet {
namespace {

using Field = ThriftReader::Field;

constexpr ByteCount kTail = 8;        // footer length and magic
constexpr ByteCount kLeastFile = 12;  // and the magic in front
// Memory of a parsed footer against its bytes: a schema element of 6 bytes becomes a SchemaElement and a
// Leaf, a column chunk of 12 bytes a ColumnChunk; while a vector grows its old and its new copy exist at
// once.
constexpr ByteCount kExpansion = 96;
// And of the text of paths: every leaf repeats the names of the groups it is in. Column chunks name their
// path in full, so a footer with row groups is at least as long as the paths; one without may be shorter.
constexpr ByteCount kPathExpansion = 8;
constexpr ByteCount kLeastReserved = 4096;

std::uint64_t unsigned64(ThriftReader& in, ThriftReader::Type type) {
  const std::int64_t value = in.integer(type);
  if (value < 0) in.fail("a negative size or count");
  return value < 0 ? 0 : static_cast<std::uint64_t>(value);
}

// As in the thrift struct; which of them mean something is decided with the column's type.
struct RawStatistics {
  std::optional<std::string> old_max, old_min, max, min;
  std::optional<std::uint64_t> nulls;
};

void statistics(ThriftReader& in, RawStatistics* out) {
  if (!in.enter()) return;
  for (Field f; in.next_field(&f);) {
    switch (f.id) {
      case 1:
        out->old_max = in.binary(f.type);
        break;
      case 2:
        out->old_min = in.binary(f.type);
        break;
      case 3:
        out->nulls = unsigned64(in, f.type);
        break;
      case 5:
        out->max = in.binary(f.type);
        break;
      case 6:
        out->min = in.binary(f.type);
        break;
      default:
        in.skip(f.type);
    }
  }
  in.leave();
}

template <class T>
bool is_nan(const std::string& bytes) {
  T value{};
  if (bytes.size() != sizeof(T)) return true;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return std::isnan(value);
}

Statistics meaningful(RawStatistics raw, const Leaf& column) {
  Statistics out;
  out.null_count = raw.nulls;
  out.min = std::move(raw.min);
  out.max = std::move(raw.max);
  // The deprecated pair was ordered as signed bytes: right for signed numbers only.
  const bool number = column.type == PhysicalType::int32 || column.type == PhysicalType::int64 ||
                      column.type == PhysicalType::float32 || column.type == PhysicalType::float64;
  if (!out.min && !out.max && number && column.is_signed) {
    out.min = std::move(raw.old_min);
    out.max = std::move(raw.old_max);
  }
  const auto drop_bad = [&](std::optional<std::string>& bound) {
    if (!bound) return;
    const std::size_t size = physical_size(column.type, column.type_length);
    const bool bad = column.type == PhysicalType::float32   ? is_nan<float>(*bound)
                     : column.type == PhysicalType::float64 ? is_nan<double>(*bound)
                                                            : size > 0 && bound->size() != size;
    if (bad || column.type == PhysicalType::int96) bound.reset();
  };
  drop_bad(out.min);
  drop_bad(out.max);
  return out;
}

// A column chunk as the footer has it.
struct RawChunk {
  ColumnChunk chunk;
  RawStatistics statistics;
  bool elsewhere = false, encrypted = false, has_metadata = false;
  std::uint64_t data_offset = 0, dictionary_offset = 0;
};

void column_metadata(ThriftReader& in, RawChunk* out) {
  out->has_metadata = true;
  if (!in.enter()) return;
  for (Field f; in.next_field(&f);) {
    switch (f.id) {
      case 4: {
        const std::int64_t codec = in.integer(f.type);
        if (codec < 0 || codec > 255) in.fail("a compression beyond 255");
        out->chunk.codec = static_cast<Compression>(codec);
        break;
      }
      case 5:
        out->chunk.n_values = unsigned64(in, f.type);
        break;
      case 6:
        out->chunk.uncompressed = unsigned64(in, f.type);
        break;
      case 7:
        out->chunk.bytes = unsigned64(in, f.type);
        break;
      case 9:
        out->data_offset = unsigned64(in, f.type);
        break;
      case 11:
        // Some writers put 0 or -1 for none.
        out->dictionary_offset = static_cast<std::uint64_t>(std::max<std::int64_t>(in.integer(f.type), 0));
        break;
      case 12:
        if (f.type != ThriftReader::kStruct) in.fail("statistics that are no struct");
        statistics(in, &out->statistics);
        break;
      default:
        in.skip(f.type);
    }
  }
  in.leave();
}

void column_chunk(ThriftReader& in, RawChunk* out) {
  if (!in.enter()) return;
  for (Field f; in.next_field(&f);) {
    switch (f.id) {
      case 1:
        out->elsewhere = !in.binary(f.type).empty();
        break;
      case 3:
        if (f.type != ThriftReader::kStruct) in.fail("column metadata that are no struct");
        column_metadata(in, out);
        break;
      case 8:
      case 9:
        out->encrypted = true;
        in.skip(f.type);
        break;
      default:
        in.skip(f.type);
    }
  }
  in.leave();
}

// Parses a footer's bytes into FileMetadata.
class Parser {
 public:
  Parser(const File& file, ByteOffset at, std::span<const std::byte> bytes, FileMetadata& out)
      : file_(file), at_(at), most_text_(bytes.size() * kPathExpansion), in_(bytes), out_(out) {}

  Status run() {
    bool has_rows = false;
    for (Field f; in_.next_field(&f);) {
      switch (f.id) {
        case 2:
          PENSTOCK_RETURN_IF_ERROR(schema(f.type));
          break;
        case 3:
          out_.n_rows = unsigned64(in_, f.type);
          has_rows = true;
          break;
        case 4:
          PENSTOCK_RETURN_IF_ERROR(row_groups(f.type));
          break;
        case 5:
          key_values(f.type);
          break;
        case 6:
          out_.created_by = in_.binary(f.type);
          break;
        case 8:
          return Status::unsupported(fmt::format("{}: encrypted columns", file_.label()));
        default:
          in_.skip(f.type);
      }
      if (in_.failed()) break;
    }
    if (in_.failed()) return damaged(in_.what());
    if (!has_schema_ || !has_rows) return damaged("it has no schema or no number of rows");
    RowIndex rows = 0;
    for (RowGroup& group : out_.row_groups) {
      group.first_row = rows;
      const auto sum = checked_add(rows, group.n_rows);
      if (!sum) return damaged("more rows than there can be");
      rows = *sum;
    }
    if (rows != out_.n_rows) {
      return damaged(fmt::format("row groups of {} rows in all, the footer says {}", rows, out_.n_rows));
    }
    return {};
  }

 private:
  Status damaged(const std::string& what) const {
    return Status::corrupt(
        fmt::format("{}: footer, byte 0x{:x}: {}", file_.label(), at_ + in_.position(), what));
  }

  Status schema(ThriftReader::Type type) {
    // Row groups were checked against the first one.
    if (has_schema_) return damaged("a second schema");
    const auto list = in_.list(type);
    if (list.size > 0 && list.type != ThriftReader::kStruct) in_.fail("a schema that is no list of structs");
    std::vector<SchemaElement> elements;
    for (std::uint32_t i = 0; i < list.size && !in_.failed(); ++i)
      elements.push_back(read_schema_element(in_));
    if (in_.failed()) return damaged(in_.what());
    PENSTOCK_ASSIGN_OR_RETURN(out_.columns, leaves(elements, most_text_, file_.label()));
    has_schema_ = true;
    return {};
  }

  Status row_groups(ThriftReader::Type type) {
    if (!has_schema_) return damaged("row groups before the schema");
    const auto list = in_.list(type);
    if (list.size > 0 && list.type != ThriftReader::kStruct) in_.fail("row groups that are no structs");
    for (std::uint32_t i = 0; i < list.size && !in_.failed(); ++i) PENSTOCK_RETURN_IF_ERROR(row_group(i));
    return in_.failed() ? damaged(in_.what()) : Status();
  }

  Status row_group(std::size_t number) {
    if (!in_.enter()) return damaged(in_.what());
    RowGroup group;
    for (Field f; in_.next_field(&f);) {
      if (f.id == 1) {
        const auto list = in_.list(f.type);
        if (list.size > 0 && list.type != ThriftReader::kStruct)
          in_.fail("column chunks that are no structs");
        if (!in_.failed() && list.size != out_.columns.size()) {
          return damaged(fmt::format("row group {} has {} column chunks, the schema {} columns", number,
                                     list.size, out_.columns.size()));
        }
        group.columns.reserve(list.size);
        for (std::uint32_t c = 0; c < list.size && !in_.failed(); ++c) {
          RawChunk raw;
          column_chunk(in_, &raw);
          if (in_.failed()) break;
          PENSTOCK_RETURN_IF_ERROR(place(number, out_.columns[c], raw));
          raw.chunk.statistics = meaningful(std::move(raw.statistics), out_.columns[c]);
          group.columns.push_back(std::move(raw.chunk));
        }
      } else if (f.id == 3) {
        group.n_rows = unsigned64(in_, f.type);
      } else {
        in_.skip(f.type);
      }
    }
    in_.leave();
    if (in_.failed()) return damaged(in_.what());
    if (group.columns.size() != out_.columns.size()) {
      return damaged(fmt::format("row group {} has no column chunks", number));
    }
    out_.row_groups.push_back(std::move(group));
    return {};
  }

  // Where a chunk's pages begin and end, inside the file.
  Status place(std::size_t group, const Leaf& column, RawChunk& raw) const {
    const std::string where = fmt::format("{}: row group {}, column {}", file_.label(), group, column.path);
    if (raw.elsewhere) return Status::unsupported(where + ": its pages are in another file");
    if (raw.encrypted) return Status::unsupported(where + ": it is encrypted");
    if (!raw.has_metadata) return Status::corrupt(where + ": the footer has no metadata of it");
    ColumnChunk& c = raw.chunk;
    c.has_dictionary = raw.dictionary_offset > 0;
    c.offset = c.has_dictionary && (raw.dictionary_offset < raw.data_offset || raw.data_offset == 0)
                   ? raw.dictionary_offset
                   : raw.data_offset;
    const ByteCount end = at_;  // pages lie before the footer
    if (c.n_values == 0 && c.bytes == 0) return {};
    if (c.offset < 4 || c.offset >= end || c.bytes > end - c.offset) {
      return Status::corrupt(
          fmt::format("{}: its {} bytes at byte 0x{:x} are not in the file, whose footer begins at "
                      "byte 0x{:x}",
                      where, c.bytes, c.offset, end));
    }
    return {};
  }

  void key_values(ThriftReader::Type type) {
    const auto list = in_.list(type);
    if (list.size > 0 && list.type != ThriftReader::kStruct)
      in_.fail("key-value metadata that are no structs");
    for (std::uint32_t i = 0; i < list.size && !in_.failed(); ++i) {
      if (!in_.enter()) return;
      std::string key, value;
      for (Field f; in_.next_field(&f);) {
        if (f.id == 1) {
          key = in_.binary(f.type);
        } else if (f.id == 2) {
          value = in_.binary(f.type);
        } else {
          in_.skip(f.type);
        }
      }
      in_.leave();
      out_.key_value[key] = std::move(value);
    }
  }

  const File& file_;
  const ByteOffset at_;        // of the footer in the file
  const ByteCount most_text_;  // of the leaves' paths
  ThriftReader in_;
  FileMetadata& out_;
  bool has_schema_ = false;
};

Status not_parquet(const File& file) {
  return Status::invalid_argument(fmt::format("{}: not a Parquet file", file.label()));
}

// The bytes that the structure holds, and how much of it is text.
ByteCount held_bytes(const FileMetadata& m) {
  ByteCount bytes = sizeof(FileMetadata) + m.columns.capacity() * sizeof(Leaf) +
                    m.row_groups.capacity() * sizeof(RowGroup) + m.created_by.capacity();
  for (const Leaf& c : m.columns) bytes += c.path.capacity() + c.name.capacity() + c.logical_text.capacity();
  for (const RowGroup& group : m.row_groups) {
    bytes += group.columns.capacity() * sizeof(ColumnChunk);
    for (const ColumnChunk& c : group.columns) {
      bytes += (c.statistics.min ? c.statistics.min->capacity() : 0) +
               (c.statistics.max ? c.statistics.max->capacity() : 0);
    }
  }
  for (const auto& [key, value] : m.key_value) bytes += key.capacity() + value.capacity() + 128;
  return bytes;
}

}  // namespace

const char* physical_name(PhysicalType type) {
  switch (type) {
    case PhysicalType::boolean:
      return "boolean";
    case PhysicalType::int32:
      return "int32";
    case PhysicalType::int64:
      return "int64";
    case PhysicalType::int96:
      return "int96";
    case PhysicalType::float32:
      return "float32";
    case PhysicalType::float64:
      return "float64";
    case PhysicalType::byte_array:
      return "byte array";
    case PhysicalType::fixed:
      return "fixed-length byte array";
  }
  return "?";
}

std::size_t physical_size(PhysicalType type, std::uint32_t type_length) {
  switch (type) {
    case PhysicalType::int32:
    case PhysicalType::float32:
      return 4;
    case PhysicalType::int64:
    case PhysicalType::float64:
      return 8;
    case PhysicalType::int96:
      return 12;
    case PhysicalType::fixed:
      return type_length;
    case PhysicalType::boolean:
    case PhysicalType::byte_array:
      return 0;
  }
  return 0;
}

std::string encoding_name(Encoding encoding) {
  switch (encoding) {
    case Encoding::plain:
      return "PLAIN";
    case Encoding::plain_dictionary:
      return "PLAIN_DICTIONARY";
    case Encoding::rle:
      return "RLE";
    case Encoding::bit_packed:
      return "BIT_PACKED";
    case Encoding::delta_binary_packed:
      return "DELTA_BINARY_PACKED";
    case Encoding::delta_length_byte_array:
      return "DELTA_LENGTH_BYTE_ARRAY";
    case Encoding::delta_byte_array:
      return "DELTA_BYTE_ARRAY";
    case Encoding::rle_dictionary:
      return "RLE_DICTIONARY";
    case Encoding::byte_stream_split:
      return "BYTE_STREAM_SPLIT";
  }
  return fmt::format("encoding {}", static_cast<int>(encoding));
}

const Leaf* FileMetadata::find(const std::string& name) const {
  const Leaf* found = nullptr;
  for (const Leaf& column : columns) {
    if (column.name != name) continue;
    if (found != nullptr) return nullptr;
    found = &column;
  }
  return found;
}

Result<bool> begins_as_parquet(const File& file) {
  std::byte head[4];
  if (file.size() < sizeof(head)) return false;
  PENSTOCK_RETURN_IF_ERROR(file.read_at(0, head));
  return std::memcmp(head, "PAR1", 4) == 0 || std::memcmp(head, "PARE", 4) == 0;
}

Result<std::shared_ptr<const FileMetadata>> read_metadata(const File& file, MemoryBudget& budget,
                                                          const MetadataLimits& limits) {
  if (file.size() < kLeastFile) return not_parquet(file);
  std::byte tail[kTail], head[4];
  PENSTOCK_RETURN_IF_ERROR(file.read_at(0, head));
  PENSTOCK_RETURN_IF_ERROR(file.read_at(file.size() - kTail, tail));
  if (std::memcmp(tail + 4, "PARE", 4) == 0) {
    return Status::unsupported(fmt::format("{}: an encrypted footer", file.label()));
  }
  if (std::memcmp(tail + 4, "PAR1", 4) != 0 || std::memcmp(head, "PAR1", 4) != 0) {
    if (std::memcmp(head, "PAR1", 4) == 0) {
      return Status::corrupt(
          fmt::format("{}: it begins as a Parquet file and does not end as one: cut short?", file.label()));
    }
    return not_parquet(file);
  }
  std::uint32_t length = 0;
  std::memcpy(&length, tail, sizeof(length));
  if (length > file.size() - kLeastFile) {
    return Status::corrupt(
        fmt::format("{}: a footer of {} bytes in a file of {}", file.label(), length, file.size()));
  }
  if (length > limits.footer_bytes) {
    return Status::budget(fmt::format(
        "{}: its footer has {}, at most {} are read. A file with one column per gene has a footer entry for "
        "every gene "
        "and row group: rewrite it as lists (one row per cell: the genes and values that are not zero)",
        file.label(), format_bytes(length), format_bytes(limits.footer_bytes)));
  }
  try {
    PENSTOCK_ASSIGN_OR_RETURN(
        Reservation held,
        reserve_for(file.label() + ": footer", budget, MemoryTag::index,
                    ByteCount{length} * (1 + kExpansion + kPathExpansion) + kLeastReserved));
    std::vector<std::byte> bytes(length);
    const ByteOffset at = file.size() - kTail - length;
    PENSTOCK_RETURN_IF_ERROR(file.read_at(at, bytes));
    auto out = std::make_shared<FileMetadata>();
    out->label = file.label();
    out->footer_bytes = length;
    PENSTOCK_RETURN_IF_ERROR(Parser(file, at, bytes, *out).run());
    held.resize(std::min(held.bytes(), held_bytes(*out)));
    out->held = std::move(held);
    return std::shared_ptr<const FileMetadata>(std::move(out));
  } catch (const std::bad_alloc&) {
    return Status::budget(fmt::format("{}: the system has no memory for its footer", file.label()));
  }
}

}  // namespace penstock::parquet
