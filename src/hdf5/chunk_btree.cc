#include "hdf5/chunk_btree.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "memory/reserve_for.h"

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

// Nodes of one level. `lower` and `upper` are numbers of keys in Level::keys, or kNone.
struct Node {
  Address address = 0;
  std::uint32_t lower = 0, upper = 0;
};
constexpr std::uint32_t kNone = ~std::uint32_t{0};

struct Level {
  std::vector<Node> nodes;
  std::vector<std::uint64_t> keys;  // key_width numbers each
  ByteCount bytes() const {
    return nodes.capacity() * (sizeof(Node) + 48) + keys.capacity() * sizeof(std::uint64_t);
  }
};

class Walk {
 public:
  Walk(const Image& image, std::size_t rank, const std::function<Status(const ChunkEntry&)>& visit)
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
        previous_(key_width_) {}

  Status run(Address root) {
    Level level;
    level.nodes.push_back({root, kNone, kNone});
    bool first = true;
    int expected = -1;  // the root says
    while (!level.nodes.empty()) {
      Level next;
      std::sort(level.nodes.begin(), level.nodes.end(),
                [](const Node& a, const Node& b) { return a.address < b.address; });
      PENSTOCK_RETURN_IF_ERROR(read_level(level, first, expected, next));
      first = false;
      --expected;
      level = std::move(next);
    }
    return {};
  }

 private:
  // What is read of a node at first: its allocated size, or less at the end of the file.
  ByteCount readable(Address node) const {
    return node >= image_.size() ? 0 : std::min<ByteCount>(first_read_, image_.size() - node);
  }

  Status read_level(const Level& level, bool root, int& expected, Level& next) {
    const auto& nodes = level.nodes;
    for (std::size_t i = 0; i < nodes.size();) {
      const Address begin = nodes[i].address;
      if (readable(begin) < head_bytes_) {
        return image_.corrupt(begin, kWhat, "runs past the end of the file");
      }
      std::size_t last = i;
      Address end = begin + readable(begin);
      while (last + 1 < nodes.size() && nodes[last + 1].address <= end + kJoinGap &&
             readable(nodes[last + 1].address) >= head_bytes_ &&
             nodes[last + 1].address + readable(nodes[last + 1].address) - begin <= kJoinedBytes) {
        ++last;
        end = std::max(end, nodes[last].address + readable(nodes[last].address));
      }
      buffer_.resize(end - begin);
      // A lone root lies near the metadata read before.
      PENSTOCK_RETURN_IF_ERROR(root ? image_.read(begin, buffer_, kWhat)
                                    : image_.read_uncached(begin, buffer_, kWhat));
      for (; i <= last; ++i) {
        const auto bytes =
            std::span<const std::byte>(buffer_).subspan(nodes[i].address - begin, readable(nodes[i].address));
        PENSTOCK_RETURN_IF_ERROR(node(level, nodes[i], bytes, expected, next));
      }
    }
    return {};
  }

  // "TREE" | type 1 | level | used | left O | right O | key, child O, ..., key. Key: stored bytes u32 | mask
  // u32 | (rank + 1) x u64, the last one within the element: 0.
  Status node(const Level& level, const Node& n, std::span<const std::byte> bytes, int& expected,
              Level& next) {
    ByteReader r(bytes);
    if (!r.match("TREE")) return image_.corrupt(n.address, kWhat, "expected signature TREE");
    const unsigned type = r.u8(), found_level = r.u8(), used = r.u16();
    if (type != 1) return image_.corrupt(n.address, kWhat, fmt::format("expected type 1, found {}", type));
    if (expected < 0) {
      if (found_level > kMaxLevel) {
        return image_.corrupt(n.address, kWhat, fmt::format("impossible level {}", found_level));
      }
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
    if (node_bytes > image_.size() - visited_) {
      return image_.corrupt(n.address, kWhat, "nodes overlap: more bytes than the file has");
    }
    visited_ += node_bytes;
    if (found_level > 0 && !seen_.insert(n.address).second) {
      return image_.corrupt(n.address, kWhat, "the node was visited before");
    }
    if (node_bytes > bytes.size()) {
      large_.resize(node_bytes);
      PENSTOCK_RETURN_IF_ERROR(image_.read_uncached(n.address, large_, kWhat));
      bytes = large_;
    }
    r = ByteReader(bytes);
    r.skip(head_bytes_);

    for (unsigned i = 0; i < used; ++i) {
      ChunkEntry entry;
      entry.stored = r.u32();
      entry.mask = r.u32();
      for (auto& k : key_) k = r.u64();
      entry.address = image_.address(r);
      if (i == 0) {
        if (n.lower != kNone && less(key_, key_of(level, n.lower))) return out_of_order(n.address, i);
      } else if (!less(previous_, key_)) {
        return out_of_order(n.address, i);
      }
      previous_ = key_;
      if (found_level > 0) {
        PENSTOCK_RETURN_IF_ERROR(add_child(next, entry.address, i == 0));
        continue;
      }
      if (key_[rank_] != 0) {
        return image_.corrupt(n.address, kWhat, fmt::format("key {} begins inside an element", i));
      }
      entry.origin = std::span<const std::uint64_t>(key_).first(rank_);
      PENSTOCK_RETURN_IF_ERROR(visit_(entry));
    }
    if (used == 0) return {};
    if (n.upper != kNone && !less(previous_, key_of(level, n.upper))) {
      return out_of_order(n.address, used - 1);
    }
    // Children are bounded by the next key; the last one by this node's own bound (its right key may lie
    // before chunks that were appended later).
    if (found_level > 0 && n.upper != kNone) {
      const auto bound = key_of(level, n.upper);
      next.nodes.back().upper = static_cast<std::uint32_t>(next.keys.size() / key_width_);
      next.keys.insert(next.keys.end(), bound.begin(), bound.end());
    }
    return reserve(level, next);
  }

  Status add_child(Level& next, Address child, bool first_of_node) {
    const auto number = static_cast<std::uint32_t>(next.keys.size() / key_width_);
    if (!first_of_node) next.nodes.back().upper = number;
    next.nodes.push_back({child, number, kNone});
    next.keys.insert(next.keys.end(), key_.begin(), key_.end());
    return {};
  }

  Status reserve(const Level& level, const Level& next) {
    const ByteCount wanted = level.bytes() + next.bytes();
    if (wanted <= reservation_.bytes()) return {};
    if (reservation_.bytes() == 0) {
      PENSTOCK_ASSIGN_OR_RETURN(reservation_, image_.budget()->reserve(MemoryTag::index, wanted));
      return {};
    }
    return grow(reservation_, *image_.budget(), MemoryTag::index, wanted);
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
  const std::function<Status(const ChunkEntry&)>& visit_;
  std::vector<std::uint64_t> key_, previous_;
  std::vector<std::byte> buffer_, large_;
  std::unordered_set<Address> seen_;
  std::uint64_t visited_ = 0;
  Reservation reservation_;
};

}  // namespace

Status visit_chunks(const Image& image, Address root, std::size_t rank,
                    const std::function<Status(const ChunkEntry&)>& visit) {
  return Walk(image, rank, visit).run(root);
}

}  // namespace penstock::hdf5
