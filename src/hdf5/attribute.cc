#include "hdf5/attribute.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "hdf5/dataspace.h"
#include "hdf5/datatype.h"
#include "hdf5/fixed_string.h"
#include "hdf5/global_heap.h"
#include "hdf5/object_header.h"

namespace penstock::hdf5 {
namespace {

using store::Attribute;
using store::DataType;
using store::TypeClass;

constexpr std::string_view kWhat = "attribute message";

// The parts of a message, not yet interpreted.
struct Parts {
  std::string_view name;
  bool datatype_shared = false, dataspace_shared = false;
  std::span<const std::byte> datatype, dataspace, value;
};

// v1: parts padded to 8; v2: flags for shared parts, no padding; v3: and a charset byte.
Result<Parts> split(const Image& image, const Message& m) {
  if (m.shared()) return image.unsupported(m.address, "HDF5 shared attribute message");
  ByteReader r(m.body);
  const unsigned version = r.u8(), flags = r.u8();
  if (version < 1 || version > 3) {
    return image.corrupt(m.address, kWhat, fmt::format("expected version 1 to 3, found {}", version));
  }
  const std::size_t name_bytes = r.u16(), type_bytes = r.u16(), space_bytes = r.u16();
  if (version == 3) r.skip(1);
  const auto part = [&](std::size_t n) {
    const auto bytes = r.bytes(n);
    if (version == 1) r.skip((8 - n % 8) % 8);
    return bytes;
  };
  Parts p;
  if (version > 1) {
    p.datatype_shared = (flags & 1) != 0;
    p.dataspace_shared = (flags & 2) != 0;
  }
  const auto name = part(name_bytes);
  p.name = std::string_view(reinterpret_cast<const char*>(name.data()), name.size());
  p.name = p.name.substr(0, p.name.find('\0'));
  p.datatype = part(type_bytes);
  p.dataspace = part(space_bytes);
  if (r.failed()) {
    return image.corrupt(m.address, kWhat,
                         fmt::format("name, type and space of {}, {} and {} bytes do not fit in {}",
                                     name_bytes, type_bytes, space_bytes, m.body.size()));
  }
  p.value = r.bytes(r.remaining());
  return p;
}

double half(std::uint16_t bits) {
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  if (exponent == 31)
    return mantissa ? std::bit_cast<double>(std::uint64_t{0x7ff8000000000000}) : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

// One element, big-endian ones turned over.
std::uint64_t element_bits(const DataType& type, ByteReader& r) {
  std::uint64_t bits = r.uint(type.size);
  if (type.big_endian) bits = __builtin_bswap64(bits) >> (64 - 8 * type.size);
  return bits;
}

void push_number(const DataType& type, std::uint64_t bits, Attribute& out) {
  switch (type.number) {
    case NumericType::i8:
      return out.ints.push_back(static_cast<std::int8_t>(bits));
    case NumericType::i16:
      return out.ints.push_back(static_cast<std::int16_t>(bits));
    case NumericType::i32:
      return out.ints.push_back(static_cast<std::int32_t>(bits));
    case NumericType::i64:
    case NumericType::u8:
    case NumericType::u16:
    case NumericType::u32:
    case NumericType::u64:
      return out.ints.push_back(static_cast<std::int64_t>(bits));
    case NumericType::f16:
      return out.floats.push_back(half(static_cast<std::uint16_t>(bits)));
    case NumericType::bf16:
      return out.floats.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits << 16)));
    case NumericType::f32:
      return out.floats.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
    case NumericType::f64:
      return out.floats.push_back(std::bit_cast<double>(bits));
  }
}

Result<Attribute> decode(const Image& image, const Parts& p, Address at) {
  Attribute out;
  PENSTOCK_ASSIGN_OR_RETURN(out.type, resolve_datatype(image, p.datatype, p.datatype_shared, at));
  if (p.dataspace_shared) return image.unsupported(at, "HDF5 shared dataspace");
  PENSTOCK_ASSIGN_OR_RETURN(Dataspace space, parse_dataspace(image, p.dataspace, at));
  const auto bytes = checked_mul(space.elements, out.type.size);
  if (!bytes || *bytes > p.value.size()) {
    return image.corrupt(
        at, kWhat,
        fmt::format("{} elements of {} bytes in {} bytes", space.elements, out.type.size, p.value.size()));
  }
  out.shape = std::move(space.dims);
  ByteReader r(p.value.first(*bytes));
  switch (out.type.cls) {
    case TypeClass::number:
    case TypeClass::boolean:
      for (std::uint64_t i = 0; i < space.elements; ++i)
        push_number(out.type, element_bits(out.type, r), out);
      return out;
    case TypeClass::fixed_string:
      for (std::uint64_t i = 0; i < space.elements; ++i) {
        out.strings.push_back(fixed_string(r.chars(out.type.size), out.type.space_padded));
      }
      return out;
    case TypeClass::vlen_string: {
      StringReader strings(image);
      PENSTOCK_RETURN_IF_ERROR(strings.read(p.value.first(*bytes), space.elements, at, out.strings));
      return out;
    }
    case TypeClass::reference:
      for (std::uint64_t i = 0; i < space.elements; ++i) out.references.push_back(image.address(r));
      return out;
    case TypeClass::compound:
    case TypeClass::other:
      break;
  }
  return Status::unsupported(fmt::format("values of type {} are not read", out.type.description));
}

// IV.A.2.v: version 0 | flags | [flags&1: maximum order u16] | fractal heap O | ...
Status refuse_dense(const Image& image, const Message& m) {
  ByteReader r(m.body);
  const unsigned version = r.u8(), flags = r.u8();
  if (version != 0) {
    return image.corrupt(m.address, "attribute info message",
                         fmt::format("expected version 0, found {}", version));
  }
  if (flags & 1) r.skip(2);
  const Address heap = image.address(r);
  if (r.failed()) return image.corrupt(m.address, "attribute info message", "truncated");
  if (heap != kUndefined) return image.unsupported(heap, "HDF5 dense attribute storage (fractal heap)");
  return {};
}

}  // namespace

Result<std::vector<std::string>> read_attribute_names(const Image& image, Address header) {
  std::vector<std::string> names;
  StringReader memory(image);  // only for its accounting
  const auto visit = [&](const Message& m, bool&) -> Status {
    if (m.type == MessageType::attribute_info) return refuse_dense(image, m);
    if (m.type != MessageType::attribute) return {};
    PENSTOCK_ASSIGN_OR_RETURN(const Parts parts, split(image, m));
    PENSTOCK_RETURN_IF_ERROR(memory.charge(sizeof(std::string) + parts.name.size()));
    names.emplace_back(parts.name);
    return {};
  };
  PENSTOCK_RETURN_IF_ERROR(visit_messages(image, header, visit));
  return names;
}

Result<std::optional<store::Attribute>> read_attribute(const Image& image, Address header,
                                                       const std::string& name) {
  std::optional<Attribute> found;
  Status dense;
  const auto visit = [&](const Message& m, bool& stop) -> Status {
    if (m.type == MessageType::attribute_info) dense = refuse_dense(image, m);
    if (m.type != MessageType::attribute) return {};
    PENSTOCK_ASSIGN_OR_RETURN(const Parts parts, split(image, m));
    if (parts.name != name) return {};
    auto decoded = decode(image, parts, m.address);
    if (!decoded.ok()) return std::move(decoded).status().with_context(fmt::format("attribute '{}'", name));
    found = std::move(decoded).value();
    stop = true;
    return {};
  };
  PENSTOCK_RETURN_IF_ERROR(visit_messages(image, header, visit));
  if (!found) PENSTOCK_RETURN_IF_ERROR(dense);  // it may be among the dense ones
  return found;
}

}  // namespace penstock::hdf5
