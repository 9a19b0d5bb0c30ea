// Walks a B-tree of version 2 (HDF5 spec III.A.2) in order, and hands out its records, which only the caller
// understands.
//
// Unlike a B-tree of version 1, inner nodes have records of their own, which lie between those of their
// children. And a node does not say how many records it has: the pointer to it does, in as many bytes as the
// largest possible count needs. So nothing can be read before the capacities of all levels are known. They
// follow from the bytes of a node and of a record. With nodes of 2,048 bytes and records of 24 (chunks of an
// array with two axes, without filters):
//
//     depth 0    leaves          (2048 - 10) / 24 = 84 records                           84 in all
//     depth 1    pointer 8+1     (2048 - 10 - 9) / (24 + 9) = 61 records       62 * 84 + 61 = 5,269
//     depth 2    pointer 8+1+2   (2048 - 10 - 11) / (24 + 11) = 57 records   58 * 5,269 + 57 = 305,659
//
// 10 is the head of a node (6) and its checksum (4). A pointer is an address (8), a count of records (1 byte
// holds 84), and, where it points to an inner node, the count of everything below (2 bytes hold 5,269).
#include "hdf5/btree2.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <vector>

#include "base/checked.h"
#include "hdf5/checksum.h"
#include "memory/growing.h"

namespace penstock::hdf5 {
namespace {

constexpr std::string_view kHeader = "version 2 B-tree header";
constexpr std::string_view kNode = "version 2 B-tree node";
constexpr std::size_t kNodeHead = 6;  // signature, version, type
// A tree of more levels would have more nodes than a file has bytes.
constexpr unsigned kMaxDepth = 31;

// The fewest bytes that hold numbers up to `most`: one up to 255, two up to 65,535.
std::size_t width_of(std::uint64_t most) { return most == 0 ? 1 : (std::bit_width(most) + 7) / 8; }

// What nodes of one depth can hold; 0 are the leaves.
struct Capacity {
  std::uint64_t records = 0;      // of one node
  std::uint64_t all_records = 0;  // with everything below
  std::size_t count_bytes = 0;    // how a pointer to such a node says its records
  std::size_t total_bytes = 0;    // and those with everything below; leaves do without
};

// Where a node lies and how many records it has itself, as its parent says.
struct Pointer {
  Address address = kUndefined;
  std::uint64_t records = 0;
};

class Walk {
 public:
  Walk(const Image& image, Btree2Type type, std::size_t record_bytes,
       const std::function<Status(std::span<const std::byte>)>& visit)
      : image_(image),
        type_(static_cast<unsigned>(type)),
        record_bytes_(record_bytes),
        visit_(visit),
        memory_("a B-tree", *image.budget(), MemoryTag::index) {}

  // "BTHD" | version 0 | type | node bytes u32 | record bytes u16 | depth u16 | split u8 | merge u8 | root O |
  // records of the root u16 | all records L | checksum.
  Status run(Address header) {
    const unsigned O = image_.superblock().offset_size, L = image_.superblock().length_size;
    std::array<std::byte, 16 + 8 + 2 + 8 + kChecksumBytes> bytes;
    const auto head = std::span(bytes).first(16u + O + 2 + L + kChecksumBytes);
    PENSTOCK_RETURN_IF_ERROR(image_.read(header, head, kHeader));
    ByteReader r(head);
    if (!r.match("BTHD")) return image_.corrupt(header, kHeader, "expected signature BTHD");
    PENSTOCK_RETURN_IF_ERROR(verify_checksum(image_, head, header, kHeader));
    PENSTOCK_RETURN_IF_ERROR(version_and_type(r, header, kHeader));
    node_bytes_ = r.u32();
    const unsigned record_bytes = r.u16(), depth = r.u16();
    r.skip(2);
    Pointer root;
    root.address = image_.address(r);
    root.records = r.u16();
    const std::uint64_t total = image_.length(r);
    // The size of a record follows from its type, from the widths in the superblock and from what the caller
    // knows of the object. A tree of another size would be read with its fields shifted.
    if (record_bytes != record_bytes_) {
      return image_.corrupt(
          header, kHeader,
          fmt::format("records of {} bytes, expected {} for type {}", record_bytes, record_bytes_, type_));
    }
    if (depth > kMaxDepth) return image_.corrupt(header, kHeader, fmt::format("impossible depth {}", depth));
    PENSTOCK_RETURN_IF_ERROR(set_capacities(header, depth));
    if (root.address != kUndefined) PENSTOCK_RETURN_IF_ERROR(node(root, depth));
    if (records_ == total) return {};
    return image_.corrupt(header, kHeader, fmt::format("{} records, the nodes have {}", total, records_));
  }

 private:
  Status version_and_type(ByteReader& r, Address at, std::string_view what) const {
    const unsigned version = r.u8(), type = r.u8();
    if (version != 0) return image_.corrupt(at, what, fmt::format("expected version 0, found {}", version));
    if (type != type_)
      return image_.corrupt(at, what, fmt::format("expected type {}, found {}", type_, type));
    return {};
  }

  std::size_t pointer_bytes(unsigned child_depth) const {
    const Capacity& child = capacities_[child_depth];
    return image_.superblock().offset_size + child.count_bytes + child.total_bytes;
  }

  Status set_capacities(Address header, unsigned depth) {
    capacities_.resize(depth + 1);
    for (unsigned d = 0; d <= depth; ++d) {
      const std::uint64_t pointer = d == 0 ? 0 : pointer_bytes(d - 1);
      const std::uint64_t taken = kNodeHead + kChecksumBytes + pointer;
      Capacity& c = capacities_[d];
      c.records = node_bytes_ < taken ? 0 : (node_bytes_ - taken) / (record_bytes_ + pointer);
      if (c.records == 0) {
        return image_.corrupt(header, kHeader,
                              fmt::format("nodes of {} bytes have no room for a record", node_bytes_));
      }
      c.all_records = c.records;
      if (d > 0) {
        // A tall tree of large nodes could hold more than 64 bits can count. Its counts have 8 bytes then.
        constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
        const std::uint64_t below =
            checked_mul(c.records + 1, capacities_[d - 1].all_records).value_or(kMost);
        c.all_records = checked_add(below, c.records).value_or(kMost);
        c.total_bytes = width_of(c.all_records);
      }
      // Counts of one node are as wide as the fullest leaf needs, on every level: a leaf holds more records
      // than an inner node, which has pointers, too.
      c.count_bytes = width_of(capacities_[0].records);
    }
    return {};
  }

  // "BTLF" or "BTIN" | version 0 | type | records | pointers: address O, records, [records below] | checksum.
  // A node that is not full is followed by unused room, but the checksum comes right behind the last record
  // or pointer in use: so `used` bytes are all there is to read. Of an inner node, child i comes before
  // record i.
  Status node(const Pointer& at, unsigned depth) {
    const Capacity& capacity = capacities_[depth];
    if (at.records > capacity.records) {
      return image_.corrupt(at.address, kNode,
                            fmt::format("{} records, at most {} fit", at.records, capacity.records));
    }
    const std::size_t pointer = depth == 0 ? 0 : pointer_bytes(depth - 1);
    const ByteCount used = kNodeHead + at.records * record_bytes_ +
                           (depth == 0 ? 0 : (at.records + 1) * pointer) + kChecksumBytes;
    if (!image_.contains(at.address, used)) {
      return image_.corrupt(at.address, kNode,
                            fmt::format("{} records run past the end of the file", at.records));
    }
    // Whatever pointers a damaged file has, whole nodes are counted: a loop ends when they are more than the
    // file.
    if (used > image_.size() - visited_) {
      return image_.corrupt(at.address, kNode, "nodes overlap: more bytes than the file has");
    }
    visited_ += used;
    PENSTOCK_RETURN_IF_ERROR(memory_.add(used));
    std::vector<std::byte> bytes(used);
    // Nodes of chunks lie scattered between the chunks, those of names beside each other.
    const bool scattered = type_ >= static_cast<unsigned>(Btree2Type::chunk);
    PENSTOCK_RETURN_IF_ERROR(scattered ? image_.read_uncached(at.address, bytes, kNode)
                                       : image_.read(at.address, bytes, kNode));
    ByteReader r(bytes);
    const std::string_view signature = depth == 0 ? "BTLF" : "BTIN";
    if (!r.match(signature)) {
      return image_.corrupt(at.address, kNode, fmt::format("expected signature {}", signature));
    }
    PENSTOCK_RETURN_IF_ERROR(verify_checksum(image_, bytes, at.address, kNode));
    PENSTOCK_RETURN_IF_ERROR(version_and_type(r, at.address, kNode));
    records_ += at.records;
    const auto records = std::span<const std::byte>(bytes).subspan(kNodeHead, at.records * record_bytes_);
    r.skip(records.size());
    for (std::uint64_t i = 0;; ++i) {
      if (depth > 0) {
        const Capacity& child = capacities_[depth - 1];
        Pointer next;
        next.address = image_.address(r);
        next.records = r.uint(child.count_bytes);
        r.skip(child.total_bytes);
        PENSTOCK_RETURN_IF_ERROR(node(next, depth - 1));
      }
      if (i == at.records) break;
      PENSTOCK_RETURN_IF_ERROR(visit_(records.subspan(i * record_bytes_, record_bytes_)));
    }
    memory_.drop(used);
    return {};
  }

  const Image& image_;
  const unsigned type_;
  const std::size_t record_bytes_;
  const std::function<Status(std::span<const std::byte>)>& visit_;
  Growing memory_;
  std::uint64_t node_bytes_ = 0;
  // By depth, the leaves first.
  std::vector<Capacity> capacities_;
  // Bytes of the nodes visited, and their records.
  std::uint64_t visited_ = 0, records_ = 0;
};

}  // namespace

Status visit_btree2(const Image& image, Address header, Btree2Type type, std::size_t record_bytes,
                    const std::function<Status(std::span<const std::byte> record)>& visit) {
  return Walk(image, type, record_bytes, visit).run(header);
}

}  // namespace penstock::hdf5
