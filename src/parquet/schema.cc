// From the schema's tree to leaves. parquet.thrift stores the tree as a list, depth first, each group with
// the number of its children. A leaf's levels follow from the fields on its path (parquet-format README,
// "Nested Encoding"): every optional or repeated field adds one to the highest definition level, every
// repeated one to the highest repetition level.
//
// A worked example, the list column of Tahoe-100M and of Hugging Face's datasets:
//
//     schema (2 children)
//       genes      optional group, LIST, 1 child      max_def 1, and list_def = 1: from here on a list
//         list     repeated group, 1 child            max_def 2, and element_def = 2: from here on an element
//           element  optional int64                   max_def 3: from here on a value; max_rep 1
//       drug       optional byte array, String        a flat leaf with max_def 1
//
// The tree is never in memory. path_ holds the groups that are open, from the root to where the next element
// belongs, each with the number of children that are still to come; when one has none left, it is closed.
// That makes wrong numbers of children visible at once: elements that belong to nothing, or groups that lack
// some at the end.
#include "parquet/schema.h"

#include <fmt/format.h>

#include <utility>

namespace penstock::parquet {
namespace {

using Field = ThriftReader::Field;

constexpr std::size_t kMostDepth = 32;

// LogicalType is a union: the number of the one field says which. Only INTEGER's says more.
// The function returns false for most members, so that what they hold (nothing, or a unit of time) is skipped
// by the reader.
void logical_type(ThriftReader& in, ThriftReader::Type type, SchemaElement* out) {
  const auto is = [out](Logical logical, std::string text) {
    out->logical = logical;
    out->logical_text = std::move(text);
    return false;
  };
  in.structure(type, "a logical type that is no struct", [&](const Field& f) {
    switch (f.id) {
      case 1:
      case 4:
      case 12:
        return is(Logical::string, "string");
      case 5:
        return is(Logical::decimal, "decimal");
      case 6:
        return is(Logical::temporal, "date");
      case 7:
        return is(Logical::temporal, "time");
      case 8:
        return is(Logical::temporal, "timestamp");
      case 10:  // INTEGER: width, signedness
        in.structure(f.type, "an integer type that is no struct", [&](const Field& g) {
          if (g.id == 1) out->bits = static_cast<std::uint8_t>(in.integer(g.type));
          if (g.id == 2) out->is_signed = in.boolean(g.type);
          return g.id == 1 || g.id == 2;
        });
        is(Logical::integer, fmt::format("{}int{}", out->is_signed ? "" : "u", out->bits));
        return true;
      case 15:
        return is(Logical::float16, "float16");
      case 2:   // MAP
      case 3:   // LIST
      case 11:  // UNKNOWN: always null
        return false;
      default:
        return is(Logical::other, fmt::format("logical type {}", f.id));
    }
  });
}

// Writers before 2.4 of the format say it by ConvertedType.
// The numbers are ConvertedType's: 0 UTF8, 4 ENUM, 19 JSON; 5 DECIMAL; 6 DATE, 7 and 8 TIME, 9 and 10
// TIMESTAMP; 11 to 14 UINT_8 to UINT_64, 15 to 18 INT_8 to INT_64.
void from_converted(SchemaElement* e) {
  if (e->logical != Logical::none || e->converted < 0) return;
  switch (e->converted) {
    case 0:
    case 4:
    case 19:
      e->logical = Logical::string;
      e->logical_text = "string";
      return;
    case 5:
      e->logical = Logical::decimal;
      e->logical_text = "decimal";
      return;
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
      e->logical = Logical::temporal;
      e->logical_text = e->converted == 6 ? "date" : e->converted <= 8 ? "time" : "timestamp";
      return;
    case 11:
    case 12:
    case 13:
    case 14:
    case 15:
    case 16:
    case 17:
    case 18:
      e->logical = Logical::integer;
      e->is_signed = e->converted >= 15;
      e->bits = static_cast<std::uint8_t>(8 << ((e->converted - 11) % 4));
      e->logical_text = fmt::format("{}int{}", e->is_signed ? "" : "u", e->bits);
      return;
    case 1:
    case 2:
    case 3:
      return;  // MAP, MAP_KEY_VALUE, LIST
    default:
      e->logical = Logical::other;
      e->logical_text = fmt::format("converted type {}", e->converted);
  }
}

}  // namespace

SchemaElement read_schema_element(ThriftReader& in) {
  SchemaElement e;
  in.structure(ThriftReader::kStruct, "", [&](const Field& f) {
    switch (f.id) {
      case 1:
        e.type = static_cast<std::int32_t>(in.integer(f.type));
        // An unknown physical type is an error and not "something that is not read", because the number of
        // bytes that its values take is not known either.
        if (e.type < 0 || e.type > 7) in.fail("a column of an unknown physical type");
        return true;
      case 2:
        e.type_length = in.count(f.type, "a negative type length");
        return true;
      case 3:
        e.repetition = in.code(f.type, "an unknown repetition type");
        if (e.repetition > 2) in.fail("an unknown repetition type");
        return true;
      case 4:
        e.name = in.binary(f.type);
        return true;
      case 5:
        e.n_children = in.count(f.type, "a negative number of children");
        return true;
      case 6:
        e.converted = static_cast<std::int32_t>(in.integer(f.type));
        return true;
      case 10:
        logical_type(in, f.type, &e);
        return true;
      default:
        return false;
    }
  });
  from_converted(&e);
  return e;
}

Status LeafReader::wrong(const std::string& what) const {
  return Status::corrupt(fmt::format("{}: the footer's schema: {}", label_, what));
}

// path_[0] is the root, which has a name that no path includes. Levels fit a byte: a path has at most
// kMostDepth groups.
Leaf LeafReader::make_leaf(const SchemaElement& leaf) const {
  Leaf c;
  std::uint8_t def = 0, rep = 0, list_def = 0;
  std::size_t size = leaf.name.size();
  for (std::size_t i = 1; i < path_.size(); ++i) size += path_[i].element.name.size() + 1;
  c.path.reserve(size);
  const auto add = [&](const SchemaElement& e) {
    if (!c.path.empty()) c.path += '.';
    c.path += e.name;
    // Before the repeated field itself is counted, def says whether the list around it is there. Of several
    // repeated fields the last one counts, but then the leaf is nested and not read.
    if (e.repetition == 2) {
      list_def = def;
      ++rep;
    }
    if (e.repetition != 0) ++def;
    if (e.repetition == 2) c.element_def = def;
  };
  for (std::size_t i = 1; i < path_.size(); ++i) add(path_[i].element);
  add(leaf);
  c.name = path_.size() > 1 ? path_[1].element.name : leaf.name;
  c.type = static_cast<PhysicalType>(leaf.type);
  c.type_length = leaf.type_length;
  c.logical = leaf.logical;
  c.logical_text = leaf.logical_text;
  c.bits = leaf.bits;
  c.is_signed = leaf.is_signed;
  c.max_def = def;
  c.max_rep = rep;
  c.list_def = list_def;
  // One repeated field on the way makes a list of each row, whatever the groups around it are annotated as: a
  // repeated field without annotation is one, too (LogicalTypes.md).
  // A leaf in a group that is not repeated, a struct's field, is called nested: its nulls have several
  // levels, and no layout of matrices has such columns.
  if (path_.size() == 1 && rep == 0) {
    c.shape = Leaf::Shape::flat;
  } else {
    c.shape = rep == 1 ? Leaf::Shape::list : Leaf::Shape::nested;
  }
  return c;
}

// The parts of the path with their dots, the name of the top-level field, and the text of the type: rather
// too much than too little.
ByteCount LeafReader::text_bytes(const SchemaElement& e) const {
  ByteCount bytes = 2 * (e.name.size() + 1) + e.logical_text.size();
  for (const Group& group : path_) bytes += group.element.name.size() + 1;
  return bytes + (path_.size() > 1 ? path_[1].element.name.size() : 0);
}

Status LeafReader::add(SchemaElement e, std::optional<Leaf>* out) {
  out->reset();
  if (n_elements_++ == 0) {
    path_.push_back({std::move(e), 0});
    path_.back().children_left = path_.back().element.n_children;
    return {};
  }
  // Closing is put off until the next element comes: a group without children left may be the last of all.
  while (!path_.empty() && path_.back().children_left == 0) path_.pop_back();
  if (path_.empty()) return wrong(fmt::format("'{}' belongs to nothing", e.name));
  --path_.back().children_left;
  if (e.type < 0) {
    // The specification does not forbid it, and the element after it belongs to the same parent.
    if (e.n_children == 0) return {};  // an empty group has no leaf
    if (path_.size() >= kMostDepth) return wrong(fmt::format("groups nested deeper than {}", kMostDepth));
    const std::uint32_t children = e.n_children;
    path_.push_back({std::move(e), children});
    return {};
  }
  if (e.n_children > 0) return wrong(fmt::format("'{}' has a type and children", e.name));
  ++n_leaves_;
  text_ += text_bytes(e);
  // Text of all leaves, kept or not: the work is bounded with it.
  if (text_ > most_text_) {
    return Status::budget(fmt::format("{}: the footer's schema: the paths of {} columns take more than {}",
                                      label_, n_leaves_, format_bytes(most_text_)));
  }
  *out = make_leaf(e);
  return {};
}

Status LeafReader::finish() const {
  for (const Group& group : path_) {
    if (group.children_left > 0)
      return wrong(fmt::format("'{}' lacks {} children", group.element.name, group.children_left));
  }
  return {};
}

}  // namespace penstock::parquet
