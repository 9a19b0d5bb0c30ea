// The schema tree of a footer -> its leaves, with the levels that their pages have (parquet.thrift:
// SchemaElement; LogicalTypes.md for lists).
//
// Thread contract: pure functions.
#pragma once

#include <cstdint>
#include <optional>
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

// Turns elements, as they are read, into leaves: the tree itself is never in memory.
class LeafReader {
 public:
  // most_text: bytes that paths and names of all leaves may take. Each leaf repeats the names of its groups,
  // so a short footer can ask for any amount.
  LeafReader(ByteCount most_text, std::string label) : most_text_(most_text), label_(std::move(label)) {}

  // The next element; out gets its leaf when it is one. `corrupt`, naming the file, when the tree contradicts
  // itself: children that are not there, a leaf without type. `budget`: too much text.
  Status add(SchemaElement element, std::optional<Leaf>* out);
  // At least as many bytes as the texts of that leaf, or of a group that stays open, take.
  ByteCount text_bytes(const SchemaElement& element) const;
  // After the last one.
  Status finish() const;
  std::size_t n_leaves() const { return n_leaves_; }

 private:
  // What lies between the root and the next leaf.
  struct Group {
    SchemaElement element;
    std::uint32_t children_left;
  };
  Status wrong(const std::string& what) const;
  Leaf make_leaf(const SchemaElement& leaf) const;

  const ByteCount most_text_;
  const std::string label_;
  ByteCount text_ = 0;
  std::vector<Group> path_;
  std::size_t n_elements_ = 0, n_leaves_ = 0;
};

}  // namespace penstock::parquet
