#include "parquet/schema.h"

#include <fmt/format.h>

#include <limits>

namespace penstock::parquet {
namespace {

using Field = ThriftReader::Field;

constexpr std::size_t kMostDepth = 32;

// LogicalType is a union: the number of the one field says which.
void logical_type(ThriftReader& in, SchemaElement* out) {
  if (!in.enter()) return;
  for (Field f; in.next_field(&f);) {
    switch (f.id) {
      case 1:
      case 4:
      case 12:
        out->logical = Logical::string;
        out->logical_text = "string";
        in.skip(f.type);
        break;
      case 5:
        out->logical = Logical::decimal;
        out->logical_text = "decimal";
        in.skip(f.type);
        break;
      case 6:
      case 7:
      case 8:
        out->logical = Logical::temporal;
        out->logical_text = f.id == 6 ? "date" : f.id == 7 ? "time" : "timestamp";
        in.skip(f.type);
        break;
      case 10: {  // INTEGER: width, signedness
        out->logical = Logical::integer;
        if (f.type != ThriftReader::kStruct) in.fail("an integer type that is no struct");
        if (!in.enter()) return;
        for (Field g; in.next_field(&g);) {
          if (g.id == 1) {
            out->bits = static_cast<std::uint8_t>(in.integer(g.type));
          } else if (g.id == 2) {
            out->is_signed = in.boolean(g.type);
          } else {
            in.skip(g.type);
          }
        }
        in.leave();
        out->logical_text = fmt::format("{}int{}", out->is_signed ? "" : "u", out->bits);
        break;
      }
      case 15:
        out->logical = Logical::float16;
        out->logical_text = "float16";
        in.skip(f.type);
        break;
      case 2:   // MAP
      case 3:   // LIST
      case 11:  // UNKNOWN: always null
        in.skip(f.type);
        break;
      default:
        out->logical = Logical::other;
        out->logical_text = fmt::format("logical type {}", f.id);
        in.skip(f.type);
    }
  }
  in.leave();
}

// Writers before 2.4 of the format say it by ConvertedType.
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

// What lies between the root and a leaf.
struct Path {
  const SchemaElement* element;
  std::uint32_t children_left;
};

Leaf make_leaf(const std::vector<Path>& path, const SchemaElement& leaf) {
  Leaf c;
  std::uint8_t def = 0, rep = 0, list_def = 0;
  const auto add = [&](const SchemaElement& e) {
    c.path += (c.path.empty() ? "" : ".") + e.name;
    if (e.repetition == 2) {
      list_def = def;
      ++rep;
    }
    if (e.repetition != 0) ++def;
    if (e.repetition == 2) c.element_def = def;
  };
  for (std::size_t i = 1; i < path.size(); ++i) add(*path[i].element);
  add(leaf);
  c.name = path.size() > 1 ? path[1].element->name : leaf.name;
  c.type = static_cast<PhysicalType>(leaf.type);
  c.type_length = leaf.type_length;
  c.logical = leaf.logical;
  c.logical_text = leaf.logical_text;
  c.bits = leaf.bits;
  c.is_signed = leaf.is_signed;
  c.max_def = def;
  c.max_rep = rep;
  c.list_def = list_def;
  // A list: one repeated field on the way, and groups on the way only as lists have them: with one child.
  bool single = true;
  for (std::size_t i = 1; i < path.size(); ++i) single &= path[i].element->n_children == 1;
  if (path.size() == 1 && rep == 0) {
    c.shape = Leaf::Shape::flat;
  } else if (rep == 1 && single && path.size() <= 3) {
    c.shape = Leaf::Shape::list;
  } else {
    c.shape = Leaf::Shape::nested;
  }
  return c;
}

}  // namespace

SchemaElement read_schema_element(ThriftReader& in) {
  SchemaElement e;
  if (!in.enter()) return e;
  for (Field f; in.next_field(&f);) {
    switch (f.id) {
      case 1:
        e.type = static_cast<std::int32_t>(in.integer(f.type));
        if (e.type < 0 || e.type > 7) in.fail("a column of an unknown physical type");
        break;
      case 2: {
        const std::int64_t length = in.integer(f.type);
        if (length < 0 || length > std::numeric_limits<std::int32_t>::max())
          in.fail("a negative type length");
        e.type_length = static_cast<std::uint32_t>(length);
        break;
      }
      case 3: {
        const std::int64_t repetition = in.integer(f.type);
        if (repetition < 0 || repetition > 2) in.fail("an unknown repetition type");
        e.repetition = static_cast<std::uint8_t>(repetition);
        break;
      }
      case 4:
        e.name = in.binary(f.type);
        break;
      case 5: {
        const std::int64_t children = in.integer(f.type);
        if (children < 0 || children > std::numeric_limits<std::int32_t>::max())
          in.fail("a negative number of children");
        e.n_children = static_cast<std::uint32_t>(children);
        break;
      }
      case 6:
        e.converted = static_cast<std::int32_t>(in.integer(f.type));
        break;
      case 10:
        if (f.type != ThriftReader::kStruct) in.fail("a logical type that is no struct");
        logical_type(in, &e);
        break;
      default:
        in.skip(f.type);
    }
  }
  in.leave();
  from_converted(&e);
  return e;
}

Result<std::vector<Leaf>> leaves(const std::vector<SchemaElement>& schema, ByteCount most_text,
                                 const std::string& label) {
  const auto wrong = [&](const std::string& what) {
    return Status::corrupt(fmt::format("{}: the footer's schema: {}", label, what));
  };
  std::vector<Leaf> out;
  ByteCount text = 0;
  std::vector<Path> path;
  for (std::size_t i = 0; i < schema.size(); ++i) {
    const SchemaElement& e = schema[i];
    if (i == 0) {
      path.push_back({&e, e.n_children});
    } else {
      while (!path.empty() && path.back().children_left == 0) path.pop_back();
      if (path.empty()) return wrong(fmt::format("'{}' belongs to nothing", e.name));
      --path.back().children_left;
      if (e.type < 0) {
        if (e.n_children == 0) continue;  // an empty group has no leaf
        if (path.size() >= kMostDepth) return wrong(fmt::format("groups nested deeper than {}", kMostDepth));
        path.push_back({&e, e.n_children});
      } else {
        if (e.n_children > 0) return wrong(fmt::format("'{}' has a type and children", e.name));
        out.push_back(make_leaf(path, e));
        text += out.back().path.capacity() + out.back().name.capacity();
        if (text > most_text) {
          return Status::budget(
              fmt::format("{}: the footer's schema: the paths of {} columns take more than {}", label,
                          out.size(), format_bytes(most_text)));
        }
      }
    }
  }
  for (const Path& p : path) {
    if (p.children_left > 0)
      return wrong(fmt::format("'{}' lacks {} children", p.element->name, p.children_left));
  }
  return out;
}

}  // namespace penstock::parquet
