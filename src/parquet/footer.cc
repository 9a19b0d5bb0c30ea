// The footer, FileMetaData of parquet.thrift, read field by field while its bytes stream by. What a reader
// wants of it is little. A file with one column for each of 60,000 genes and 100 row groups has six million
// entries, and of each only where its pages lie (40 bytes) is kept, of columns that are wanted.
//
//     2 schema       LeafReader (schema.h) turns its tree into leaves, and options say which are wanted
//     4 row groups   of each column chunk of a wanted leaf: offset, sizes, codec, statistics
//     5 key-values   "pandas" names the index, "array" the shape of a pqdata matrix; all else is skipped
//
// The fields have to come in this order, since each needs what the one before it has said. Writers of Thrift
// put fields in the order of their numbers, so that they do; a file that has row groups before its schema is
// refused, and so is a second schema, which would make wrong what the row groups were checked against.
//
// Memory: `memory_` is charged before anything is taken, string by string. What belongs to the parser alone
// (numbers_, names of open groups) is charged along and dropped at the end.
//
// What a hostile file could do, and what stands against it: counts that are larger than the file (thrift.cc
// bounds lists by the bytes that are left), names of groups that each of a million leaves repeats
// (kPathExpansion), bounds and descriptions of any length (kMostBound, kMostArray), chunks that lie outside
// of the file (place()), and numbers of rows whose sum wraps (run()).
#include "parquet/footer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/checked.h"
#include "memory/growing.h"
#include "parquet/footer_pieces.h"
#include "parquet/schema.h"
#include "parquet/thrift.h"

namespace penstock::parquet {
namespace {

using Field = ThriftReader::Field;

// Text of the paths of leaves against the footer's bytes. Column chunks name their path in full, so a footer
// with row groups is at least as long as the paths; one without may be shorter.
constexpr ByteCount kPathExpansion = 8;
constexpr std::size_t kMostBound = 64 << 10;  // a longer minimum or maximum is none
constexpr std::size_t kMostArray = 64 << 10;  // a longer description of a shape is none
constexpr std::size_t kMostLevels = 64;       // of an index that is told by its columns' names
constexpr ByteCount kNode = 64;               // of a set, beside its string

// As in the thrift struct; which of them mean something is decided with the column's type.
struct RawStatistics {
  std::optional<std::string> old_max, old_min, max, min;
  std::optional<std::uint64_t> nulls;
};

// A bound that is too long to be kept is as good as none: bounds only save work.
std::optional<std::string> bound(ThriftReader& in, ThriftReader::Type type) {
  const std::string_view bytes = in.binary(type);
  return bytes.size() > kMostBound ? std::nullopt : std::optional<std::string>(bytes);
}

// Fields 1 and 2 are the deprecated pair, 5 and 6 the one that has replaced it; meaningful() decides which
// counts.
void statistics(ThriftReader& in, ThriftReader::Type type, RawStatistics* out) {
  in.structure(type, "statistics that are no struct", [&](const Field& f) {
    switch (f.id) {
      case 1:
        out->old_max = bound(in, f.type);
        return true;
      case 2:
        out->old_min = bound(in, f.type);
        return true;
      case 3:
        out->nulls = in.size(f.type);
        return true;
      case 5:
        out->max = bound(in, f.type);
        return true;
      case 6:
        out->min = bound(in, f.type);
        return true;
      default:
        return false;
    }
  });
}

// Bytes of another size than the type has are as useless as a NaN. The specification asks readers to ignore
// bounds that are NaN: other values of the chunk compare with it in no way.
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
  // INT96 timestamps have no order that the specification defines.
  const auto drop_bad = [&](std::optional<std::string>& bytes) {
    if (!bytes) return;
    const std::size_t size = physical_size(column.type, column.type_length);
    const bool bad = column.type == PhysicalType::float32   ? is_nan<float>(*bytes)
                     : column.type == PhysicalType::float64 ? is_nan<double>(*bytes)
                                                            : size > 0 && bytes->size() != size;
    if (bad || column.type == PhysicalType::int96) bytes.reset();
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

// with_statistics: they are looked at.
void column_metadata(ThriftReader& in, ThriftReader::Type type, bool with_statistics, RawChunk* out) {
  out->has_metadata = true;
  in.structure(type, "column metadata that are no struct", [&](const Field& f) {
    switch (f.id) {
      case 4:
        out->chunk.codec_number = in.code(f.type, "a compression beyond 255");
        out->chunk.codec = compression_of(out->chunk.codec_number);
        return true;
      case 5:
        out->chunk.n_values = in.size(f.type);
        return true;
      case 6:
        out->chunk.uncompressed = in.size(f.type);
        return true;
      case 7:
        out->chunk.bytes = in.size(f.type);
        return true;
      case 9:
        out->data_offset = in.size(f.type);
        return true;
      case 11:
        // Some writers put 0 or -1 for none.
        out->dictionary_offset = static_cast<std::uint64_t>(std::max<std::int64_t>(in.integer(f.type), 0));
        return true;
      case 12:
        if (!with_statistics && f.type == ThriftReader::kStruct) return false;
        statistics(in, f.type, &out->statistics);
        return true;
      default:
        return false;
    }
  });
}

void column_chunk(ThriftReader& in, bool with_statistics, RawChunk* out) {
  in.structure(ThriftReader::kStruct, "", [&](const Field& f) {
    switch (f.id) {
      case 1:
        out->elsewhere = !in.binary(f.type).empty();
        return true;
      case 3:
        column_metadata(in, f.type, with_statistics, out);
        return true;
      case 8:
      case 9:
        out->encrypted = true;
        return false;
      default:
        return false;
    }
  });
}

class Parser {
 public:
  Parser(const File& file, ByteOffset at, ByteCount length, const MetadataOptions& options, Growing& memory,
         FileMetadata& out)
      : file_(file),
        at_(at),
        options_(options),
        memory_(memory),
        pieces_(file, at, length, memory),
        leaves_(length * kPathExpansion, file.label()),
        in_(pieces_),
        out_(out) {}

  // Damage is looked for after each field, and once more after the last one: in_ fails silently, and
  // everything reads as 0 from there on.
  Status run() {
    for (Field f; in_.next_field(&f);) {
      PENSTOCK_RETURN_IF_ERROR(field(f));
      if (in_.failed()) break;
    }
    if (in_.failed()) return damaged(in_.what());
    if (!has_schema_ || !has_rows_) return damaged("it has no schema or no number of rows");
    // Row groups follow each other in the file's order. Their sum and the number of rows that the footer says
    // are two statements of one thing, and a file that contradicts itself here has been damaged.
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
    out_.pandas.columns.merge(named_index_);
    return {};
  }
  // Of what goes with the parser.
  ByteCount own_bytes() const { return numbers_.capacity() * sizeof(std::size_t) + group_text_; }

 private:
  // What is wrong at this place; or why the bytes there could not be had.
  Status damaged(const std::string& what) const {
    if (!pieces_.status().ok()) return pieces_.status();
    return Status::corrupt(
        fmt::format("{}: footer, byte 0x{:x}: {}", file_.label(), at_ + in_.position(), what));
  }

  Status field(const Field& f) {
    switch (f.id) {
      case 2:
        return schema(f.type);
      case 3:
        out_.n_rows = in_.size(f.type);
        has_rows_ = true;
        return {};
      case 4:
        return row_groups(f.type);
      case 5:
        return key_values(f.type);
      case 8:
        return Status::unsupported(fmt::format("{}: encrypted columns", file_.label()));
      default:
        in_.skip(f.type);
        return {};
    }
  }

  // --- schema ---

  Status schema(ThriftReader::Type type) {
    // Row groups were checked against the first one.
    if (has_schema_) return damaged("a second schema");
    const auto list = in_.structs(type, "a schema that is no list of structs");
    for (std::uint32_t i = 0; i < list.size && !in_.failed(); ++i) {
      SchemaElement element = read_schema_element(in_);
      if (in_.failed()) break;
      PENSTOCK_RETURN_IF_ERROR(schema_element(std::move(element)));
    }
    if (in_.failed()) return damaged(in_.what());
    PENSTOCK_RETURN_IF_ERROR(leaves_.finish());
    out_.n_columns = leaves_.n_leaves();
    has_schema_ = true;
    return {};
  }

  Status schema_element(SchemaElement element) {
    const bool is_group = element.type < 0;
    const ByteCount text = leaves_.text_bytes(element);
    PENSTOCK_RETURN_IF_ERROR(memory_.add(text));
    std::optional<Leaf> leaf;
    PENSTOCK_RETURN_IF_ERROR(leaves_.add(std::move(element), &leaf));
    // The texts of a group are needed until its last leaf has come; they stay charged to the end, which is
    // simpler and never too little. Those of a leaf are charged again below, if it is kept.
    if (is_group) {
      group_text_ += text;
    } else {
      memory_.drop(text);
    }
    if (!leaf) return {};
    // Even of columns that are not wanted: whether a file has an index decides how its rows are named. A file
    // may have any number of columns with such names, so the set is bounded.
    if (leaf->shape == Leaf::Shape::flat && is_index_name(leaf->name) && named_index_.size() < kMostLevels) {
      PENSTOCK_RETURN_IF_ERROR(memory_.add(kNode + sizeof(std::string) + heap_bytes(leaf->name)));
      named_index_.insert(leaf->name);
    }
    if (options_.wanted && !options_.wanted(*leaf)) return {};
    PENSTOCK_RETURN_IF_ERROR(
        memory_.add(heap_bytes(leaf->path) + heap_bytes(leaf->name) + heap_bytes(leaf->logical_text)));
    PENSTOCK_RETURN_IF_ERROR(memory_.push(out_.columns, std::move(*leaf)));
    return memory_.push(numbers_, leaves_.n_leaves() - 1);
  }

  // --- row groups ---

  Status row_groups(ThriftReader::Type type) {
    if (!has_schema_) return damaged("row groups before the schema");
    const auto list = in_.structs(type, "row groups that are no structs");
    for (std::uint32_t i = 0; i < list.size && !in_.failed(); ++i) PENSTOCK_RETURN_IF_ERROR(row_group(i));
    return in_.failed() ? damaged(in_.what()) : Status();
  }

  Status row_group(std::size_t number) {
    if (!in_.enter()) return damaged(in_.what());
    RowGroup group;
    bool has_chunks = false;
    for (Field f; in_.next_field(&f);) {
      if (f.id == 1) {
        if (has_chunks) return damaged(fmt::format("row group {} has column chunks twice", number));
        PENSTOCK_RETURN_IF_ERROR(column_chunks(number, f.type, &group));
        has_chunks = true;
      } else if (f.id == 3) {
        group.n_rows = in_.size(f.type);
      } else {
        in_.skip(f.type);
      }
    }
    in_.leave();
    if (in_.failed()) return damaged(in_.what());
    if (!has_chunks && out_.n_columns > 0)
      return damaged(fmt::format("row group {} has no column chunks", number));
    return memory_.push(out_.row_groups, std::move(group));
  }

  // Chunks come in the order of the schema's leaves, wanted or not. numbers_ holds the numbers of those that
  // are kept, ascending, so that it is walked beside the chunks: `next` is the one that is waited for.
  Status column_chunks(std::size_t number, ThriftReader::Type type, RowGroup* group) {
    const auto list = in_.structs(type, "column chunks that are no structs");
    if (in_.failed()) return damaged(in_.what());
    // With another number of chunks one would be taken for its neighbour's column.
    if (list.size != out_.n_columns) {
      return damaged(fmt::format("row group {} has {} column chunks, the schema {} columns", number,
                                 list.size, out_.n_columns));
    }
    const std::size_t kept = numbers_.size();
    PENSTOCK_RETURN_IF_ERROR(
        memory_.add(kept * (sizeof(ColumnChunk) + (options_.statistics ? sizeof(Statistics) : 0))));
    // Exactly what was reserved above; without this the vector would double its way up beyond it.
    group->columns.reserve(kept);
    if (options_.statistics) group->statistics.reserve(kept);
    for (std::uint32_t c = 0; c < list.size && !in_.failed(); ++c) {
      const std::size_t next = group->columns.size();
      if (next == kept || numbers_[next] != c) {
        in_.skip(ThriftReader::kStruct);
        continue;
      }
      RawChunk raw;
      column_chunk(in_, options_.statistics, &raw);
      if (in_.failed()) break;
      PENSTOCK_RETURN_IF_ERROR(place(number, out_.columns[next], raw));
      group->columns.push_back(raw.chunk);
      if (!options_.statistics) continue;
      group->statistics.push_back(meaningful(std::move(raw.statistics), out_.columns[next]));
      const Statistics& s = group->statistics.back();
      PENSTOCK_RETURN_IF_ERROR(
          memory_.add((s.min ? heap_bytes(*s.min) : 0) + (s.max ? heap_bytes(*s.max) : 0)));
    }
    return in_.failed() ? damaged(in_.what()) : Status();
  }

  // Where a chunk's pages begin and end, inside the file.
  // Everything later trusts that [offset, offset + bytes) lies between the magic at the front and the footer.
  // The comparisons are written as differences, because sums of numbers from the file might wrap.
  Status place(std::size_t group, const Leaf& column, RawChunk& raw) const {
    const auto where = [&] {
      return fmt::format("{}: row group {}, column {}", file_.label(), group, column.path);
    };
    if (raw.elsewhere) return Status::unsupported(where() + ": its pages are in another file");
    if (raw.encrypted) return Status::unsupported(where() + ": it is encrypted");
    if (!raw.has_metadata) return Status::corrupt(where() + ": the footer has no metadata of it");
    ColumnChunk& c = raw.chunk;
    // A chunk begins with its dictionary page, if it has one. An offset of 0 says that there is none, and one
    // that lies behind the data pages is not where the chunk begins.
    const bool dictionary_first =
        raw.dictionary_offset > 0 && (raw.dictionary_offset < raw.data_offset || raw.data_offset == 0);
    c.offset = dictionary_first ? raw.dictionary_offset : raw.data_offset;
    const ByteCount end = at_;  // pages lie before the footer
    // An empty row group: its offset may be anything.
    if (c.n_values == 0 && c.bytes == 0) {
      c.uncompressed = 0;
      return {};
    }
    if (c.offset < 4 || c.offset >= end || c.bytes > end - c.offset) {
      return Status::corrupt(
          fmt::format("{}: its {} bytes at byte 0x{:x} are not in the file, whose footer begins at "
                      "byte 0x{:x}",
                      where(), c.bytes, c.offset, end));
    }
    const ByteCount stored = c.bytes + kUndeclaredBytes;
    c.uncompressed =
        std::min({c.uncompressed, std::max(stored, max_decompressed(c.codec, stored)), kMostUncompressed});
    return {};
  }

  // --- key-value metadata ---

  // A KeyValue is two fields, the key first (again by number). The value of a key that is not known is passed
  // over without being in memory.
  Status key_values(ThriftReader::Type type) {
    const auto list = in_.structs(type, "key-value metadata that are no structs");
    for (std::uint32_t i = 0; i < list.size && !in_.failed(); ++i) {
      if (!in_.enter()) break;
      std::string_view known;
      for (Field f; in_.next_field(&f);) {
        if (f.id == 1) {
          const std::string_view key = in_.binary(f.type);
          known = key == "pandas" ? "pandas" : key == "array" ? "array" : "";
        } else if (f.id == 2 && !known.empty()) {
          PENSTOCK_RETURN_IF_ERROR(value_of(known, f.type));
        } else {
          in_.skip(f.type);  // a description of every column in "ARROW:schema": long, and of no use here
        }
      }
      in_.leave();
    }
    return in_.failed() ? damaged(in_.what()) : Status();
  }

  Status value_of(std::string_view key, ThriftReader::Type type) {
    const std::string_view value = in_.binary(type);
    if (in_.failed()) return damaged(in_.what());
    if (key == "array") {
      if (value.size() > kMostArray) return {};
      PENSTOCK_RETURN_IF_ERROR(memory_.add(heap_bytes(value)));
      out_.array = value;
      return {};
    }
    if (!has_rows_) return damaged("a description of pandas before the number of rows");
    // The longest word of it while it is read, and the names that are kept.
    PENSTOCK_RETURN_IF_ERROR(memory_.add(2 * value.size()));
    out_.pandas = pandas_index(value, out_.n_rows);
    memory_.drop(2 * value.size());
    for (const std::string& name : out_.pandas.columns) {
      PENSTOCK_RETURN_IF_ERROR(memory_.add(kNode + sizeof(std::string) + heap_bytes(name)));
    }
    return {};
  }

  const File& file_;
  const ByteOffset at_;  // of the footer in the file
  const MetadataOptions& options_;
  Growing& memory_;
  FooterPieces pieces_;
  LeafReader leaves_;
  ThriftReader in_;
  FileMetadata& out_;
  std::vector<std::size_t> numbers_;                // of the leaves that are kept
  ByteCount group_text_ = 0;                        // that the schema's groups were charged
  std::set<std::string, std::less<>> named_index_;  // columns that are an index by their names
  bool has_schema_ = false, has_rows_ = false;
};

}  // namespace

// The parser goes before memory is handed over: its window and its lists are given back, and what is left in
// `memory` is what FileMetadata holds.
Status read_footer(const File& file, ByteOffset at, ByteCount length, const MetadataOptions& options,
                   MemoryBudget& budget, FileMetadata* out) {
  const std::string what = file.label() + ": footer";
  Growing memory(what, budget, MemoryTag::index);
  PENSTOCK_RETURN_IF_ERROR(memory.add(sizeof(FileMetadata)));
  {
    Parser parser(file, at, length, options, memory, *out);
    PENSTOCK_RETURN_IF_ERROR(parser.run());
    memory.drop(parser.own_bytes());
  }
  out->held = memory.finish();
  return {};
}

}  // namespace penstock::parquet
