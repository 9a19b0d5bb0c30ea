#include "parquet/page_table.h"

#include <algorithm>

namespace penstock::parquet {

void PageLimits::widen(const PageLimits& other) {
  page = std::max(page, other.page);
  dictionary = std::max(dictionary, other.dictionary);
  positions = std::max(positions, other.positions);
}

void PageTable::add_group(ByteOffset begin) {
  groups_.push_back({begin, begin, static_cast<std::uint32_t>(pages_.size())});
}

// The first page of the group with which a later position than `at` begins.
const PageEntry* PageTable::first_after(std::size_t group, std::uint64_t at) const {
  const PageEntry* begin = pages_.data() + groups_[group].page;
  const PageEntry* end = pages_.data() + groups_[group + 1].page;
  return std::upper_bound(
      begin, end, at, [](std::uint64_t position, const PageEntry& page) { return position < page.first; });
}

// Of pages that name the same position only the last holds its beginning: the others hold the middle of the
// row before.
const PageEntry& PageTable::page_of(std::size_t group, std::uint64_t at) const {
  const PageEntry* after = first_after(group, at);
  return after == pages_.data() + groups_[group].page ? *after : after[-1];
}

PageSpan PageTable::span(std::size_t group, std::uint64_t first, std::uint64_t last, std::uint64_t n) const {
  const PageEntry* pages = pages_.data() + groups_[group].page;
  const PageEntry* end = pages_.data() + groups_[group + 1].page;
  PageSpan out;
  if (pages == end) return out;  // a group without rows
  const PageEntry& from = page_of(group, first);
  out.begin = from.offset;
  out.first = from.first;
  out.end = groups_[group].end;
  if (last < n) {
    const PageEntry* to = &page_of(group, last);
    if (!to->fresh || to->first != last) ++to;
    if (to != end) out.end = to->offset;
  }
  if (&from != pages) {
    out.dictionary = groups_[group].begin;
    out.dictionary_end = pages->offset;
  } else {
    out.begin = groups_[group].begin;  // the dictionary comes with the pages
  }
  return out;
}

std::uint64_t PageTable::nearest(std::size_t group, std::uint64_t at, std::uint64_t n) const {
  const PageEntry* pages = pages_.data() + groups_[group].page;
  const PageEntry* end = pages_.data() + groups_[group + 1].page;
  const PageEntry* after = first_after(group, at);
  const std::uint64_t above = after == end ? n : after->first;
  const std::uint64_t below = after == pages ? 0 : after[-1].first;
  return at - below <= above - at ? below : above;
}

ByteCount PageTable::bytes() const {
  return groups_.capacity() * sizeof(Group) + pages_.capacity() * sizeof(PageEntry);
}

}  // namespace penstock::parquet
