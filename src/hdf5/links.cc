#include "hdf5/links.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "hdf5/symbol_table.h"
#include "memory/reserve_for.h"

namespace penstock::hdf5 {
namespace {

// What a link costs beyond its characters: the struct, its place in by_name_, heap overhead of two strings.
constexpr ByteCount kLinkBytes = sizeof(Link) + sizeof(std::uint32_t) + 32;
constexpr ByteCount kReserveStep = 64 << 10;

}  // namespace

Status LinkTable::add(const Image& image, Link link, Address at) {
  bytes_ += kLinkBytes + link.name.size() + link.target.size();
  if (bytes_ > reservation_.bytes()) {
    const ByteCount wanted = bytes_ + std::min(bytes_, kReserveStep);  // few steps, little slack
    if (reservation_.bytes() == 0) {
      PENSTOCK_ASSIGN_OR_RETURN(reservation_, image.budget()->reserve(MemoryTag::index, wanted));
    } else {
      PENSTOCK_RETURN_IF_ERROR(grow(reservation_, *image.budget(), MemoryTag::index, wanted));
    }
  }
  if (links_.size() >= ~std::uint32_t{0}) return image.corrupt(at, "group", "more than 2^32 links");
  links_.push_back(std::move(link));
  return {};
}

// IV.A.2.g. Version 1, flags: bits 0-1 width of the name's length, 2 creation order, 3 type, 4 charset.
Status LinkTable::add_link_message(const Image& image, const Message& message) {
  constexpr std::string_view kWhat = "link message";
  ByteReader r(message.body);
  const unsigned version = r.u8(), flags = r.u8();
  if (version != 1)
    return image.corrupt(message.address, kWhat, fmt::format("expected version 1, found {}", version));
  const unsigned type = flags & 8 ? r.u8() : 0;
  if (flags & 4) r.skip(8);
  if (flags & 16) r.skip(1);
  const std::uint64_t name_bytes = r.uint(std::size_t{1} << (flags & 3));
  Link link;
  link.name = r.chars(std::min<std::uint64_t>(name_bytes, message.body.size() + 1));
  if (!r.failed() && (link.name.empty() || link.name.find('\0') != std::string::npos)) {
    return image.corrupt(message.address, kWhat, "the name is empty or holds NUL");
  }
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

Result<LinkTable> LinkTable::read(const Image& image, Address header) {
  LinkTable table;
  bool seen_table = false;
  const auto visit = [&](const Message& m, bool&) -> Status {
    switch (m.type) {
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
      case MessageType::link_info: {  // IV.A.2.c: with a heap the links are dense
        ByteReader r(m.body);
        const unsigned version = r.u8(), flags = r.u8();
        if (version != 0) {
          return image.corrupt(m.address, "link info message",
                               fmt::format("expected version 0, found {}", version));
        }
        if (flags & 1) r.skip(8);
        const Address heap = image.address(r);
        if (r.failed()) return image.corrupt(m.address, "link info message", "truncated");
        if (heap != kUndefined) return image.unsupported(heap, "HDF5 dense link storage (fractal heap)");
        return {};
      }
      default:
        return {};
    }
  };
  PENSTOCK_RETURN_IF_ERROR(visit_messages(image, header, visit));
  PENSTOCK_RETURN_IF_ERROR(table.sort(image, header));
  return table;
}

Status LinkTable::sort(const Image& image, Address header) {
  links_.shrink_to_fit();
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
  const auto find = [&]() -> std::shared_ptr<const LinkTable> {
    for (auto it = recent_.begin(); it != recent_.end(); ++it) {
      if (it->first != header) continue;
      std::rotate(it, it + 1, recent_.end());
      return recent_.back().second;
    }
    return nullptr;
  };
  {
    const std::lock_guard lock(mutex_);
    if (auto table = find()) return table;
  }
  PENSTOCK_ASSIGN_OR_RETURN(LinkTable fresh, LinkTable::read(image, header));
  auto table = std::make_shared<const LinkTable>(std::move(fresh));
  const std::lock_guard lock(mutex_);
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
