// The schema tree of a footer -> its leaves, with the levels that their pages have (parquet.thrift:
// SchemaElement; LogicalTypes.md for lists).
//
// Thread contract: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/types.h"
#include "parquet/metadata.h"
#include "parquet/thrift.h"
#include "penstock/status.h"

namespace penstock::parquet {

// One node, in the order stored: depth first.
struct SchemaElement {
  std::string name;
  std::int32_t type = -1;  // physical; -1: a group
  std::uint32_t type_length = 0;
  std::uint8_t repetition = 0;  // 0 required, 1 optional, 2 repeated
  std::uint32_t n_children = 0;
  std::int32_t converted = -1;
  Logical logical = Logical::none;
  std::string logical_text;
  std::uint8_t bits = 0;
  bool is_signed = true;
};

// Reads one element at the reader's position (a struct in a list).
SchemaElement read_schema_element(ThriftReader& in);

// `corrupt`, naming the file, when the tree contradicts itself: children that are not there, a leaf without
// type. `budget` when the leaves' paths and names take more than most_text bytes in all: each leaf repeats
// the names of its groups, so a short footer can ask for any amount.
Result<std::vector<Leaf>> leaves(const std::vector<SchemaElement>& schema, ByteCount most_text,
                                 const std::string& label);

}  // namespace penstock::parquet
