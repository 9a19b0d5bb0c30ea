// The frame around a footer (parquet-format README, "File format"), and the names and numbers of
// parquet.thrift:
//
//     "PAR1"  pages ...  footer  length of the footer (4 bytes, little-endian)  "PAR1"
//
// An encrypted footer ends with "PARE" instead. The length is a number like any other that a file states: it
// is compared with the size of the file before a byte is read by it. A file that begins well and does not end
// well is most likely a download that was cut, and the message says so.
#include "parquet/metadata.h"

#include <fmt/format.h>

#include <cstring>
#include <new>

#include "parquet/footer.h"

namespace penstock::parquet {
namespace {

constexpr ByteCount kTail = 8;        // footer length and magic
constexpr ByteCount kLeastFile = 12;  // and the magic in front

Status not_parquet(const File& file) {
  return Status::invalid_argument(fmt::format("{}: not a Parquet file", file.label()));
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

// 0 stands for "the type does not say": booleans are bits, and byte arrays have lengths of their own.
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

Compression compression_of(std::uint8_t number) {
  // In the order of parquet.thrift's CompressionCodec, 0 to 7. Number 5 is the LZ4 that Hadoop frames in its
  // own way, deprecated; 7 is LZ4's plain block.
  constexpr Compression kByNumber[] = {Compression::none, Compression::snappy, Compression::gzip,
                                       Compression::lzo,  Compression::brotli, Compression::lz4_hadoop,
                                       Compression::zstd, Compression::lz4_raw};
  return number < std::size(kByNumber) ? kByNumber[number] : Compression::unknown;
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

// Two ways of naming: a top-level field, or a path below one. The first wins where both would do, and a name
// that could mean several leaves means none, because guessing would read the wrong column in silence.
const Leaf* FileMetadata::find(std::string_view name) const {
  const Leaf* found = nullptr;
  std::size_t n = 0;
  for (const Leaf& column : columns) {
    if (column.name != name) continue;
    found = &column;
    ++n;
  }
  if (n > 0) return n == 1 ? found : nullptr;
  // Below a top-level field.
  for (const Leaf& column : columns) {
    const std::string_view path = column.path;
    // The name has to end where a part of the path does, so that "cell.gene" is no name of "cell.genes".
    // Names may hold dots themselves; that the top-level name is not longer than what is asked for keeps
    // "a.b" from meaning a part of the field "a.b.c".
    const bool below = path.size() > name.size() && path[name.size()] == '.';
    if (column.name.size() > name.size() || !path.starts_with(name) || !(below || path == name)) continue;
    found = &column;
    ++n;
  }
  return n == 1 ? found : nullptr;
}

Result<bool> begins_as_parquet(const File& file) {
  std::byte head[4];
  if (file.size() < sizeof(head)) return false;
  PENSTOCK_RETURN_IF_ERROR(file.read_at(0, head));
  return std::memcmp(head, "PAR1", 4) == 0 || std::memcmp(head, "PARE", 4) == 0;
}

Result<std::shared_ptr<const FileMetadata>> read_metadata(const File& file, MemoryBudget& budget,
                                                          const MetadataOptions& options) {
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
          fmt::format("{}: it begins as a Parquet file and does not end as one: cut short, by a copy or "
                      "download that ended early? make it again",
                      file.label()));
    }
    return not_parquet(file);
  }
  std::uint32_t length = 0;
  std::memcpy(&length, tail, sizeof(length));
  if (length > file.size() - kLeastFile) {
    return Status::corrupt(
        fmt::format("{}: a footer of {} bytes in a file of {}", file.label(), length, file.size()));
  }
  // The budget was asked, but the system's memory may be used up by others: a vector that cannot grow throws.
  try {
    auto out = std::make_shared<FileMetadata>();
    out->label = file.label();
    out->footer_bytes = length;
    PENSTOCK_RETURN_IF_ERROR(
        read_footer(file, file.size() - kTail - length, length, options, budget, out.get()));
    return std::shared_ptr<const FileMetadata>(std::move(out));
  } catch (const std::bad_alloc&) {
    return Status::budget(fmt::format("{}: the system has no memory for its footer", file.label()));
  }
}

}  // namespace penstock::parquet
