// Drives a RowSource as the loader does, for tests: requests, fetches, decodes with exactly the scratch asked
// for, and keeps the rows.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "source/numbers.h"
#include "source/row_source.h"

namespace penstock::testing {

struct Row {
  std::vector<std::int64_t> indices;
  std::vector<std::byte> values;
  friend bool operator==(const Row&, const Row&) = default;
};

class RowKeeper final : public RowSink {
 public:
  Status csr(const CsrTile& tile) override {
    ++tiles;
    EXPECT_GT(tile.rows.size(), 0u);
    const std::size_t item = numeric_size(tile.value_type), id = numeric_size(tile.index_type);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tile.values) % item, 0u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tile.indices) % id, 0u);
    for (std::size_t r = 0; r < tile.rows.size(); ++r) {
      const std::uint64_t begin = tile.begins[r], end = tile.ends[r];
      Row row;
      row.indices.resize(end - begin);
      to_int64(tile.index_type, tile.indices + begin * id, row.indices);
      row.values.assign(tile.values + begin * item, tile.values + end * item);
      EXPECT_TRUE(rows.empty() || rows.back().first < tile.rows.first + r) << "rows out of order or repeated";
      rows.emplace_back(tile.rows.first + r, std::move(row));
    }
    return {};
  }

  std::vector<std::pair<RowIndex, Row>> rows;
  std::size_t tiles = 0;
};

struct ReadResult {
  Status status;
  std::vector<std::pair<RowIndex, Row>> rows;
  ByteCount fetched = 0, decoded = 0;
  std::size_t tiles = 0;
  bool head_too_short = false;
  std::uint64_t zeros = 0;
};

// `scratch_bytes`: 0 gives what the source asks for. `sink`: gets the rows instead.
inline ReadResult read_rows(const RowSource& source, const std::vector<RowRange>& wanted, Heads heads,
                            ByteCount scratch_bytes = 0, RowSink* sink = nullptr) {
  ReadResult result;
  RequestList list;
  result.status = source.requests(wanted, heads, list);
  if (!result.status.ok()) return result;
  list.coalesce(kCoalesceGap, kCoalesceMax);
  // Exactly as much as asked for, so that a sanitizer sees a byte too far.
  result.fetched = list.total_bytes();
  const auto fetched = std::make_unique<std::byte[]>(result.fetched);
  ByteCount at = 0;
  for (const ReadRequest& request : list.requests()) {
    result.status = request.file->read_at(request.offset, {fetched.get() + at, request.bytes});
    if (!result.status.ok()) return result;
    at += request.bytes;
  }
  const ReadCost cost = source.cost(wanted);
  if (heads == Heads::estimated) {
    EXPECT_EQ(cost.stored, result.fetched);
    EXPECT_EQ(cost.requests, list.requests().size());
  }
  RowIndex total = 0;
  for (const RowRange& range : wanted) total += range.size();
  const ByteCount bytes = scratch_bytes == 0 ? source.scratch_bytes(total) : scratch_bytes;
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  const std::unique_ptr<void, Free> scratch(
      std::aligned_alloc(64, std::max<std::size_t>((bytes + 63) / 64 * 64, 64)));
  std::memset(scratch.get(), 0xA5, bytes);
  CodecContext codec;
  Scratch room{{static_cast<std::byte*>(scratch.get()), bytes}, &codec};
  RowKeeper keeper;
  result.status =
      source.decode(wanted, Fetched(list.requests(), fetched.get()), room, sink != nullptr ? *sink : keeper);
  result.decoded = codec.take_bytes();
  result.rows = std::move(keeper.rows);
  result.tiles = keeper.tiles;
  result.head_too_short = room.head_too_short;
  result.zeros = room.zeros;
  return result;
}

// As a loader reads: estimated heads, and from whole chunks the rows that these were too short for.
inline ReadResult read_rows(const RowSource& source, const std::vector<RowRange>& wanted) {
  ReadResult result = read_rows(source, wanted, Heads::estimated);
  if (!result.head_too_short) return result;
  std::vector<RowRange> rest;
  std::size_t skip = result.rows.size();
  for (RowRange range : wanted) {
    const std::size_t n = std::min<std::size_t>(skip, range.size());
    skip -= n;
    range.first += n;
    if (range.first < range.last) rest.push_back(range);
  }
  ReadResult more = read_rows(source, rest, Heads::whole);
  EXPECT_FALSE(more.head_too_short);
  std::move(more.rows.begin(), more.rows.end(), std::back_inserter(result.rows));
  result.status = more.status;
  result.tiles += more.tiles;
  return result;
}

}  // namespace penstock::testing
