// Walks the B-tree of version 1 that says where the chunks of a dataset lie: the index of nearly all files in
// the field, for layout version 3 has no other (HDF5 spec III.A.1, node type 1).
//
// A node with n children has n + 1 keys: key i is the origin of the first chunk below child i, and in a leaf
// also says in how many bytes that chunk is stored. Of an array of rank 1 a key has 24 bytes, and with the
// usual K of 32 a node has 24 + 64 * (24 + 8) + 24 = 2,096 bytes, used or not.
//
// A matrix of 1.1e10 entries has 131,071 chunks in some 2,300 leaves. Its writer allocated them one by one
// while it appended chunks, so that they lie scattered over the whole file. Read one after the other, each
// would cost a round trip to the disk. So the children of a node are read as a batch: sorted by address, and
// neighbours joined into one read. They are then visited in the order of the tree. At any time only the nodes
// on the way from the root to one leaf are in memory.
#include "hdf5/chunk_btree.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <unordered_set>
#include <vector>

#include "memory/growing.h"

namespace penstock::hdf5 {
namespace {

constexpr std::string_view kWhat = "chunk B-tree node";
// Of a node, this much is read at first; all of it with the usual K and rank. (A file that claims a large K
// must not make every small node a large read.)
constexpr ByteCount kFirstRead = 32 << 10;
// Nodes closer than this are read together, up to kJoinedBytes at once.
constexpr ByteCount kJoinGap = 16 << 10;
constexpr ByteCount kJoinedBytes = 256 << 10;
constexpr unsigned kMaxLevel = 31;
// Of an inner node, so that it is not visited twice.
constexpr ByteCount kSeenBytes = 48;

// A child of a node. `lower` and `upper` are numbers of keys in Level::keys, or kNone.
struct Node {
  Address address = 0;
  std::uint32_t lower = 0, upper = 0;
};
constexpr std::uint32_t kNone = ~std::uint32_t{0};

// The children of one node, while they are walked, and the bytes of those that were read last.
struct Level {
  std::vector<Node> nodes;
  std::vector<std::uint64_t> keys;   // key_width numbers each
  std::vector<std::byte> bytes;      // one node behind the other, in the order of `nodes`
  std::vector<std::uint32_t> order;  // of those that are read, by address
};

class Walk {
 public:
  Walk(const Image& image, std::size_t rank, const ChunkSink& visit)
      : image_(image),
        rank_(rank),
        key_width_(rank + 1),
        key_bytes_(8 + 8 * (rank + 1)),
        entry_bytes_(key_bytes_ + image.superblock().offset_size),
        head_bytes_(8 + 2u * image.superblock().offset_size),
        most_(2u * image.superblock().chunk_k),
        first_read_(std::min<ByteCount>(head_bytes_ + most_ * entry_bytes_ + key_bytes_, kFirstRead)),
        visit_(visit),
        key_(key_width_),
        previous_(key_width_),
        held_("the chunk B-tree", *image.budget(), MemoryTag::index) {}

  Status run(Address root) {
    Level top;
    top.nodes.push_back({root, kNone, kNone});
    return walk(top, -1);  // the root says its level
  }

 private:
  // What is read of a node at first: its allocated size, or less at the end of the file.
  ByteCount readable(Address node) const {
    return node >= image_.size() ? 0 : std::min<ByteCount>(first_read_, image_.size() - node);
  }

  // Visits what is below the nodes of a level, in their order. -1: the only one says what level it is.
  Status walk(Level& level, int expected) {
    const auto& nodes = level.nodes;
    // As many at once as are read at once when they lie together.
    // 2,096 bytes give 125 nodes, more than the 64 children that a node can have.
    const std::size_t at_once = std::max<std::size_t>(1, kJoinedBytes / first_read_);
    for (std::size_t first = 0; first < nodes.size(); first += at_once) {
      const std::size_t n = std::min(at_once, nodes.size() - first);
      PENSTOCK_RETURN_IF_ERROR(read_nodes(level, first, n, expected < 0));
      for (std::size_t i = 0; i < n; ++i) {
        const auto bytes = std::span<const std::byte>(level.bytes).subspan(i * first_read_);
        const Node& node = nodes[first + i];
        PENSTOCK_RETURN_IF_ERROR(visit_node(level, node, bytes.first(readable(node.address)), expected));
      }
    }
    return {};
  }

  // Reads nodes [first, first + n) of a level to level.bytes.
  Status read_nodes(Level& level, std::size_t first, std::size_t n, bool root) {
    const std::span<const Node> nodes(level.nodes.data() + first, n);
    auto& order = level.order;
    PENSTOCK_RETURN_IF_ERROR(resize(order, n));
    PENSTOCK_RETURN_IF_ERROR(resize(level.bytes, n * first_read_));
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t a, std::uint32_t b) { return nodes[a].address < nodes[b].address; });
    for (std::size_t i = 0; i < n;) {
      const Address begin = nodes[order[i]].address;
      // Of a node outside of the file nothing is readable, and of one at its very end not even the head.
      if (readable(begin) < head_bytes_) {
        return image_.corrupt(begin, kWhat, "runs past the end of the file");
      }
      std::size_t last = i;
      Address end = begin + readable(begin);
      for (; last + 1 < n; ++last) {
        const Address next = nodes[order[last + 1]].address, next_end = next + readable(next);
        if (next > end + kJoinGap || readable(next) < head_bytes_ || next_end - begin > kJoinedBytes) break;
        end = std::max(end, next_end);
      }
      PENSTOCK_RETURN_IF_ERROR(resize(buffer_, end - begin));
      // A lone root lies near the metadata read before.
      PENSTOCK_RETURN_IF_ERROR(root ? image_.read(begin, buffer_, kWhat)
                                    : image_.read_uncached(begin, buffer_, kWhat));
      for (; i <= last; ++i) {
        const Address at = nodes[order[i]].address;
        // Each node gets a place of first_read_ bytes, so that it can be found by its number. At the end of
        // the file the rest of the place stays as it was, and visit_node() is given only what was read.
        std::memcpy(level.bytes.data() + order[i] * first_read_, buffer_.data() + (at - begin), readable(at));
      }
    }
    return {};
  }

  // "TREE" | type 1 | level | used | left O | right O | key, child O, ..., key. Key: stored bytes u32 | mask
  // u32 | (rank + 1) x u64, the last one within the element: 0.
  Status visit_node(const Level& level, const Node& n, std::span<const std::byte> bytes, int expected) {
    ByteReader r(bytes);
    if (!r.match("TREE")) return image_.corrupt(n.address, kWhat, "expected signature TREE");
    const unsigned type = r.u8(), found_level = r.u8(), used = r.u16();
    if (type != 1) return image_.corrupt(n.address, kWhat, fmt::format("expected type 1, found {}", type));
    if (expected < 0) {
      if (found_level > kMaxLevel) {
        return image_.corrupt(n.address, kWhat, fmt::format("impossible level {}", found_level));
      }
      // The depth of the recursion from here on: each child must be one level lower.
      expected = static_cast<int>(found_level);
    }
    if (static_cast<int>(found_level) != expected) {
      return image_.corrupt(n.address, kWhat,
                            fmt::format("expected level {}, found {}", expected, found_level));
    }
    if (used > most_) {
      return image_.corrupt(n.address, kWhat, fmt::format("{} entries, at most {} fit", used, most_));
    }
    const ByteCount node_bytes = head_bytes_ + used * entry_bytes_ + key_bytes_;
    if (!image_.contains(n.address, node_bytes)) {
      return image_.corrupt(n.address, kWhat, fmt::format("{} entries run past the end of the file", used));
    }
    // The bound on the work for leaves; of inner nodes each one is also remembered, see below. Leaves that
    // come twice break the order of keys, so they need not be.
    if (node_bytes > image_.size() - visited_) {
      return image_.corrupt(n.address, kWhat, "nodes overlap: more bytes than the file has");
    }
    visited_ += node_bytes;
    if (found_level > 0) {
      PENSTOCK_RETURN_IF_ERROR(held_.add(kSeenBytes));
      if (!seen_.insert(n.address).second) {
        return image_.corrupt(n.address, kWhat, "the node was visited before");
      }
    }
    if (node_bytes > bytes.size()) {
      PENSTOCK_RETURN_IF_ERROR(resize(large_, node_bytes));
      PENSTOCK_RETURN_IF_ERROR(image_.read_uncached(n.address, large_, kWhat));
      bytes = large_;
    }
    r = ByteReader(bytes);
    r.skip(head_bytes_);
    Level children;
    const ByteCount children_bytes =
        found_level == 0 ? 0 : used * sizeof(Node) + (used + 1) * key_width_ * sizeof(std::uint64_t);
    PENSTOCK_RETURN_IF_ERROR(held_.add(children_bytes));
    if (found_level > 0) {
      children.nodes.reserve(used);
      children.keys.reserve((used + 1) * key_width_);
    }

    for (unsigned i = 0; i < used; ++i) {
      ChunkEntry entry;
      entry.stored = r.u32();
      entry.mask = r.u32();
      for (auto& k : key_) k = r.u64();
      entry.address = image_.address(r);
      // Keys ascend within a node, and begin at or above the parent's key for it. Overlapping or looping
      // nodes fail here, and whoever takes the chunks can rely on their order.
      if (i == 0) {
        if (n.lower != kNone && less(key_, key_of(level, n.lower))) return out_of_order(n.address, i);
      } else if (!less(previous_, key_)) {
        return out_of_order(n.address, i);
      }
      previous_ = key_;
      if (found_level > 0) {
        add_child(children, entry.address);
        continue;
      }
      // A key has one number more than the array has axes: a place within the element, which is always 0.
      if (key_[rank_] != 0) {
        return image_.corrupt(n.address, kWhat, fmt::format("key {} begins inside an element", i));
      }
      entry.origin = std::span<const std::uint64_t>(key_).first(rank_);
      PENSTOCK_RETURN_IF_ERROR(visit_(entry));
    }
    if (used == 0) return {};  // an inner one has no children
    if (n.upper != kNone && !less(previous_, key_of(level, n.upper))) {
      return out_of_order(n.address, used - 1);
    }
    if (found_level == 0) return {};
    // Children are bounded by the next key; the last one by this node's own bound (its right key may lie
    // before chunks that were appended later).
    if (n.upper != kNone) {
      const auto bound = key_of(level, n.upper);
      children.nodes.back().upper = static_cast<std::uint32_t>(children.keys.size() / key_width_);
      children.keys.insert(children.keys.end(), bound.begin(), bound.end());
    }
    Status status = walk(children, expected - 1);
    held_.drop(children_bytes + children.bytes.capacity() +
               children.order.capacity() * sizeof(std::uint32_t));
    return status;
  }

  // The child's lower bound is the key before it; its upper bound is the key of the child that comes next.
  void add_child(Level& children, Address child) {
    const auto number = static_cast<std::uint32_t>(children.nodes.size());
    if (number > 0) children.nodes.back().upper = number;
    children.nodes.push_back({child, number, kNone});
    children.keys.insert(children.keys.end(), key_.begin(), key_.end());
  }

  // To `n` elements; what is new of it is reserved first.
  template <class T>
  Status resize(std::vector<T>& buffer, std::size_t n) {
    if (n > buffer.capacity()) {
      PENSTOCK_RETURN_IF_ERROR(held_.add((n - buffer.capacity()) * sizeof(T)));
      buffer = {};  // nothing of it is kept
      buffer.reserve(n);
    }
    buffer.resize(n);
    return {};
  }

  std::span<const std::uint64_t> key_of(const Level& level, std::uint32_t number) const {
    return std::span(level.keys).subspan(std::size_t{number} * key_width_, key_width_);
  }
  static bool less(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  }
  Status out_of_order(Address node, unsigned key) const {
    return image_.corrupt(node, kWhat, fmt::format("key {} is out of order", key));
  }

  const Image& image_;
  const std::size_t rank_, key_width_, key_bytes_, entry_bytes_, head_bytes_, most_;
  const ByteCount first_read_;
  const ChunkSink& visit_;
  std::vector<std::uint64_t> key_, previous_;
  std::vector<std::byte> buffer_, large_;
  std::unordered_set<Address> seen_;
  std::uint64_t visited_ = 0;
  Growing held_;
};

}  // namespace

Status visit_chunk_btree1(const Image& image, Address root, std::size_t rank, const ChunkSink& visit) {
  return Walk(image, rank, visit).run(root);
}

}  // namespace penstock::hdf5
