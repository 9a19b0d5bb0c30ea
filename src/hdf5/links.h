// The links of a group: symbol tables (HDF5 spec III.A.1 B-tree version 1, III.B symbol table nodes, III.D
// local heap) and link messages (IV.A.2.g).
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hdf5/image.h"
#include "hdf5/object_header.h"

namespace penstock::hdf5 {

struct Link {
  enum class Kind : std::uint8_t { hard, soft, external, user } kind = Kind::hard;
  std::string name;
  Address address = kUndefined;  // hard
  std::string target;            // soft: the path
};

// All links of one group, in the order stored. Immutable; its bytes are reserved from the index budget.
class LinkTable {
 public:
  // Reads them. Work is bounded by the size of the file.
  static Result<LinkTable> read(const Image& image, Address header);

  const std::vector<Link>& links() const { return links_; }
  // By name, or null.
  const Link* find(std::string_view name) const;
  std::vector<std::string> names() const;

 private:
  Status add(const Image& image, Link link, Address at);
  Status add_symbol_table(const Image& image, Address tree, Address heap);
  Status add_link_message(const Image& image, const Message& message);
  Status sort(const Image& image, Address header);

  std::vector<Link> links_;
  std::vector<std::uint32_t> by_name_;  // numbers of links_, sorted by name
  Reservation reservation_;
  ByteCount bytes_ = 0;
};

// The tables read last, so that "obs/a", "obs/b", ... do not read the links of obs again and again. One per
// Image. Thread contract: thread-safe.
class LinkCache {
 public:
  // The table of the group at `header`, read when it is not at hand.
  Result<std::shared_ptr<const LinkTable>> get(const Image& image, Address header);

 private:
  static constexpr std::size_t kTables = 4;
  std::mutex mutex_;
  std::vector<std::pair<Address, std::shared_ptr<const LinkTable>>>
      recent_;  // guarded by mutex_; newest last
};

}  // namespace penstock::hdf5
