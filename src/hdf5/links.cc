// The links of a group, from all three places where a file may have them: a symbol table (old groups), link
// messages in the object header (new groups of few links), or link messages in a fractal heap (new groups of
// many). An h5ad as anndata writes it has symbol tables only. All of them come in through LinkTable::add(),
// and from then on nobody knows where a link was.
//
// The table is then sorted twice: links_ in the order that people see, and by_name_, numbers of links_, for
// find(). A group with 60,000 links is found through in 16 steps.
#include "hdf5/links.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "hdf5/btree2.h"
#include "hdf5/fractal_heap.h"
#include "hdf5/symbol_table.h"
#include "memory/reserve_for.h"

namespace penstock::hdf5 {
namespace {

// What a link costs beyond its struct and its characters: its place in by_name_, heap overhead of two strings.
constexpr ByteCount kBesideBytes = sizeof(std::uint32_t) + 32;
constexpr ByteCount kReserveStep = 64 << 10;

}  // namespace

// Reserves that many bytes for the table.
Status LinkTable::hold(const Image& image, ByteCount bytes) {
  if (bytes <= reservation_.bytes()) return {};
  // A group of few links reserves what it needs; one of many asks for 64 KiB at a time.
  const ByteCount wanted = bytes < kReserveStep ? bytes : bytes + kReserveStep;
  if (reservation_.bytes() > 0) return grow(reservation_, *image.budget(), MemoryTag::index, wanted);
  PENSTOCK_ASSIGN_OR_RETURN(reservation_, image.budget()->reserve(MemoryTag::index, wanted));
  return {};
}

Status LinkTable::add(const Image& image, Link link, Address at) {
  if (links_.size() >= ~std::uint32_t{0}) return image.corrupt(at, "group", "more than 2^32 links");
  beside_ += kBesideBytes + link.name.size() + link.target.size();
  const std::size_t before = links_.capacity();
  if (links_.size() == before) {
    // Both are there while links move from the old memory to the new.
    const std::size_t after = std::max<std::size_t>(4, 2 * before);
    PENSTOCK_RETURN_IF_ERROR(hold(image, beside_ + (before + after) * sizeof(Link)));
    links_.reserve(after);
  }
  PENSTOCK_RETURN_IF_ERROR(hold(image, beside_ + links_.capacity() * sizeof(Link)));
  links_.push_back(std::move(link));
  return {};
}

// IV.A.2.g: version 1 | flags | [flags&8: type u8] | [flags&4: creation order u64] | [flags&16: charset u8] |
// bytes of the name | name | what the type needs. Bits 0 and 1 of the flags give the width of the name's
// length: 1, 2, 4 or 8 bytes.
Status LinkTable::add_link_message(const Image& image, const Message& message) {
  constexpr std::string_view kWhat = "link message";
  ByteReader r(message.body);
  const unsigned version = r.u8(), flags = r.u8();
  if (version != 1)
    return image.corrupt(message.address, kWhat, fmt::format("expected version 1, found {}", version));
  const unsigned type = flags & 8 ? r.u8() : 0;
  Link link;
  if (flags & 4) link.created = r.u64();
  if (flags & 16) r.skip(1);
  const std::uint64_t name_bytes = r.uint(std::size_t{1} << (flags & 3));
  // A length beyond the message is cut to one byte too many, which fails just the same.
  link.name = r.chars(std::min<std::uint64_t>(name_bytes, message.body.size() + 1));
  if (!r.failed() && (link.name.empty() || link.name.find('\0') != std::string::npos)) {
    return image.corrupt(message.address, kWhat, "the name is empty or holds NUL");
  }
  // Type 0, hard: address O of an object header. Type 1, soft: u16 | path. 64 and above are not followed, so
  // what they hold is not looked at.
  if (type == 0) {
    link.address = image.address(r);
  } else if (type == 1) {
    link.kind = Link::Kind::soft;
    link.target = r.chars(r.u16());
  } else {
    link.kind = type == 64 ? Link::Kind::external : Link::Kind::user;
  }
  if (r.failed()) return image.corrupt(message.address, kWhat, "truncated");
  return add(image, std::move(link), message.address);
}

// IV.A.2.c: version 0 | flags | [flags&1: highest creation order u64] | heap O | tree by name O | [flags&2: tree
// by creation order O]. Records by name: hash u32 | heap id; the object is a link message. Without a heap the
// links are messages of the header.
Status LinkTable::add_dense(const Image& image, const Message& link_info) {
  constexpr std::string_view kWhat = "link info message";
  ByteReader r(link_info.body);
  const unsigned version = r.u8(), flags = r.u8();
  if (version != 0) {
    return image.corrupt(link_info.address, kWhat, fmt::format("expected version 0, found {}", version));
  }
  if (flags & 1) r.skip(8);
  const Address heap_address = image.address(r), tree = image.address(r);
  if (r.failed()) return image.corrupt(link_info.address, kWhat, "truncated");
  if (heap_address == kUndefined) return {};
  PENSTOCK_ASSIGN_OR_RETURN(FractalHeap heap, FractalHeap::open(image, heap_address));
  if (tree == kUndefined) return image.corrupt(link_info.address, kWhat, "a heap of links without a tree");
  const auto add = [&](std::span<const std::byte> record) -> Status {
    PENSTOCK_ASSIGN_OR_RETURN(const auto object, heap.object(record.subspan(4)));
    Message message;
    message.type = MessageType::link;
    message.address = object.address;
    message.body = object.bytes;
    return add_link_message(image, message);
  };
  return visit_btree2(image, tree, Btree2Type::link_name, 4 + heap.id_bytes(), add);
}

Result<LinkTable> LinkTable::read(const Image& image, Address header) {
  LinkTable table;
  bool seen_table = false, seen_info = false;
  const auto visit = [&](const Message& m, bool&) -> Status {
    switch (m.type) {
      // B-tree O | local heap O.
      case MessageType::symbol_table: {  // IV.A.2.r
        if (seen_table) return image.corrupt(m.address, "symbol table message", "the group has two");
        seen_table = true;
        ByteReader r(m.body);
        const Address tree = image.address(r), heap = image.address(r);
        if (r.failed()) return image.corrupt(m.address, "symbol table message", "truncated");
        return visit_symbol_table(
            image, tree, heap, [&](Link link, Address at) { return table.add(image, std::move(link), at); });
      }
      case MessageType::link:
        if (m.shared()) return image.unsupported(m.address, "HDF5 shared link message");
        return table.add_link_message(image, m);
      case MessageType::link_info:
        if (seen_info) return image.corrupt(m.address, "link info message", "the group has two");
        seen_info = true;
        return table.add_dense(image, m);
      default:
        return {};
    }
  };
  PENSTOCK_RETURN_IF_ERROR(visit_messages(image, header, visit));
  PENSTOCK_RETURN_IF_ERROR(table.sort(image, header));
  return table;
}

Status LinkTable::sort(const Image& image, Address header) {
  PENSTOCK_RETURN_IF_ERROR(hold(image, beside_ + (links_.capacity() + links_.size()) * sizeof(Link)));
  links_.shrink_to_fit();
  reservation_.resize(beside_ + links_.capacity() * sizeof(Link));  // fewer, which nobody refuses
  // Symbol tables have no order of creation, and not every writer of link messages stores it.
  const bool ordered =
      std::all_of(links_.begin(), links_.end(), [](const Link& l) { return l.created.has_value(); });
  std::sort(links_.begin(), links_.end(), [&](const Link& a, const Link& b) {
    return ordered && a.created != b.created ? a.created < b.created : a.name < b.name;
  });
  by_name_.resize(links_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  std::sort(by_name_.begin(), by_name_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return links_[a].name < links_[b].name; });
  for (std::size_t i = 1; i < by_name_.size(); ++i) {
    if (links_[by_name_[i - 1]].name == links_[by_name_[i]].name) {
      return image.corrupt(header, "group",
                           fmt::format("two links are named '{}'", links_[by_name_[i]].name));
    }
  }
  return {};
}

const Link* LinkTable::find(std::string_view name) const {
  const auto it = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                                   [&](std::uint32_t i, std::string_view n) { return links_[i].name < n; });
  return it != by_name_.end() && links_[*it].name == name ? &links_[*it] : nullptr;
}

Result<std::shared_ptr<const LinkTable>> LinkCache::get(const Image& image, Address header) {
  const auto find = [&]() PENSTOCK_REQUIRES(mutex_) -> std::shared_ptr<const LinkTable> {
    for (auto it = recent_.begin(); it != recent_.end(); ++it) {
      if (it->first != header) continue;
      std::rotate(it, it + 1, recent_.end());
      return recent_.back().second;
    }
    return nullptr;
  };
  {
    const MutexLock lock(mutex_);
    if (auto table = find()) return table;
  }
  // Read without the lock, so that threads in other groups need not wait. Two threads may read the same
  // table; the second one takes the first one's.
  PENSTOCK_ASSIGN_OR_RETURN(LinkTable fresh, LinkTable::read(image, header));
  auto table = std::make_shared<const LinkTable>(std::move(fresh));
  const MutexLock lock(mutex_);
  if (auto other = find()) return other;
  if (recent_.size() == kTables) recent_.erase(recent_.begin());
  recent_.emplace_back(header, table);
  return table;
}

std::vector<std::string> LinkTable::names() const {
  std::vector<std::string> names;
  names.reserve(links_.size());
  for (const Link& link : links_) names.push_back(link.name);
  return names;
}

}  // namespace penstock::hdf5
