// The links of a group: symbol tables (HDF5 spec III.A.1 B-tree version 1, III.B symbol table nodes, III.D
// local heap) and link messages (IV.A.2.g), in the header or, dense, in a fractal heap (IV.A.2.c, III.G).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "hdf5/image.h"
#include "hdf5/object_header.h"

namespace penstock::hdf5 {

struct Link {
  enum class Kind : std::uint8_t { hard, soft, external, user } kind = Kind::hard;
  std::string name;
  Address address = kUndefined;          // hard
  std::string target;                    // soft: the path
  std::optional<std::uint64_t> created;  // its place in the order of creation, where the group keeps that
};

// All links of one group, in the order of creation where the group keeps that, else by name, as h5py shows
// them. Immutable; its bytes are reserved from the index budget.
class LinkTable {
 public:
  // Reads them. Work is bounded by the size of the file.
  static Result<LinkTable> read(const Image& image, Address header);

  const std::vector<Link>& links() const { return links_; }
  // By name, or null.
  const Link* find(std::string_view name) const;
  std::vector<std::string> names() const;

 private:
  Status hold(const Image& image, ByteCount bytes);
  Status add(const Image& image, Link link, Address at);
  Status add_dense(const Image& image, const Message& link_info);
  Status add_link_message(const Image& image, const Message& message);
  Status sort(const Image& image, Address header);

  std::vector<Link> links_;
  std::vector<std::uint32_t> by_name_;  // numbers of links_, sorted by name
  Reservation reservation_;
  ByteCount beside_ = 0;  // bytes of all links beside their structs
};

// The tables read last, so that "obs/a", "obs/b", ... do not read the links of obs again and again. One per
// Image. Thread contract: thread-safe.
class LinkCache {
 public:
  // The table of the group at `header`, read when it is not at hand.
  Result<std::shared_ptr<const LinkTable>> get(const Image& image, Address header);

 private:
  static constexpr std::size_t kTables = 4;
  Mutex mutex_;
  // Newest last.
  std::vector<std::pair<Address, std::shared_ptr<const LinkTable>>> recent_ PENSTOCK_GUARDED_BY(mutex_);
};

}  // namespace penstock::hdf5
