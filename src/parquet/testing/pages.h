// Column chunks in memory: V1 pages without compression, as parquet.thrift and Encodings.md have them.
#pragma once

#include <cstring>
#include <vector>

#include "io/testing/memory_file.h"
#include "parquet/metadata.h"
#include "parquet/testing/encoders.h"

namespace penstock::parquet::testing {

template <class T>
void plain(Bytes& out, const std::vector<T>& values) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  out.insert(out.end(), bytes, bytes + values.size() * sizeof(T));
}

// A field of a struct in the compact protocol: `delta` more than the number of the one before.
inline void thrift_i32(Bytes& out, int delta, std::int64_t value) {
  put(out, static_cast<std::uint64_t>(delta << 4 | 5));
  zigzag(out, value);
}
inline void thrift_struct(Bytes& out, int delta) { put(out, static_cast<std::uint64_t>(delta << 4 | 12)); }

inline Bytes data_page(std::uint64_t n_values, Encoding encoding, const Bytes& body) {
  Bytes out;
  thrift_i32(out, 1, 0);  // type: a V1 data page
  thrift_i32(out, 1, static_cast<std::int64_t>(body.size()));
  thrift_i32(out, 1, static_cast<std::int64_t>(body.size()));
  thrift_struct(out, 2);
  thrift_i32(out, 1, static_cast<std::int64_t>(n_values));
  thrift_i32(out, 1, static_cast<std::int64_t>(encoding));
  thrift_i32(out, 1, static_cast<std::int64_t>(Encoding::rle));
  thrift_i32(out, 1, static_cast<std::int64_t>(Encoding::rle));
  put(out, 0);
  put(out, 0);
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

template <class T>
Bytes dictionary_page(const std::vector<T>& values) {
  Bytes out, body;
  plain(body, values);
  thrift_i32(out, 1, 2);  // type: a dictionary
  thrift_i32(out, 1, static_cast<std::int64_t>(body.size()));
  thrift_i32(out, 1, static_cast<std::int64_t>(body.size()));
  thrift_struct(out, 4);
  thrift_i32(out, 1, static_cast<std::int64_t>(values.size()));
  thrift_i32(out, 1, static_cast<std::int64_t>(Encoding::plain));
  put(out, 0);
  put(out, 0);
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

// Levels of one bit, behind their length.
inline void levels(Bytes& out, const std::vector<std::uint64_t>& bits) {
  Bytes run;
  packed_run(run, bits, 1);
  plain(out, std::vector<std::uint32_t>{static_cast<std::uint32_t>(run.size())});
  out.insert(out.end(), run.begin(), run.end());
}

// A page of lists of integers; `inside`: its first list goes on with the last one of the page before.
inline Bytes list_page(const std::vector<std::vector<std::int64_t>>& rows, bool inside = false) {
  std::vector<std::uint64_t> rep, def;
  std::vector<std::int64_t> values;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (rows[r].empty()) {
      rep.push_back(0);
      def.push_back(0);
    }
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      rep.push_back(i > 0 || (r == 0 && inside) ? 1 : 0);
      def.push_back(1);
      values.push_back(rows[r][i]);
    }
  }
  Bytes body;
  levels(body, rep);
  levels(body, def);
  plain(body, values);
  return data_page(rep.size(), Encoding::plain, body);
}

// A column of int64, of lists of them, that begins at byte 4 of a file, in one row group.
struct OneColumn {
  Bytes bytes = Bytes(4);
  FileMetadata metadata;

  explicit OneColumn(bool lists) {
    Leaf leaf;
    leaf.path = lists ? "genes.list.element" : "genes";
    leaf.name = "genes";
    leaf.type = PhysicalType::int64;
    if (lists) {
      leaf.max_def = leaf.max_rep = leaf.element_def = 1;
      leaf.shape = Leaf::Shape::list;
    }
    metadata.label = "a.parquet";
    metadata.columns.push_back(leaf);
    metadata.n_columns = 1;
    metadata.row_groups.emplace_back();
    metadata.row_groups[0].columns.emplace_back();
    chunk().offset = bytes.size();
  }
  ColumnChunk& chunk() { return metadata.row_groups[0].columns[0]; }
  const Leaf& leaf() const { return metadata.columns[0]; }
  // Appends a page of so many levels, with which so many rows begin.
  OneColumn& add(const Bytes& page, std::uint64_t n_values, std::uint64_t rows) {
    bytes.insert(bytes.end(), page.begin(), page.end());
    chunk().bytes += page.size();
    chunk().uncompressed += page.size();
    chunk().n_values += n_values;
    metadata.row_groups[0].n_rows += rows;
    metadata.n_rows += rows;
    return *this;
  }
  penstock::testing::MemoryFile file() const { return penstock::testing::MemoryFile(bytes, "a.parquet"); }
};

}  // namespace penstock::parquet::testing
