// Attributes of one object: found, split into their parts, and decoded (the header names the parts of the
// specification).
//
// Few attributes are messages of the object's header ("compact"). Where a writer keeps many, they are
// "dense": the header then has an attribute info message, which names a fractal heap that holds the attribute
// messages and a B-tree of version 2 that lists them. Both ways end in the same bytes, which split() takes
// apart. The anndata attribute encoding-type = "csr_matrix" as h5py writes it, 72 bytes:
//
//     01 00 | 0e 00 | 14 00 | 08 00      version 1, then the bytes of name, type and space: 14, 20, 8
//     "encoding-type\0" 00 00            14 bytes, padded to 16
//     19 01 01 00 10 ...                 a string of variable length: 20 bytes, padded to 24
//     01 00 00 ...                       a scalar: 8 bytes, no padding
//     0a 00 00 00 | address | index      its value: 10 characters, in a global heap (global_heap.cc)
//
// A message is split for its name, and decoded only where that is the one asked for, so an attribute of a
// type that nobody can read does no harm to the others.
#include "hdf5/attribute.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>

#include "base/checked.h"
#include "hdf5/btree2.h"
#include "hdf5/checksum.h"
#include "hdf5/dataspace.h"
#include "hdf5/datatype.h"
#include "hdf5/fixed_string.h"
#include "hdf5/fractal_heap.h"
#include "hdf5/global_heap.h"
#include "hdf5/object_header.h"

namespace penstock::hdf5 {
namespace {

using store::Attribute;
using store::DataType;
using store::TypeClass;

constexpr std::string_view kWhat = "attribute message";
// A message of a header says its size in 16 bits. So a larger value has come out of a heap.
constexpr ByteCount kLongestInHeader = 64 << 10;
constexpr std::string_view kSharedAttribute = "HDF5 shared attribute message";
constexpr std::string_view kUnshare = "h5repack FILE NEW_FILE writes it without shared messages";

// The parts of a message, not yet interpreted.
struct Parts {
  std::string_view name;
  bool datatype_shared = false, dataspace_shared = false;
  std::span<const std::byte> datatype, dataspace, value;
};

// IV.A.2.m, for all three versions: version | flags | bytes of name, type and space u16 each | [version 3:
// charset of the name] | name | type | space | value. In version 1 each part is padded to 8 bytes, while its
// size is told without the padding, and the byte of the flags is reserved. In versions 2 and 3 nothing is
// padded, and the flags say whether type or space is a reference to where it is stored.
Result<Parts> split(const Image& image, const Message& m) {
  if (m.shared()) return image.unsupported(m.address, kSharedAttribute, kUnshare);
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
  // The size of the name includes its NUL.
  p.name = p.name.substr(0, p.name.find('\0'));
  p.datatype = part(type_bytes);
  p.dataspace = part(space_bytes);
  if (r.failed()) {
    return image.corrupt(m.address, kWhat,
                         fmt::format("name, type and space of {}, {} and {} bytes do not fit in {}",
                                     name_bytes, type_bytes, space_bytes, m.body.size()));
  }
  // Whatever is left. The message may be longer than its value: decode() takes what type and space ask for.
  p.value = r.bytes(r.remaining());
  return p;
}

// A 16-bit float, by hand, since C++20 has no type for it: sign | 5 bits of exponent | 10 bits of mantissa.
// 0x3c00 has exponent 15 and mantissa 0: 1024 * 2^(15 - 25) = 1. An exponent of 0 stands for the small
// numbers without a leading 1, one of 31 for infinity and NaN.
double half(std::uint16_t bits) {
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  if (exponent == 31)
    return mantissa ? std::bit_cast<double>(std::uint64_t{0x7ff8000000000000}) : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

// One element in the low bytes. Of a big-endian one all eight bytes are turned over, which leaves its own at
// the top, and these are shifted down.
std::uint64_t element_bits(const DataType& type, ByteReader& r) {
  std::uint64_t bits = r.uint(type.size);
  if (type.big_endian) bits = __builtin_bswap64(bits) >> (64 - 8 * type.size);
  return bits;
}

// Signed types are cast to their own width first, so that the sign is extended: 0xff is -1 as i8 and 255 as
// u8.
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

// What one value of the type takes in an Attribute, which keeps every number in 8 bytes.
ByteCount held_bytes(const DataType& type) {
  return type.cls == TypeClass::fixed_string ? sizeof(std::string) + type.size : sizeof(std::uint64_t);
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
  StringReader strings(image);
  // Out of a heap a value may be as long as the file, out of a header it is short. (Strings of variable length
  // are counted one by one.)
  if (*bytes > kLongestInHeader && out.type.cls != TypeClass::vlen_string) {
    PENSTOCK_RETURN_IF_ERROR(strings.charge(space.elements * held_bytes(out.type)));
  }
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
    case TypeClass::vlen_string:
      PENSTOCK_RETURN_IF_ERROR(strings.read(p.value.first(*bytes), space.elements, at, out.strings));
      return out;
    case TypeClass::reference:
      for (std::uint64_t i = 0; i < space.elements; ++i) out.references.push_back(image.address(r));
      return out;
    case TypeClass::compound:
    case TypeClass::other:
      break;
  }
  return Status::unsupported(fmt::format("values of type {} are not read", out.type.description));
}

// Called with attributes; sets `stop` to end the visit early.
using AttributeVisitor = std::function<Status(const Parts& parts, Address at, bool& stop)>;

// Where dense attributes are; without a heap they are messages of the header.
struct Dense {
  Address heap = kUndefined, tree = kUndefined;
};

// IV.A.2.v: version 0 | flags | [flags&1: highest creation order u16] | heap O | tree by name O | [flags&2: tree
// by creation order O].
Result<Dense> parse_info(const Image& image, const Message& info) {
  constexpr std::string_view kInfo = "attribute info message";
  ByteReader r(info.body);
  const unsigned version = r.u8(), flags = r.u8();
  if (version != 0) {
    return image.corrupt(info.address, kInfo, fmt::format("expected version 0, found {}", version));
  }
  if (flags & 1) r.skip(2);
  Dense dense;
  dense.heap = image.address(r);
  dense.tree = image.address(r);
  if (r.failed()) return image.corrupt(info.address, kInfo, "truncated");
  return dense;
}

// IV.A.2.v. A record of the tree by name: heap id | flags of the message u8 | creation order u32 | hash of
// the name u32. The object in the heap is the attribute message itself.
Status visit_dense(const Image& image, const Dense& dense, const std::string* named,
                   const AttributeVisitor& visit) {
  // The heap comes first: only its header says how long an id is, and with it a record.
  PENSTOCK_ASSIGN_OR_RETURN(FractalHeap heap, FractalHeap::open(image, dense.heap));
  if (dense.tree == kUndefined)
    return image.corrupt(dense.heap, kWhat, "a heap of attributes without a tree");
  // The hash of a name is that of its bytes: others need not be read.
  const std::uint32_t hash = named == nullptr ? 0 : lookup3(std::as_bytes(std::span(*named)));
  bool stop = false;
  const auto record = [&](std::span<const std::byte> bytes) -> Status {
    ByteReader fields(bytes.subspan(heap.id_bytes()));
    Message message;
    message.type = MessageType::attribute;
    message.flags = fields.u8();
    fields.skip(4);
    // The tree has no way to stop, so what is left of its records passes by here. Two names may share a hash:
    // the name itself is compared by the visitor.
    if (stop || (named != nullptr && fields.u32() != hash)) return {};
    if (message.shared()) return image.unsupported(dense.tree, kSharedAttribute, kUnshare);
    PENSTOCK_ASSIGN_OR_RETURN(const auto object, heap.object(bytes.first(heap.id_bytes())));
    message.address = object.address;
    message.body = object.bytes;
    PENSTOCK_ASSIGN_OR_RETURN(const Parts parts, split(image, message));
    return visit(parts, message.address, stop);
  };
  return visit_btree2(image, dense.tree, Btree2Type::attribute_name, heap.id_bytes() + 9, record);
}

// All attributes of an object, those of its header first. `named`: nullptr for all; else dense ones whose
// names have another hash are left out.
Status visit_attributes(const Image& image, Address header, const std::string* named,
                        const AttributeVisitor& visit) {
  Dense dense;
  bool stopped = false;
  const auto message = [&](const Message& m, bool& stop) -> Status {
    if (m.type == MessageType::attribute_info) {
      PENSTOCK_ASSIGN_OR_RETURN(dense, parse_info(image, m));
    }
    if (m.type != MessageType::attribute) return {};
    PENSTOCK_ASSIGN_OR_RETURN(const Parts parts, split(image, m));
    PENSTOCK_RETURN_IF_ERROR(visit(parts, m.address, stop));
    stopped = stop;
    return {};
  };
  PENSTOCK_RETURN_IF_ERROR(visit_messages(image, header, message));
  // The info message may come before or after compact attributes, so the heap waits for the end of the
  // header.
  return stopped || dense.heap == kUndefined ? Status() : visit_dense(image, dense, named, visit);
}

}  // namespace

Result<std::vector<std::string>> read_attribute_names(const Image& image, Address header) {
  std::vector<std::string> names;
  StringReader memory(image);  // only for its accounting
  const auto visit = [&](const Parts& parts, Address, bool&) -> Status {
    PENSTOCK_RETURN_IF_ERROR(memory.charge(sizeof(std::string) + parts.name.size()));
    names.emplace_back(parts.name);
    return {};
  };
  PENSTOCK_RETURN_IF_ERROR(visit_attributes(image, header, nullptr, visit));
  return names;
}

Result<std::optional<store::Attribute>> read_attribute(const Image& image, Address header,
                                                       const std::string& name) {
  std::optional<Attribute> found;
  const auto visit = [&](const Parts& parts, Address at, bool& stop) -> Status {
    if (parts.name != name) return {};
    auto decoded = decode(image, parts, at);
    if (!decoded.ok()) return std::move(decoded).status().with_context(fmt::format("attribute '{}'", name));
    found = std::move(decoded).value();
    stop = true;
    return {};
  };
  PENSTOCK_RETURN_IF_ERROR(visit_attributes(image, header, &name, visit));
  return found;
}

}  // namespace penstock::hdf5
