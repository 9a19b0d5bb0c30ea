// The type of an element. A message is 8 bytes that all classes share, and what the class needs:
//
//     class and version u8 | bits of the class u24 | bytes of an element u32 | properties
//
// Examples as h5py writes them, all of version 1 (the high half of the first byte; the low half is the
// class):
//
//     11 201f00 04000000 | 0000 2000 17 08 00 17 7f000000                     float32
//     18 020000 01000000 | 10 080000 01000000 0000 0800 | "FALSE\0\0\0" "TRUE\0\0\0\0" | 00 01      bool
//     19 010100 10000000 | 10 000000 01000000 0000 0800                       string of variable length
//
// Numbers are recognised by comparing every property with those of the types that Penstock computes with. A
// type that differs in one of them, such as 12 bits in 2 bytes, would give wrong numbers, so it is `other`:
// it has a size and a name for the error, and its values are not read.
#include "hdf5/datatype.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>

#include "hdf5/compound.h"

namespace penstock::hdf5 {
namespace {

using store::DataType;
using store::TypeClass;

constexpr std::string_view kWhat = "datatype message";

struct Header {
  unsigned version = 0, cls = 0, bits = 0;
  std::uint32_t size = 0;
};

Header read_header(ByteReader& r) {
  Header h;
  const unsigned first = r.u8();
  h.version = first >> 4;
  h.cls = first & 15;
  h.bits = static_cast<unsigned>(r.uint(3));
  h.size = r.u32();
  return h;
}

DataType other(const Header& h, std::string description) {
  DataType t;
  t.cls = TypeClass::other;
  t.size = h.size;
  t.description = std::move(description);
  return t;
}

DataType number(NumericType type, bool big_endian) {
  DataType t;
  t.cls = TypeClass::number;
  t.number = type;
  t.size = static_cast<std::uint32_t>(numeric_size(type));
  t.big_endian = big_endian && t.size > 1;
  t.description = fmt::format("{}{}", t.big_endian ? "big-endian " : "", numeric_name(type));
  return t;
}

// Class 0, properties: bit offset u16 | precision u16; bit 0 is big-endian, bit 3 signed. Whole-byte integers
// of 1, 2, 4, 8 bytes; others (12-bit samples, 3 bytes) are not numbers to us.
DataType integer(const Header& h, ByteReader& r) {
  const unsigned offset = r.u16(), precision = r.u16();
  const bool is_signed = (h.bits & 8) != 0;
  std::optional<NumericType> type;
  if (h.size == 1) type = is_signed ? NumericType::i8 : NumericType::u8;
  if (h.size == 2) type = is_signed ? NumericType::i16 : NumericType::u16;
  if (h.size == 4) type = is_signed ? NumericType::i32 : NumericType::u32;
  if (h.size == 8) type = is_signed ? NumericType::i64 : NumericType::u64;
  if (!type || offset != 0 || precision != h.size * 8) {
    return other(h, fmt::format("{}-bit integer in {} bytes", precision, h.size));
  }
  return number(*type, (h.bits & 1) != 0);
}

// Class 1: the IEEE layouts and bfloat16, little- and big-endian. Properties: bit offset u16 | precision u16
// | place and width of the exponent, then of the mantissa, u8 each | bias of the exponent u32.
DataType floating(const Header& h, ByteReader& r) {
  // Places and widths in bits, the lowest bit is 0; `size` in bytes.
  struct Layout {
    NumericType type;
    unsigned size, sign, exponent_at, exponent_bits, mantissa_bits, bias;
  };
  static constexpr std::array<Layout, 4> kLayouts = {{
      {NumericType::f16, 2, 15, 10, 5, 10, 15},
      {NumericType::bf16, 2, 15, 7, 8, 7, 127},
      {NumericType::f32, 4, 31, 23, 8, 23, 127},
      {NumericType::f64, 8, 63, 52, 11, 52, 1023},
  }};
  const unsigned offset = r.u16(), precision = r.u16();
  const unsigned exponent_at = r.u8(), exponent_bits = r.u8(), mantissa_at = r.u8(), mantissa_bits = r.u8();
  const std::uint32_t bias = r.u32();
  // Byte order in bits 0 and 6 (0 little, 1 big, 3 that of the VAX), bits 4 and 5 how the mantissa is
  // normalised (2: its leading 1 is not stored, as in IEEE floats), bits 8 to 15 the place of the sign.
  const unsigned order = (h.bits & 1) | (h.bits >> 5 & 2), normalisation = h.bits >> 4 & 3,
                 sign = h.bits >> 8 & 0xff;
  for (const Layout& l : kLayouts) {
    if (h.size == l.size && sign == l.sign && exponent_at == l.exponent_at &&
        exponent_bits == l.exponent_bits && mantissa_bits == l.mantissa_bits && bias == l.bias &&
        mantissa_at == 0 && offset == 0 && precision == l.size * 8 && normalisation == 2 && order <= 1) {
      return number(l.type, order == 1);
    }
  }
  if (order == 3) return other(h, fmt::format("VAX float of {} bytes", h.size));
  return other(h, fmt::format("{}-bit float in {} bytes with {}/{} exponent/mantissa bits", precision, h.size,
                              exponent_bits, mantissa_bits));
}

// Class 8: FALSE = 0, TRUE = 1 over one byte is numpy's bool as h5py writes it; other enums are their
// integers. The order of the two names is the writer's choice.
Result<DataType> enumeration(const Image& image, const Header& h, ByteReader& r, Address at) {
  const unsigned members = h.bits & 0xffff;
  // Properties: a whole datatype of integers | names | as many integers.
  const Header base_header = read_header(r);
  if (base_header.cls != 0) return other(h, "enum over a type that is not an integer");
  const DataType base = integer(base_header, r);
  if (r.failed()) return image.corrupt(at, kWhat, "truncated enum");
  if (base_header.size != h.size) {
    return image.corrupt(at, kWhat, fmt::format("enum of {} bytes over {} bytes", h.size, base_header.size));
  }
  if (base.cls != TypeClass::number) return other(h, "enum over " + base.description);
  if (members == 2 && base.size == 1) {
    std::array<std::string, 2> names;
    for (auto& name : names) {
      std::size_t length = 0;
      for (char c = static_cast<char>(r.u8()); c != 0 && !r.failed(); c = static_cast<char>(r.u8())) {
        name += c;
        ++length;
      }
      // Up to version 2 a name is padded to a multiple of 8 bytes, its NUL included.
      if (h.version < 3) r.skip((length / 8 + 1) * 8 - (length + 1));
    }
    const unsigned first = r.u8(), second = r.u8();
    if (r.failed()) return image.corrupt(at, kWhat, "truncated enum");
    const bool ascending = names[0] == "FALSE" && names[1] == "TRUE" && first == 0 && second == 1;
    const bool descending = names[0] == "TRUE" && names[1] == "FALSE" && first == 1 && second == 0;
    if (ascending || descending) {
      DataType t = base;
      t.cls = TypeClass::boolean;
      t.description = "bool";
      return t;
    }
  }
  DataType t = base;
  t.description = fmt::format("{} (enum of {})", base.description, members);
  return t;
}

}  // namespace

Result<store::DataType> parse_datatype(const Image& image, std::span<const std::byte> body, Address at) {
  ByteReader r(body);
  const Header h = read_header(r);
  if (r.failed()) return image.corrupt(at, kWhat, "truncated");
  if (h.version < 1 || h.version > 5) {
    return image.corrupt(at, kWhat, fmt::format("expected version 1 to 5, found {}", h.version));
  }
  // Callers divide by it.
  if (h.size == 0) return image.corrupt(at, kWhat, "a type of 0 bytes");
  DataType t;
  t.size = h.size;
  switch (h.cls) {
    case 0:
      t = integer(h, r);
      break;
    case 1:
      t = floating(h, r);
      break;
    case 2:
      return other(h, "HDF5 time");
    case 3: {
      const unsigned padding = h.bits & 15;
      if (padding > 2) return image.corrupt(at, kWhat, fmt::format("string padding {}", padding));
      t.cls = TypeClass::fixed_string;
      t.space_padded = padding == 2;
      t.description = fmt::format("string of {} bytes", h.size);
      return t;
    }
    case 4:
      return other(h, "HDF5 bitfield");
    case 5:
      return other(h, "HDF5 opaque");
    case 6:
      return parse_compound(image, body, at);
    // Object references are addresses of object headers. Other kinds hold more than an address, and are not
    // read.
    case 7:
      if ((h.bits & 15) != 0 || h.size != image.superblock().offset_size) {
        return other(h, (h.bits & 15) == 1 ? "HDF5 region reference" : "HDF5 reference");
      }
      t.cls = TypeClass::reference;
      t.description = "object reference";
      return t;
    case 8: {
      PENSTOCK_ASSIGN_OR_RETURN(t, enumeration(image, h, r, at));
      break;
    }
    // Length u32 | address of a heap O | index u32, for strings and sequences alike (global_heap.cc).
    case 9: {
      if (h.size != 4u + image.superblock().offset_size + 4u) {
        return image.corrupt(
            at, kWhat,
            fmt::format("vlen of {} bytes, expected {}", h.size, 8 + image.superblock().offset_size));
      }
      const unsigned kind = h.bits & 15;
      if (kind > 1) return image.corrupt(at, kWhat, fmt::format("vlen kind {}", kind));
      if (kind == 0) return other(h, "HDF5 vlen sequence");
      t.cls = TypeClass::vlen_string;
      t.description = "vlen string";
      return t;
    }
    case 10:
      return other(h, "HDF5 array type");
    case 11:
      return other(h, "HDF5 complex");
    default:
      return other(h, fmt::format("HDF5 datatype class {}", h.cls));
  }
  if (r.failed()) return image.corrupt(at, kWhat, "truncated");
  return t;
}

Result<store::DataType> resolve_datatype(const Image& image, std::span<const std::byte> body, bool shared,
                                         Address at) {
  if (!shared) return parse_datatype(image, body, at);
  PENSTOCK_ASSIGN_OR_RETURN(const Address header, shared_message_address(image, body, at));
  std::optional<store::DataType> type;
  const auto visit = [&](const Message& m, bool& stop) -> Status {
    if (m.type != MessageType::datatype) return {};
    // Followed once only: references that name each other would never end.
    if (m.shared()) return image.corrupt(m.address, "committed datatype", "is itself a reference");
    PENSTOCK_ASSIGN_OR_RETURN(type, parse_datatype(image, m.body, m.address));
    stop = true;
    return {};
  };
  PENSTOCK_RETURN_IF_ERROR(visit_messages(image, header, visit));
  if (!type) return image.corrupt(header, "committed datatype", "has no datatype message");
  return *type;
}

}  // namespace penstock::hdf5
