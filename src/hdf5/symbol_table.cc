// Links of old groups, in three structures: a B-tree of version 1 leads to symbol table nodes, whose entries
// name the links' targets, and whose names are offsets into a local heap, one stretch of NUL-terminated
// strings.
//
//     "TREE" level 1 -> "TREE" level 0 -> "SNOD" of up to 2 * 4 entries -> name in "HEAP", object header
//
// Nodes are walked depth first, in their order, which is the order of names. A node may have any address, so
// three things keep a damaged tree from looping: levels go down by one, no node is visited twice, and names
// ascend.
#include "hdf5/symbol_table.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "memory/growing.h"

namespace penstock::hdf5 {
namespace {

constexpr std::string_view kTree = "group B-tree node";
constexpr std::string_view kNode = "symbol table node";
constexpr std::string_view kHeap = "local heap";
// Of a node, so that it is not visited twice: an entry of the set, and its share of the buckets.
constexpr ByteCount kSeenBytes = 64;
// A tree of more levels would have more nodes than a file has bytes.
constexpr unsigned kMaxLevel = 31;

class Walk {
 public:
  Walk(const Image& image, const std::function<Status(Link, Address)>& visit)
      : image_(image), visit_(visit), held_("the links of a group", *image.budget(), MemoryTag::index) {}

  // III.D: "HEAP" | version 0 | 3 reserved | data size L | free list L | data address O.
  Status load_heap(Address heap) {
    std::array<std::byte, 8 + 8 + 8 + 8> bytes;
    const std::size_t n = 8 + 2u * image_.superblock().length_size + image_.superblock().offset_size;
    PENSTOCK_RETURN_IF_ERROR(image_.read(heap, std::span(bytes).first(n), kHeap));
    ByteReader r(std::span<const std::byte>(bytes).first(n));
    if (!r.match("HEAP")) return image_.corrupt(heap, kHeap, "expected signature HEAP");
    const unsigned version = r.u8();
    if (version != 0)
      return image_.corrupt(heap, kHeap, fmt::format("expected version 0, found {}", version));
    r.skip(3);
    const std::uint64_t size = image_.length(r);
    image_.length(r);
    const Address data = image_.address(r);
    if (!image_.contains(data, size)) {
      return image_.corrupt(heap, kHeap, fmt::format("{} bytes of names run past the end of the file", size));
    }
    PENSTOCK_RETURN_IF_ERROR(held_.add(size));
    names_.resize(size);
    return image_.read(data, names_, kHeap);
  }

  // III.A.1: "TREE" | type | level | used | left O | right O | key L, child O, ..., key L. Keys are heap
  // offsets of separators; the order of the names themselves is checked instead.
  Status tree_node(Address node, std::optional<unsigned> expected_level) {
    const unsigned O = image_.superblock().offset_size, L = image_.superblock().length_size;
    std::array<std::byte, 8 + 16> head;
    const std::size_t head_bytes = 8 + 2 * O;
    PENSTOCK_RETURN_IF_ERROR(image_.read(node, std::span(head).first(head_bytes), kTree));
    ByteReader r(std::span<const std::byte>(head).first(head_bytes));
    if (!r.match("TREE")) return image_.corrupt(node, kTree, "expected signature TREE");
    const unsigned type = r.u8(), level = r.u8(), used = r.u16();
    if (type != 0) return image_.corrupt(node, kTree, fmt::format("expected type 0, found {}", type));
    if (expected_level && level != *expected_level) {
      return image_.corrupt(node, kTree, fmt::format("expected level {}, found {}", *expected_level, level));
    }
    if (level > kMaxLevel) return image_.corrupt(node, kTree, fmt::format("impossible level {}", level));
    const unsigned most = 2u * image_.superblock().group_internal_k;
    if (used > most)
      return image_.corrupt(node, kTree, fmt::format("{} entries, at most {} fit", used, most));
    // The last key bounds names from above, and is not needed.
    const ByteCount bytes = used * ByteCount{L + O};
    PENSTOCK_RETURN_IF_ERROR(count(node, head_bytes + bytes, kTree));
    PENSTOCK_RETURN_IF_ERROR(held_.add(bytes));
    std::vector<std::byte> entries(bytes);
    PENSTOCK_RETURN_IF_ERROR(image_.read(node + head_bytes, entries, kTree));
    ByteReader e(entries);
    for (unsigned i = 0; i < used; ++i) {
      image_.length(e);
      const Address child = image_.address(e);
      PENSTOCK_RETURN_IF_ERROR(level == 0 ? symbol_node(child) : tree_node(child, level - 1));
    }
    held_.drop(bytes);
    return {};
  }

 private:
  // III.B: "SNOD" | version 1 | 0 | n | entries.
  Status symbol_node(Address node) {
    const std::size_t entry_bytes =
        std::size_t{image_.superblock().length_size} + image_.superblock().offset_size + 24;
    std::array<std::byte, 8> head;
    PENSTOCK_RETURN_IF_ERROR(image_.read(node, head, kNode));
    ByteReader r(head);
    if (!r.match("SNOD")) return image_.corrupt(node, kNode, "expected signature SNOD");
    const unsigned version = r.u8();
    r.skip(1);
    const unsigned used = r.u16();
    if (version != 1)
      return image_.corrupt(node, kNode, fmt::format("expected version 1, found {}", version));
    const unsigned most = 2u * image_.superblock().group_leaf_k;
    if (used > most)
      return image_.corrupt(node, kNode, fmt::format("{} symbols, at most {} fit", used, most));
    const ByteCount bytes = used * entry_bytes;
    PENSTOCK_RETURN_IF_ERROR(count(node, head.size() + bytes, kNode));
    PENSTOCK_RETURN_IF_ERROR(held_.add(bytes));
    std::vector<std::byte> entries(bytes);
    PENSTOCK_RETURN_IF_ERROR(image_.read(node + head.size(), entries, kNode));
    for (unsigned i = 0; i < used; ++i) {
      PENSTOCK_RETURN_IF_ERROR(
          symbol(std::span<const std::byte>(entries).subspan(i * entry_bytes, entry_bytes),
                 node + head.size() + i * entry_bytes));
    }
    held_.drop(bytes);
    return {};
  }

  // III.C: name offset L | header O | cache type u32 | 0 u32 | scratch 16. (The text says O for the name;
  // libhdf5 writes L, which shows when they differ.) Type 2 is a soft link, its scratch begins with the heap
  // offset of the path; other scratch is a cache that readers ignore.
  Status symbol(std::span<const std::byte> entry, Address at) {
    ByteReader r(entry);
    Link link;
    const std::uint64_t name_offset = image_.length(r);
    link.address = image_.address(r);
    const std::uint32_t cache_type = r.u32();
    r.skip(4);
    PENSTOCK_ASSIGN_OR_RETURN(const std::string_view name, heap_string(name_offset, at));
    if (name.empty()) return image_.corrupt(at, "symbol table entry", "the name is empty");
    // Ascending over the whole walk: no name twice, and no more names than the heap has characters.
    if (!previous_.empty() && name <= previous_) {
      return image_.corrupt(
          at, "symbol table entry",
          fmt::format("'{}' follows '{}': names must ascend", name.substr(0, 100), previous_.substr(0, 100)));
    }
    previous_ = name;
    link.name = name;
    if (cache_type == 2) {
      link.kind = Link::Kind::soft;
      PENSTOCK_ASSIGN_OR_RETURN(const std::string_view target, heap_string(r.u32(), at));
      link.target = target;
    }
    return visit_(std::move(link), at);
  }

  Result<std::string_view> heap_string(std::uint64_t offset, Address at) const {
    const char* begin = reinterpret_cast<const char*>(names_.data());
    if (offset < names_.size()) {
      // The search ends with the heap: a name without a NUL would run on into other structures.
      const void* end = std::memchr(begin + offset, 0, names_.size() - offset);
      if (end) return std::string_view(begin + offset, static_cast<const char*>(end) - (begin + offset));
    }
    return image_.corrupt(
        at, "symbol table entry",
        fmt::format("the name at {} is not inside the local heap of {} bytes", offset, names_.size()));
  }

  // Each node once, and all of them together within the file.
  Status count(Address node, std::uint64_t bytes, std::string_view what) {
    PENSTOCK_RETURN_IF_ERROR(held_.add(kSeenBytes));
    if (!seen_.insert(node).second) return image_.corrupt(node, what, "the node was visited before");
    if (bytes > image_.size() - visited_)
      return image_.corrupt(node, what, "nodes overlap: more bytes than the file has");
    visited_ += bytes;
    return {};
  }

  const Image& image_;
  const std::function<Status(Link, Address)>& visit_;
  Growing held_;
  std::vector<std::byte> names_;
  // The name that was handed out last; in names_.
  std::string_view previous_;
  std::unordered_set<Address> seen_;
  std::uint64_t visited_ = 0;
};

}  // namespace

Status visit_symbol_table(const Image& image, Address tree, Address heap,
                          const std::function<Status(Link, Address)>& visit) {
  Walk walk(image, visit);
  PENSTOCK_RETURN_IF_ERROR(walk.load_heap(heap));
  return walk.tree_node(tree, std::nullopt);
}

}  // namespace penstock::hdf5
