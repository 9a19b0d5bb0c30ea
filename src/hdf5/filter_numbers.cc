// One table of filter numbers. Those up to 255 are HDF5's own, the rest are given out by the HDF Group to
// whoever publishes a plugin. Some filters are listed only to be called by name in the refusal: "filter 4
// (szip)" tells a user more than its number, and a number that is not in the table is shown with the name
// that the file stores.
#include "hdf5/filter_numbers.h"

#include <fmt/format.h>

#include <optional>

namespace penstock::hdf5 {
namespace {

struct Registered {
  std::uint16_t number;
  std::string_view name;
  std::optional<FilterId> id;  // nothing: it is not read
};
constexpr Registered kRegistered[] = {
    {1, "deflate", FilterId::deflate},
    {2, "shuffle", FilterId::shuffle},
    {3, "fletcher32", FilterId::fletcher32},
    {4, "szip", {}},
    {5, "nbit", {}},
    {6, "scale-offset", {}},
    {307, "bzip2", {}},
    {32000, "lzf", FilterId::lzf},
    {32001, "blosc", FilterId::blosc},
    {32004, "lz4", FilterId::lz4},
    {32008, "bitshuffle", FilterId::bitshuffle},
    {32013, "zfp", {}},
    {32015, "zstd", FilterId::zstd},
    {32017, "sz", {}},
    {32026, "blosc2", {}},
};

const Registered* find(std::uint16_t number) {
  for (const Registered& filter : kRegistered) {
    if (filter.number == number) return &filter;
  }
  return nullptr;
}

// Says what to do, for filters that come with HDF5 as well as for those that are plugins.
std::string not_read(const StoredFilter& filter) {
  const std::string_view known = filter_name(filter.number);
  std::string message = fmt::format("filter {}", filter.number);
  if (!known.empty()) message += fmt::format(" ({})", known);
  if (!filter.name.empty() && filter.name != known) message += fmt::format(" \"{}\"", filter.name);
  message +=
      " is not supported; rewrite the dataset with gzip, lzf or zstd compression: h5repack -f GZIP=4 FILE "
      "NEW_FILE, or, for a filter that h5repack does not have, read and write it in Python with hdf5plugin "
      "imported";
  return message;
}

}  // namespace

std::string_view filter_name(std::uint16_t number) {
  const Registered* found = find(number);
  return found == nullptr ? std::string_view() : found->name;
}

// An unread filter refuses the whole dataset at open, even where the masks of its chunks skip it. The message
// then comes before a training run has begun.
Result<std::vector<FilterSpec>> filters_of(std::vector<StoredFilter> stored) {
  std::vector<FilterSpec> out;
  out.reserve(stored.size());
  for (StoredFilter& filter : stored) {
    const Registered* found = find(filter.number);
    if (found == nullptr || !found->id) return Status::unsupported(not_read(filter));
    out.push_back({*found->id, std::move(filter.params)});
  }
  return out;
}

}  // namespace penstock::hdf5
