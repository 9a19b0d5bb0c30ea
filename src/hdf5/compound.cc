// Compound datatypes: records, such as a row of an old anndata's obs table. Fields of a compound have no
// table of contents. To get from one to the next its type has to be stepped over, whatever type it is, and
// that is what most of this file does: skip_type() knows how long a datatype of each class is (HDF5 spec
// IV.A.2.d).
//
// A type that it cannot step over leaves the compound without members. The file still opens, and the error
// comes when somebody asks for a column.
#include "hdf5/compound.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/byte_reader.h"
#include "hdf5/dataset.h"
#include "hdf5/datatype.h"

namespace penstock::hdf5 {
namespace {

constexpr unsigned kMostDepth = 8;

// The 8 bytes that every datatype begins with: class and version, 4 bits each | bits of the class u24 | bytes
// of an element u32.
struct Head {
  unsigned cls = 0, version = 0;
  std::uint32_t bits = 0, size = 0;
};

Head read_head(ByteReader& r) {
  Head h;
  const unsigned first = r.u8();
  h.cls = first & 15;
  h.version = first >> 4;
  h.bits = static_cast<std::uint32_t>(r.uint(3));
  h.size = r.u32();
  return h;
}

// A name up to its NUL; in versions 1 and 2 padded to a multiple of 8 bytes, the NUL included: "FALSE" takes
// 8 bytes, and so does a name of 7 characters, one of 8 takes 16.
std::string read_name(ByteReader& r, unsigned version) {
  std::string name;
  for (char c = static_cast<char>(r.u8()); c != 0 && !r.failed(); c = static_cast<char>(r.u8())) name += c;
  if (version < 3) r.skip((name.size() / 8 + 1) * 8 - (name.size() + 1));
  return name;
}

// Bytes that hold any number up to `most`. From version 3 on an offset is as wide as the largest one can be:
// in a record of 300 bytes it has 2.
unsigned width_of(std::uint32_t most) {
  return most < 256 ? 1 : most < 65536 ? 2 : most < (1u << 24) ? 3 : 4;
}

std::uint64_t read_offset(ByteReader& r, const Head& h) {
  return h.version < 3 ? r.u32() : r.uint(width_of(h.size));
}

// A field's name, offset and, before version 2, its dimensions: what stands before its type.
struct FieldHead {
  std::string name;
  std::uint64_t offset = 0;
  unsigned rank = 0;
};

FieldHead read_field(ByteReader& r, const Head& h) {
  FieldHead field;
  field.name = read_name(r, h.version);
  field.offset = read_offset(r, h);
  if (h.version == 1) {
    // Version 1: rank u8 | 3 reserved | permutation u32 | 0 u32 | 4 dimensions u32, used or not.
    field.rank = r.u8();
    r.skip(3 + 4 + 4 + 4 * 4);
  }
  return field;
}

// Moves behind a datatype; false when it is of a class without a known length, or too deep.
bool skip_type(ByteReader& r, unsigned depth) {
  if (depth > kMostDepth) return false;
  const Head h = read_head(r);
  switch (h.cls) {
    // Integers and bitfields: bit offset u16 | precision u16.
    case 0:
    case 4:
      r.skip(4);
      return true;
    // Floats: the same two | places and widths of exponent and mantissa, u8 each | bias u32.
    case 1:
      r.skip(12);
      return true;
    case 2:
      r.skip(2);
      return true;
    // Strings and references say everything in their bits.
    case 3:
    case 7:
      return true;
    // Opaque bytes have a tag, whose length is in the bits and is padded to 8.
    case 5:
      r.skip(((h.bits & 0xff) + 7) / 8 * 8);
      return true;
    case 6:
      for (unsigned i = 0; i < (h.bits & 0xffff) && !r.failed(); ++i) {
        read_field(r, h);
        if (!skip_type(r, depth + 1)) return false;
      }
      return true;
    // Enums: a type of integers, the names, and one integer of that type for each name. `base` is a second
    // reader, because the size of an integer is wanted after the type was stepped over.
    case 8: {
      ByteReader base = r;
      const Head of = read_head(base);
      if (!skip_type(r, depth + 1)) return false;
      for (unsigned i = 0; i < (h.bits & 0xffff) && !r.failed(); ++i) read_name(r, h.version);
      r.skip(std::uint64_t{of.size} * (h.bits & 0xffff));
      return true;
    }
    case 9:
      return skip_type(r, depth + 1);
    // Arrays: rank u8 | dimensions u32 | the type of an element. Before version 3 there are 3 bytes of
    // padding behind the rank, and a permutation as long as the dimensions.
    case 10: {
      const unsigned rank = r.u8();
      if (h.version < 3) r.skip(3);
      r.skip(rank * 4u * (h.version < 3 ? 2 : 1));
      return skip_type(r, depth + 1);
    }
    default:
      return false;
  }
}

}  // namespace

store::DataType parse_compound(const Image& image, std::span<const std::byte> body, Address at) {
  ByteReader r(body);
  const Head h = read_head(r);
  const unsigned n = h.bits & 0xffff;
  store::DataType t;
  t.cls = store::TypeClass::compound;
  t.size = h.size;
  t.description = fmt::format("compound of {} members", n);
  auto members = std::make_shared<std::vector<store::Member>>();
  for (unsigned i = 0; i < n; ++i) {
    FieldHead field = read_field(r, h);
    const std::size_t begin = r.position();
    if (!skip_type(r, 0) || r.failed()) return t;
    const auto bytes = body.subspan(begin, r.position() - begin);
    ByteReader inner(bytes);
    const Head of = read_head(inner);
    store::Member member{std::move(field.name), field.offset, {}};
    member.type.size = of.size;
    member.type.description = "a record or an array in a record";
    // Records within records are not taken apart, so the depth of parse_datatype() is bounded.
    if (field.rank == 0 && of.cls != 6) {
      auto type = parse_datatype(image, bytes, at);
      if (!type.ok()) return t;
      member.type = std::move(type).value();
    }
    // Whoever cuts fields out of a record relies on this: none of them reaches beyond it.
    if (member.offset > h.size || member.type.size > h.size - member.offset) return t;
    members->push_back(std::move(member));
  }
  t.members = std::move(members);
  return t;
}

// Here because its callers are readers of tables: a text column is cut out of records, and its values
// decoded.
Result<std::vector<std::string>> Dataset::to_strings(std::span<const std::byte> elements,
                                                     const store::DataType& type) const {
  if (type.cls != store::TypeClass::vlen_string && type.cls != store::TypeClass::fixed_string) {
    return object_.locate(Status::invalid_argument(fmt::format("holds {}, not strings", type.description)));
  }
  StringReader strings(*object_.image());
  return decode_strings(strings, elements, type);
}

}  // namespace penstock::hdf5
