#include "source/mapped_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "source/numbers.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;

constexpr NumericType kIds[] = {NumericType::i8,  NumericType::i16, NumericType::i32, NumericType::i64,
                                NumericType::u16, NumericType::u32, NumericType::u64};

std::vector<std::byte> store_ids(NumericType type, const std::vector<std::int64_t>& ids) {
  std::vector<std::byte> out(ids.size() * numeric_size(type));
  with_integer(type, [&]<class T>() {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const T id = static_cast<T>(ids[i]);
      std::memcpy(out.data() + i * sizeof(T), &id, sizeof(T));
    }
  });
  return out;
}

// to[c] of a map that keeps about a third of n columns, in any order.
std::vector<std::uint32_t> random_map(std::size_t n, std::mt19937& random, std::uint32_t* n_cols) {
  std::vector<std::uint32_t> to(n, ColumnMap::kDropped);
  std::vector<std::size_t> order(n);
  for (std::size_t i = 0; i < n; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random);
  *n_cols = static_cast<std::uint32_t>(n / 3);
  for (std::uint32_t i = 0; i < *n_cols; ++i) to[order[i]] = i;
  return to;
}

TEST(ColumnMap, KeepsWhatThePlainLoopKeeps) {
  const auto budget = MemoryBudget::create(100'000'000);
  std::mt19937 random(1);
  for (const std::size_t n_source : {std::size_t{90}, std::size_t{250'000}}) {
    std::uint32_t n_cols = 0;
    const auto to = random_map(n_source, random, &n_cols);
    const auto map = *ColumnMap::create(to, n_cols, *budget);
    EXPECT_EQ(map->id_type(), n_source == 90 ? NumericType::u16 : NumericType::u32);
    for (std::size_t c = 0; c < n_source; c += 1 + n_source / 90) EXPECT_EQ((*map)[c], to[c]);
    const std::size_t id_bytes = numeric_size(map->id_type());
    for (const NumericType type : kIds) {
      const std::int64_t most = std::min<std::int64_t>(static_cast<std::int64_t>(n_source) - 1,
                                                       numeric_size(type) == 1   ? 127
                                                       : numeric_size(type) == 2 ? 32767
                                                                                 : 1 << 30);
      for (const std::size_t value_bytes : {1, 2, 4, 8}) {
        const std::size_t n = random() % 300;
        std::vector<std::int64_t> ids(n);
        for (auto& id : ids) id = static_cast<std::int64_t>(random()) % (most + 1);
        std::vector<std::byte> values(n * value_bytes), want_ids, want_values;
        for (auto& b : values) b = static_cast<std::byte>(random());
        for (std::size_t i = 0; i < n; ++i) {
          const std::uint32_t column = to[static_cast<std::size_t>(ids[i])];
          if (column == ColumnMap::kDropped) continue;
          const auto* bytes = reinterpret_cast<const std::byte*>(&column);  // little-endian
          want_ids.insert(want_ids.end(), bytes, bytes + id_bytes);
          want_values.insert(want_values.end(), values.begin() + static_cast<std::ptrdiff_t>(i * value_bytes),
                             values.begin() + static_cast<std::ptrdiff_t>((i + 1) * value_bytes));
        }
        std::vector<std::byte> got_ids(n * id_bytes, std::byte{0xa5}), got_values(n * value_bytes);
        std::size_t bad = n;
        const auto stored = store_ids(type, ids);
        const std::size_t kept = map->keep(stored.data(), type, values.data(), value_bytes, n, got_ids.data(),
                                           got_values.data(), &bad);
        EXPECT_EQ(bad, n);
        ASSERT_EQ(kept * id_bytes, want_ids.size());
        got_ids.resize(want_ids.size());
        got_values.resize(want_values.size());
        EXPECT_EQ(got_ids, want_ids);
        EXPECT_EQ(got_values, want_values);
      }
    }
  }
  EXPECT_EQ(budget->usage().used, 0u);
}

TEST(ColumnMap, NamesTheFirstIdOutside) {
  const auto budget = MemoryBudget::create(1'000'000);
  const std::vector<std::uint32_t> to{0, 1, ColumnMap::kDropped};
  const auto map = *ColumnMap::create(to, 2, *budget);
  for (const std::int64_t outside : {std::int64_t{3}, std::int64_t{-1}, std::int64_t{1} << 40}) {
    const auto ids = store_ids(NumericType::i64, {0, 2, outside, 1, outside});
    const std::vector<std::byte> values(5);
    std::vector<std::byte> out_ids(10), out_values(5);
    std::size_t bad = 5;
    EXPECT_EQ(
        map->keep(ids.data(), NumericType::i64, values.data(), 1, 5, out_ids.data(), out_values.data(), &bad),
        2u);
    EXPECT_EQ(bad, 2u);
  }
}

TEST(ColumnMap, IsRefusedWithoutRoom) {
  const auto budget = MemoryBudget::create(100);
  EXPECT_EQ(ColumnMap::create(std::vector<std::uint32_t>(1000), 10, *budget).status().code(),
            StatusCode::budget);
}

// Rows in memory, handed out as one tile with gaps between the rows.
class RowsSource final : public RowSource {
 public:
  RowsSource(std::vector<std::vector<std::int64_t>> ids, std::uint64_t n_cols) : ids_(std::move(ids)) {
    traits_.n_rows = ids_.size();
    traits_.n_cols = n_cols;
    traits_.value_type = NumericType::f32;
    traits_.index_type = NumericType::i32;
    for (const auto& row : ids_) traits_.lengths.add(row.size());
  }
  static float value(std::size_t row, std::size_t i) { return static_cast<float>(row % 7 + i % 5 + 1); }

  const SourceTraits& traits() const override { return traits_; }
  const std::string& label() const override { return label_; }
  RowIndex cut(RowIndex first, RowIndex target) const override {
    return std::min(first + target, traits_.n_rows);
  }
  ReadCost cost(std::span<const RowRange>) const override { return {}; }
  std::uint64_t most_entries(RowRange rows) const override { return rows.size() * traits_.lengths.longest; }
  Status requests(std::span<const RowRange>, Heads, RequestList&) const override { return {}; }
  Status decode(std::span<const RowRange> wanted, const Fetched&, Scratch& scratch,
                RowSink& sink) const override {
    EXPECT_GE(scratch.bytes.size(), scratch_bytes(0));
    for (const RowRange& range : wanted) {
      std::vector<std::int64_t> all;
      std::vector<float> values;
      std::vector<std::uint64_t> begins, ends;
      for (RowIndex row = range.first; row < range.last; ++row) {
        all.push_back(-1);  // a gap
        values.push_back(-1);
        begins.push_back(all.size());
        for (std::size_t i = 0; i < ids_[row].size(); ++i) {
          all.push_back(ids_[row][i]);
          values.push_back(value(row, i));
        }
        ends.push_back(all.size());
      }
      const auto stored = store_ids(NumericType::i32, all);
      CsrTile tile;
      tile.rows = range;
      tile.begins = begins.data();
      tile.ends = ends.data();
      tile.indices = stored.data();
      tile.values = reinterpret_cast<const std::byte*>(values.data());
      tile.first_element = 1000;
      PENSTOCK_RETURN_IF_ERROR(sink.csr(tile));
    }
    return {};
  }
  ByteCount scratch_bytes(RowIndex) const override { return 128; }
  ByteCount resident_bytes() const override { return 0; }
  Result<std::shared_ptr<const RowSource>> resident(MemoryBudget&) const override {
    return std::shared_ptr<const RowSource>(std::make_shared<RowsSource>(ids_, traits_.n_cols));
  }

 private:
  const std::vector<std::vector<std::int64_t>> ids_;
  const std::string label_ = "rows";
  SourceTraits traits_;
};

// What came, by row.
class Rows final : public RowSink {
 public:
  struct Row {
    std::vector<std::pair<std::uint32_t, float>> entries;
    double total = 0;
  };
  explicit Rows(bool totals) : totals_(totals) {}
  Status csr(const CsrTile& tile) override {
    EXPECT_EQ(tile.totals != nullptr, totals_);
    for (std::size_t i = 0; i < tile.rows.size(); ++i) {
      EXPECT_EQ(tile.rows.first + i, next++);
      Row row;
      if (totals_) row.total = tile.totals[i];
      for (std::uint64_t k = tile.begins[i]; k < tile.ends[i]; ++k) {
        const std::uint32_t id = tile.index_type == NumericType::u16 ? load<std::uint16_t>(tile.indices, k)
                                                                     : load<std::uint32_t>(tile.indices, k);
        row.entries.emplace_back(id, load<float>(tile.values, k));
      }
      rows.push_back(std::move(row));
    }
    return {};
  }
  RowIndex next = 0;
  std::vector<Row> rows;

 private:
  const bool totals_;
};

TEST(MappedSource, HandsOutEachRowWithItsWantedColumns) {
  const auto budget = MemoryBudget::create(10'000'000);
  std::mt19937 random(2);
  std::vector<std::vector<std::int64_t>> ids(700);
  for (std::size_t row = 0; row < ids.size(); ++row) {
    ids[row].resize(row == 300 ? 9000 : random() % 60);  // one longer than a tile
    for (auto& id : ids[row]) id = static_cast<std::int64_t>(random() % 500);
  }
  std::uint32_t n_cols = 0;
  const auto to = random_map(500, random, &n_cols);
  const auto inner = std::make_shared<RowsSource>(ids, 500);
  const MappedSource source(inner, *ColumnMap::create(to, n_cols, *budget));
  EXPECT_EQ(source.traits().n_cols, n_cols);
  EXPECT_TRUE(source.traits().lengths_are_bounds);
  std::vector<std::byte> bytes(source.scratch_bytes(700));
  CodecContext codec;
  for (const bool totals : {false, true}) {
    Scratch scratch{bytes, &codec};
    scratch.totals = totals;
    Rows sink(totals);
    const RowRange all{0, 700};
    ASSERT_TRUE(source.decode({&all, 1}, Fetched({}, nullptr), scratch, sink).ok());
    EXPECT_EQ(scratch.bytes.size(), bytes.size());
    ASSERT_EQ(sink.rows.size(), 700u);
    std::uint64_t left_out = 0;
    for (std::size_t row = 0; row < ids.size(); ++row) {
      std::vector<std::pair<std::uint32_t, float>> want;
      double total = 0;
      for (std::size_t i = 0; i < ids[row].size(); ++i) {
        const std::uint32_t column = to[static_cast<std::size_t>(ids[row][i])];
        if (column != ColumnMap::kDropped) want.emplace_back(column, RowsSource::value(row, i));
        left_out += column == ColumnMap::kDropped ? 1 : 0;
        total += static_cast<double>(RowsSource::value(row, i));
      }
      EXPECT_EQ(sink.rows[row].entries, want) << row;
      if (totals) EXPECT_EQ(sink.rows[row].total, total) << row;
    }
    EXPECT_EQ(scratch.entries_left_out, left_out);
  }
  Scratch small{std::span(bytes).first(64), &codec};
  Rows sink(false);
  const RowRange all{0, 700};
  EXPECT_EQ(source.decode({&all, 1}, Fetched({}, nullptr), small, sink).code(), StatusCode::internal);
}

TEST(MappedSource, SaysWhichElementIsOutside) {
  const auto budget = MemoryBudget::create(10'000'000);
  const auto inner = std::make_shared<RowsSource>(std::vector<std::vector<std::int64_t>>{{0, 1}, {1, 5}}, 5);
  const std::vector<std::uint32_t> to{0, 1, 2, 3, 4};
  const MappedSource source(inner, *ColumnMap::create(to, 5, *budget));
  std::vector<std::byte> bytes(source.scratch_bytes(2));
  CodecContext codec;
  Scratch scratch{bytes, &codec};
  Rows sink(false);
  const RowRange all{0, 2};
  const Status status = source.decode({&all, 1}, Fetched({}, nullptr), scratch, sink);
  EXPECT_EQ(status.code(), StatusCode::corrupt);
  EXPECT_THAT(status.message(), HasSubstr("rows: row 1, element 1005: column index outside [0, 5)"));
}

TEST(Numbers, SumsAreThoseOfTheValues) {
  std::mt19937 random(3);
  for (const NumericType type : kIds) {
    for (std::size_t n = 0; n < 40; ++n) {
      std::vector<std::int64_t> values(n);
      double want = 0;
      for (auto& v : values) want += static_cast<double>(v = static_cast<std::int64_t>(random() % 100));
      EXPECT_EQ(sum(type, store_ids(type, values).data(), n), want);
    }
  }
  const float floats[] = {0.5F, -2.25F, 4};
  EXPECT_EQ(sum(NumericType::f32, reinterpret_cast<const std::byte*>(floats), 3), 2.25);
}

}  // namespace
}  // namespace penstock
