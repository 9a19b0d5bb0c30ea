#include "plan/slot_layout.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace penstock::plan {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
using Part = SlotLayout::Part;

BatchContents csr() {
  BatchContents out;
  out.x.n_cols = 1000;
  return out;
}

BatchContents dense() {
  BatchContents out = csr();
  out.x.dense = true;
  return out;
}

BatchContents laden(BatchContents out) {
  out.columns.assign(SlotLayout::kMaxColumns, ArrayType::boolean);
  out.columns[1] = ArrayType::i64;
  out.totals = true;
  out.obsm.assign(SlotLayout::kMaxObsm, {ArrayType::f32, 50});
  out.obsm[2] = {ArrayType::boolean, 3};
  out.obsm[3] = {ArrayType::f64, 0};
  return out;
}

std::vector<Part> parts_of(const SlotLayout& layout) {
  std::vector<Part> out;
  for (const auto& array : layout.arrays()) out.push_back(array.part);
  return out;
}

TEST(SlotLayout, HoldsTheArraysThatABatchHas) {
  EXPECT_EQ(parts_of(SlotLayout(csr())),
            (std::vector{Part::index, Part::indptr, Part::indices, Part::values}));
  BatchContents all = dense();
  all.columns = {ArrayType::i64, ArrayType::f32};
  all.totals = true;
  all.obsm = {{ArrayType::f32, 50}};
  EXPECT_EQ(parts_of(SlotLayout(all)),
            (std::vector{Part::index, Part::column, Part::column, Part::total, Part::obsm, Part::dense}));
}

TEST(SlotLayout, EveryArrayHasItsTypeAndLength) {
  BatchContents contents = csr();
  contents.x.values = NumericType::bf16;
  contents.x.indices = NumericType::i64;
  contents.columns = {ArrayType::boolean};
  contents.obsm = {{ArrayType::f16, 5}};
  const SlotLayout layout(contents);
  std::vector<std::pair<ArrayType, std::uint64_t>> got;
  for (const auto& array : layout.arrays()) got.emplace_back(array.type, array.size(10, 77));
  const std::vector<std::pair<ArrayType, std::uint64_t>> wanted = {
      {ArrayType::i64, 10}, {ArrayType::boolean, 10}, {ArrayType::f16, 50},
      {ArrayType::i64, 11}, {ArrayType::i64, 77},     {ArrayType::bf16, 77}};
  EXPECT_EQ(got, wanted);
}

TEST(SlotLayout, SizesOfTypes) {
  for (int i = 0; i <= static_cast<int>(NumericType::f64); ++i) {
    const auto type = static_cast<NumericType>(i);
    EXPECT_EQ(item_bytes(array_type(type)), numeric_size(type)) << numeric_name(type);
  }
  EXPECT_EQ(array_type(NumericType::bf16), ArrayType::bf16);
  EXPECT_EQ(item_bytes(ArrayType::boolean), 1u);
}

// Placed, the arrays are aligned, do not overlap, and end where bytes() says.
TEST(SlotLayout, ArraysLieApartAndFillTheirSlot) {
  for (const BatchContents& contents : {csr(), dense(), laden(csr()), laden(dense())}) {
    const SlotLayout layout(contents);
    for (const std::uint64_t rows : {1, 7, 64, 1000}) {
      for (const std::uint64_t entries : {0, 1, 63, 12'345}) {
        const ByteCount bytes = layout.bytes(rows, entries);
        std::vector<std::byte> memory(bytes + SlotLayout::kAlign);
        const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
        std::byte* const slot =
            memory.data() + (SlotLayout::kAlign - address % SlotLayout::kAlign) % SlotLayout::kAlign;
        std::byte* end = slot;
        std::size_t n = 0;
        layout.place(slot, rows, entries, [&](const SlotLayout::Array& array, const ArrayView& view) {
          auto* const data = static_cast<std::byte*>(view.data);
          EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % SlotLayout::kAlign, 0u);
          EXPECT_GE(data, end);
          EXPECT_LT(data - end, std::ptrdiff_t{SlotLayout::kAlign});
          EXPECT_EQ(view.type, array.type);
          EXPECT_EQ(view.size, array.size(rows, entries));
          end = data + array.bytes(rows, entries);
          ++n;
        });
        EXPECT_EQ(n, layout.arrays().size());
        EXPECT_LE(end, slot + bytes);
        EXPECT_GT(end + SlotLayout::kAlign, slot + bytes);
      }
    }
  }
}

TEST(SlotLayout, WhatIsPlannedIsEnoughAndHardlyMore) {
  for (const BatchContents& contents : {csr(), dense(), laden(csr()), laden(dense())}) {
    const SlotLayout layout(contents);
    for (std::uint64_t rows = 1; rows < 300; ++rows) {
      for (const std::uint64_t entries : {std::uint64_t{0}, rows, 999 * rows}) {
        EXPECT_GE(layout.planned_bytes(rows, entries), layout.bytes(rows, entries));
        EXPECT_LE(layout.planned_bytes(rows, entries), layout.bytes(rows, entries) + 4096);
      }
    }
  }
}

TEST(SlotLayout, NumbersThatNoSlotHasComeOutAsNever) {
  for (const BatchContents& contents : {csr(), dense(), laden(csr()), laden(dense())}) {
    const SlotLayout layout(contents);
    for (const auto& [rows, entries] :
         {std::pair{kMost, kMost}, std::pair{kMost, std::uint64_t{0}}, std::pair{kMost / 8, kMost / 4}}) {
      EXPECT_EQ(layout.bytes(rows, entries), SlotLayout::kNever);
      EXPECT_EQ(layout.planned_bytes(rows, entries), SlotLayout::kNever);
    }
  }
  EXPECT_EQ(SlotLayout(csr()).bytes(1, kMost), SlotLayout::kNever) << "entries alone";
  BatchContents widest = dense();
  widest.x.n_cols = ColIndex{1} << 32;
  widest.x.values = NumericType::f64;
  // 2^31 rows of 2^32 columns of 8 bytes are 2^66 bytes: two too many.
  EXPECT_EQ(SlotLayout(widest).bytes(std::uint64_t{1} << 31, 0), SlotLayout::kNever);
  EXPECT_EQ(dense_bytes(std::uint64_t{1} << 31, widest.x), SlotLayout::kNever);
}

TEST(SlotLayout, ADenseFormIsTheDenseArray) {
  EXPECT_EQ(dense_bytes(10, csr().x), 10u * 1000 * 4);
  EXPECT_EQ(dense_bytes(0, csr().x), 0u);
}

}  // namespace
}  // namespace penstock::plan
