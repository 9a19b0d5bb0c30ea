// Datasets that h5py does not write: damaged, ancient, or of the kinds that are refused.
#include <gtest/gtest.h>

#include <cstring>

#include "hdf5/testing/builder.h"

namespace penstock::hdf5 {
namespace {

using Chunk = FileBuilder::Chunk;

template <class R>
void expect_error(const R& result, StatusCode code, std::initializer_list<std::string_view> words) {
  const Status status = result.status();
  EXPECT_EQ(status.code(), code) << status.message();
  for (const auto word : words) {
    EXPECT_NE(status.message().find(word), std::string::npos)
        << "'" << word << "' is not in: " << status.message();
  }
}

std::vector<std::int32_t> ints(const Result<std::shared_ptr<const store::Node>>& node) {
  EXPECT_TRUE(node.ok()) << node.status().message();
  if (!node.ok()) return {};
  const auto bytes = (*node)->as_array()->read_all(1 << 20);
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  std::vector<std::int32_t> values(bytes.ok() ? bytes->size() / 4 : 0);
  if (!values.empty()) std::memcpy(values.data(), bytes->data(), values.size() * 4);
  return values;
}

Bytes four(std::uint32_t first) { return Bytes().u32(first).u32(first + 1).u32(first + 2).u32(first + 3); }
const BuiltMessage kInt = FileBuilder::int_type();
BuiltMessage layout(Bytes b) { return FileBuilder::message(MessageType::layout, std::move(b)); }

TEST(DatasetTest, OldLayoutsAndFillValues) {
  {
    FileBuilder f;
    const Address data = f.append(four(10));
    EXPECT_EQ(ints(f.open_dataset({FileBuilder::dataspace({4}), kInt,
                                   layout(Bytes().u8(1).u8(1).u8(1).zeros(5).u64(data).u32(4))})),
              (std::vector<std::int32_t>{10, 11, 12, 13}));
  }
  {
    FileBuilder f;
    EXPECT_EQ(ints(f.open_dataset({FileBuilder::dataspace({4}), kInt,
                                   layout(Bytes().u8(2).u8(1).u8(0).zeros(5).u32(4).u32(16).add(four(3)))})),
              (std::vector<std::int32_t>{3, 4, 5, 6}));
  }
  {
    FileBuilder f;
    const Address a = f.append(four(1));
    const Address tree = f.chunk_node(0, {{.origin = {4}, .stored = 16, .address = a}}, 1);
    EXPECT_EQ(
        ints(f.open_dataset({FileBuilder::dataspace({6}), kInt,
                             layout(Bytes().u8(1).u8(2).u8(2).zeros(5).u64(tree).u32(4).u32(4)),
                             FileBuilder::message(MessageType::old_fill_value, Bytes().u32(4).u32(9))})),
        (std::vector<std::int32_t>{9, 9, 9, 9, 1, 2}));
  }
  for (const Bytes& fill :
       {Bytes().u8(1).u8(2).u8(0).u8(1).u32(4).u32(9), Bytes().u8(2).u8(2).u8(0).u8(1).u32(4).u32(9),
        Bytes().u8(3).u8(0x29).u32(4).u32(9)}) {
    FileBuilder f;
    EXPECT_EQ(
        ints(f.open_dataset({FileBuilder::dataspace({2}), kInt, FileBuilder::contiguous(kUndefined, 0),
                             FileBuilder::message(MessageType::fill_value, fill),
                             FileBuilder::message(MessageType::old_fill_value, Bytes().u32(4).u32(7))})),
        (std::vector<std::int32_t>{9, 9}));
  }
  FileBuilder f;
  expect_error(f.open_dataset({FileBuilder::dataspace({2}), kInt, FileBuilder::contiguous(kUndefined, 0),
                               FileBuilder::message(MessageType::fill_value,
                                                    Bytes().u8(2).u8(2).u8(0).u8(1).u32(2).u16(9))}),
               StatusCode::corrupt, {"fill value", "expected 4 bytes, found 2"});
}

TEST(DatasetTest, DamagedIndexesAreNamedWithTheirAddress) {
  const auto version_4 = [](unsigned index, Bytes info) {
    return layout(Bytes().u8(4).u8(2).u8(0).u8(2).u8(1).u8(7).u8(4).u8(index).add(info).u64(0x700000));
  };
  const std::vector<std::pair<BuiltMessage, std::string>> cases = {
      {version_4(1, Bytes()), "chunk 0 at byte 0x7"},
      {version_4(2, Bytes()), "chunk 0 at byte 0x7"},
      {version_4(3, Bytes().u8(10)), "fixed array of chunks at 0x7"},
      {version_4(4, Bytes().u8(32).u8(4).u8(4).u8(16).u8(10)), "extensible array of chunks at 0x7"},
      {version_4(5, Bytes().u32(2048).u8(100).u8(40)), "version 2 B-tree header at 0x7"},
      {version_4(6, Bytes()), "unknown chunk index type 6"},
  };
  for (const auto& [message, words] : cases) {
    FileBuilder f;
    expect_error(f.open_dataset({FileBuilder::dataspace({4}), kInt, message}), StatusCode::corrupt,
                 {"f.h5: /x: ", words});
  }
  FileBuilder v;
  expect_error(v.open_dataset({FileBuilder::dataspace({4}), kInt, layout(Bytes().u8(4).u8(3).u64(5).u32(1))}),
               StatusCode::unsupported, {"virtual dataset", "new_file[NAME] = file[NAME][:]"});
  FileBuilder f;
  expect_error(f.open_dataset({FileBuilder::dataspace({4}), kInt, FileBuilder::contiguous(kUndefined, 0),
                               FileBuilder::message(MessageType::external_files, Bytes().zeros(16))}),
               StatusCode::unsupported, {"external file list", "h5repack"});
}

TEST(DatasetTest, GeometryIsCheckedBeforeAnythingIsAllocated) {
  const auto with = [](std::vector<std::uint64_t> dims, BuiltMessage l) {
    FileBuilder f;
    return f.open_dataset({FileBuilder::dataspace(dims), kInt, std::move(l)});
  };
  const std::uint64_t big = std::uint64_t{1} << 40;
  expect_error(with(std::vector<std::uint64_t>(33, 1), FileBuilder::contiguous(kUndefined, 0)),
               StatusCode::corrupt, {"rank 33"});
  expect_error(with({big, big}, FileBuilder::contiguous(kUndefined, 0)), StatusCode::corrupt,
               {"overflows 64 bits"});
  expect_error(with({big, 0, big}, FileBuilder::contiguous(kUndefined, 0)), StatusCode::corrupt,
               {"overflows 64 bits"});
  expect_error(with({std::uint64_t{1} << 62}, FileBuilder::contiguous(kUndefined, 0)), StatusCode::corrupt,
               {"overflow 64 bits"});
  expect_error(with({100}, FileBuilder::contiguous(96, 399)), StatusCode::corrupt,
               {"expected 400 bytes, the layout has 399"});
  expect_error(with({1000000}, FileBuilder::contiguous(96, 4000000)), StatusCode::corrupt,
               {"past the end of the file"});
  expect_error(with({100}, FileBuilder::chunked(96, {0})), StatusCode::corrupt, {"chunk dimension 0 is 0"});
  expect_error(with({100}, FileBuilder::chunked(96, {0xffffffff})), StatusCode::corrupt, {"4 GiB"});
  expect_error(with({100}, FileBuilder::chunked(96, {10, 10})), StatusCode::corrupt,
               {"chunks of rank 2 in an array of rank 1"});
  expect_error(with({100}, FileBuilder::chunked(96, {10}, 8)), StatusCode::corrupt,
               {"elements of 8 bytes, the datatype has 4"});
  expect_error(with({}, FileBuilder::chunked(96, {})), StatusCode::corrupt, {"chunk rank 0"});
  expect_error(with({big}, FileBuilder::chunked(96, {1})), StatusCode::budget,
               {"a table of 1,099,511,627,776 chunks", "index needs"});
  // nothing was ever written: no table, whatever the extent
  const auto empty = with({big}, FileBuilder::chunked(kUndefined, {1}));
  ASSERT_TRUE(empty.ok()) << empty.status().message();
  EXPECT_EQ((*empty)->as_array()->index_bytes(), 0u);
  EXPECT_FALSE((*empty)->as_array()->chunk(big - 1).present);
  expect_error((*empty)->as_array()->read_all(1 << 20), StatusCode::budget, {"f.h5: /x"});
  FileBuilder f;
  expect_error(f.open_dataset({FileBuilder::dataspace({4}), FileBuilder::dataspace({5}), kInt,
                               FileBuilder::contiguous(kUndefined, 0)}),
               StatusCode::corrupt, {"two"});
  FileBuilder g;
  expect_error(g.open_dataset({kInt, FileBuilder::contiguous(kUndefined, 0)}), StatusCode::corrupt,
               {"no dataspace"});
}

TEST(ChunkIndexTest, MissingEdgeAndShrunkChunks) {
  FileBuilder f;
  const Address a = f.append(four(0)), c = f.append(four(8)), outside = f.append(four(100));
  const Address tree = f.chunk_node(0,
                                    {{.origin = {0}, .stored = 16, .address = a},
                                     {.origin = {8}, .stored = 16, .address = c},
                                     {.origin = {400}, .stored = 16, .address = outside}},
                                    1);
  auto x = f.open_dataset({FileBuilder::dataspace({10}), kInt, FileBuilder::chunked(tree, {4})});
  EXPECT_EQ(ints(x), (std::vector<std::int32_t>{0, 1, 2, 3, 0, 0, 0, 0, 8, 9}));
  EXPECT_EQ((*x)->as_array()->stored_bytes(), 32u);
  EXPECT_EQ((*x)->as_array()->n_chunks(), 3u);
}

TEST(ChunkIndexTest, DamagedNodes) {
  // Two leaves of two chunks under one root; `damage` gets the addresses root, left, right.
  const auto with = [](auto&& damage) {
    FileBuilder f;
    const Address d = f.append(four(0).add(four(4)).add(four(8)).add(four(12)));
    const Address left = f.chunk_node(
        0, {{.origin = {0}, .stored = 16, .address = d}, {.origin = {4}, .stored = 16, .address = d + 16}},
        1);
    const Address right = f.chunk_node(
        0,
        {{.origin = {8}, .stored = 16, .address = d + 32}, {.origin = {12}, .stored = 16, .address = d + 48}},
        1);
    const Address root = f.chunk_node(
        1, {{.origin = {0}, .stored = 16, .address = left}, {.origin = {8}, .stored = 16, .address = right}},
        1);
    damage(f, root, left, right);
    return f.open_dataset({FileBuilder::dataspace({16}), kInt, FileBuilder::chunked(root, {4})});
  };
  constexpr std::size_t kKey = 24, kOrigin = kKey + 8, kChild = kKey + 24, kEntry = 32;
  EXPECT_EQ(ints(with([](FileBuilder&, Address, Address, Address) {})).size(), 16u);
  expect_error(with([](FileBuilder& f, Address root, Address, Address) {
                 f.overwrite(root + kChild, Bytes().u64(root));
               }),
               StatusCode::corrupt, {"f.h5: /x: chunk B-tree node", "expected level 0, found 1"});
  expect_error(with([](FileBuilder& f, Address root, Address left, Address) {
                 f.overwrite(root + kChild + kEntry, Bytes().u64(left));
               }),
               StatusCode::corrupt, {"out of order"});
  expect_error(
      with([](FileBuilder& f, Address, Address left, Address) { f.overwrite(left + 5, Bytes().u8(3)); }),
      StatusCode::corrupt, {"expected level 0, found 3"});
  expect_error(
      with([](FileBuilder& f, Address root, Address, Address) { f.overwrite(root + 5, Bytes().u8(99)); }),
      StatusCode::corrupt, {"impossible level 99"});
  expect_error(
      with([](FileBuilder& f, Address root, Address, Address) { f.overwrite(root + 4, Bytes().u8(0)); }),
      StatusCode::corrupt, {"expected type 1, found 0"});
  expect_error(
      with([](FileBuilder& f, Address, Address left, Address) { f.overwrite(left + 6, Bytes().u16(65)); }),
      StatusCode::corrupt, {"65 entries, at most 64"});
  expect_error(with([](FileBuilder& f, Address, Address left, Address) {
                 f.overwrite(left + kOrigin, Bytes().u64(8));
               }),
               StatusCode::corrupt, {"out of order"});
  expect_error(with([](FileBuilder& f, Address, Address left, Address) {
                 f.overwrite(left + kOrigin, Bytes().u64(3));
               }),
               StatusCode::corrupt, {"not at a multiple of 4"});
  expect_error(with([](FileBuilder& f, Address, Address left, Address) {
                 f.overwrite(left + kOrigin + 8, Bytes().u64(1));
               }),
               StatusCode::corrupt, {"inside an element"});
  expect_error(with([](FileBuilder& f, Address, Address left, Address) {
                 f.overwrite(left + kOrigin + kEntry, Bytes().u64(12));
               }),
               StatusCode::corrupt, {"out of order"});
  expect_error(
      with([](FileBuilder& f, Address, Address, Address right) { f.overwrite(right, Bytes().text("X")); }),
      StatusCode::corrupt, {"expected signature TREE"});
  expect_error(with([](FileBuilder& f, Address root, Address, Address) {
                 f.overwrite(root + kChild, Bytes().u64(1 << 30));
               }),
               StatusCode::corrupt, {"past the end of the file"});
  expect_error(
      with([](FileBuilder& f, Address, Address left, Address) { f.overwrite(left + kKey, Bytes().u32(0)); }),
      StatusCode::corrupt, {"chunk 0", "0 bytes"});
  expect_error(
      with([](FileBuilder& f, Address, Address left, Address) { f.overwrite(left + kKey, Bytes().u32(15)); }),
      StatusCode::corrupt, {"chunk 0 at byte 0x60", "expected 16 bytes, found 15"});
  expect_error(with([](FileBuilder& f, Address, Address left, Address) {
                 f.overwrite(left + kChild, Bytes().u64(1 << 30));
               }),
               StatusCode::corrupt, {"chunk 0 at byte 0x40000000", "past the end of the file"});
}

TEST(ChunkIndexTest, StoredSizesThatCannotBe) {
  const auto with = [](std::uint32_t stored, std::uint32_t chunk, std::size_t have) {
    FileBuilder f;
    const Address d = f.append(Bytes().zeros(have));
    const Address tree = f.chunk_node(0, {{.origin = {0}, .stored = stored, .address = d}}, 1);
    return f.open_dataset(
        {FileBuilder::dataspace({chunk}), kInt, FileBuilder::deflate(), FileBuilder::chunked(tree, {chunk})});
  };
  EXPECT_TRUE(with(1000, 250, 1000).ok());
  expect_error(with(100, 1 << 24, 100), StatusCode::corrupt,
               {"chunk 0", "100 stored bytes cannot become 67108864"});
  expect_error(with(100000, 4, 100000), StatusCode::corrupt, {"chunk 0", "more than 16 decoded ones"});
  FileBuilder f;
  const Address d = f.append(four(0));
  std::vector<Chunk> chunks;
  for (std::uint64_t i = 0; i < 64; ++i) chunks.push_back({.origin = {i * 4}, .stored = 16, .address = d});
  std::vector<Chunk> level;
  for (std::uint64_t k = 0; k < 8; ++k) {
    for (std::uint64_t i = 0; i < 64; ++i) chunks[i].origin[0] = (k * 64 + i) * 64;
    level.push_back({.origin = {k * 64 * 64}, .stored = 16, .address = f.chunk_node(0, chunks, 1)});
  }
  for (auto& c : level) c.stored = 256;
  const Address root = f.chunk_node(1, level, 1);
  // 512 chunks of 256 bytes that all lie at one place
  expect_error(f.open_dataset({FileBuilder::dataspace({64 * 512}), kInt, FileBuilder::chunked(root, {64})}),
               StatusCode::corrupt, {"expected 256 bytes, found 16"});
}

TEST(ChunkIndexTest, OverlappingChunksAreBounded) {
  FileBuilder f;
  const Address d = f.append(Bytes().zeros(4096));
  std::vector<Chunk> level;
  for (std::uint64_t k = 0; k < 4; ++k) {
    std::vector<Chunk> chunks;
    for (std::uint64_t i = 0; i < 64; ++i)
      chunks.push_back({.origin = {(k * 64 + i) * 1024}, .stored = 4096, .address = d});
    level.push_back({.origin = {k * 64 * 1024}, .stored = 4096, .address = f.chunk_node(0, chunks, 1)});
  }
  const Address root = f.chunk_node(1, level, 1);
  expect_error(
      f.open_dataset({FileBuilder::dataspace({256 * 1024}), kInt, FileBuilder::chunked(root, {1024})}),
      StatusCode::corrupt, {"chunks overlap"});
}

TEST(DatatypeTest, KnownAndUnknown) {
  const auto type_of = [](Bytes type) {
    FileBuilder f;
    return f.open_dataset({FileBuilder::dataspace({1}),
                           FileBuilder::message(MessageType::datatype, std::move(type)),
                           FileBuilder::contiguous(kUndefined, 0)});
  };
  const auto described = [&](Bytes type) {
    const auto node = type_of(std::move(type));
    return node.ok() ? (*node)->as_array()->dtype().description : node.status().message();
  };
  EXPECT_EQ(described(Bytes().u8(0x10).u8(0).u16(0).u32(2).u16(0).u16(16)), "uint16");
  EXPECT_EQ(described(Bytes().u8(0x10).u8(9).u16(0).u32(8).u16(0).u16(64)), "big-endian int64");
  EXPECT_EQ(described(Bytes().u8(0x10).u8(0).u16(0).u32(2).u16(0).u16(12)), "12-bit integer in 2 bytes");
  EXPECT_EQ(
      described(Bytes().u8(0x11).u8(0x20).u16(15).u32(2).u16(0).u16(16).u8(7).u8(8).u8(0).u8(7).u32(127)),
      "bfloat16");
  EXPECT_EQ(
      described(Bytes().u8(0x11).u8(0x20).u16(15).u32(2).u16(0).u16(16).u8(10).u8(5).u8(0).u8(10).u32(15)),
      "float16");
  EXPECT_EQ(
      described(Bytes().u8(0x11).u8(0x61).u16(31).u32(4).u16(0).u16(32).u8(23).u8(8).u8(0).u8(23).u32(127)),
      "VAX float of 4 bytes");
  EXPECT_EQ(described(Bytes().u8(0x12).u8(0).u16(0).u32(4).u16(32)), "HDF5 time");
  EXPECT_EQ(described(Bytes().u8(0x14).u8(0).u16(0).u32(1).u16(0).u16(8)), "HDF5 bitfield");
  EXPECT_EQ(described(Bytes().u8(0x15).u8(0).u16(0).u32(3)), "HDF5 opaque");
  EXPECT_EQ(described(Bytes().u8(0x16).u8(2).u16(0).u32(12)), "compound of 2 members");
  EXPECT_EQ(described(Bytes().u8(0x17).u8(1).u16(0).u32(12)), "HDF5 region reference");
  EXPECT_EQ(described(Bytes().u8(0x1b).u8(0).u16(0).u32(8)), "HDF5 complex");
  EXPECT_EQ(described(Bytes().u8(0x1f).u8(0).u16(0).u32(8)), "HDF5 datatype class 15");
  EXPECT_EQ(described(Bytes()
                          .u8(0x18)
                          .u8(2)
                          .u16(0)
                          .u32(1)
                          .u8(0x10)
                          .u8(8)
                          .u16(0)
                          .u32(1)
                          .u16(0)
                          .u16(8)
                          .text("FALSE")
                          .zeros(3)
                          .text("TRUE")
                          .zeros(4)
                          .u8(0)
                          .u8(1)),
            "bool");
  EXPECT_EQ(described(Bytes()
                          .u8(0x38)
                          .u8(2)
                          .u16(0)
                          .u32(1)
                          .u8(0x30)
                          .u8(0)
                          .u16(0)
                          .u32(1)
                          .u16(0)
                          .u16(8)
                          .text("FALSE")
                          .u8(0)
                          .text("TRUE")
                          .u8(0)
                          .u8(0)
                          .u8(1)),
            "bool");
  EXPECT_EQ(described(Bytes()
                          .u8(0x38)
                          .u8(2)
                          .u16(0)
                          .u32(1)
                          .u8(0x30)
                          .u8(0)
                          .u16(0)
                          .u32(1)
                          .u16(0)
                          .u16(8)
                          .text("FALSE")
                          .u8(0)
                          .text("TRUE")
                          .u8(0)
                          .u8(1)
                          .u8(0)),
            "uint8 (enum of 2)");
  expect_error(type_of(Bytes().u8(0x10).u8(0)), StatusCode::corrupt, {"datatype message"});
  expect_error(type_of(Bytes().u8(0x60).zeros(15)), StatusCode::corrupt,
               {"expected version 1 to 5, found 6"});
  expect_error(type_of(Bytes().u8(0x13).u8(0).u16(0).u32(0)), StatusCode::corrupt, {"0 bytes"});
  expect_error(type_of(Bytes().u8(0x19).u8(1).u16(0).u32(12)), StatusCode::corrupt,
               {"vlen of 12 bytes, expected 16"});
  expect_error(type_of(Bytes().u8(0x18).u8(0).u16(0).u32(2).u8(0x10).u8(8).u16(0).u32(1).u16(0).u16(8)),
               StatusCode::corrupt, {"enum of 2 bytes over 1"});
  const auto opaque = type_of(Bytes().u8(0x15).u8(0).u16(0).u32(12));
  ASSERT_TRUE(opaque.ok());
  expect_error((*opaque)->as_array()->read_all(100), StatusCode::unsupported, {"f.h5: /x", "HDF5 opaque"});
}

// vlen strings: four elements in a heap that the test damages.
TEST(GlobalHeapTest, StringsAndDamage) {
  const auto with = [](auto&& damage, std::uint64_t budget = 16 << 20) {
    FileBuilder f;
    Bytes gcol;
    gcol.text("GCOL").u8(1).zeros(3).u64(4096);
    gcol.u16(1).u16(1).u32(0).u64(5).text("hello").zeros(3);
    gcol.u16(2).u16(1).u32(0).u64(3).text("a\0b").zeros(5);
    gcol.u16(0).u16(0).u32(0).u64(4096 - gcol.size());
    const std::size_t rest = 4096 - gcol.size();
    const Address heap = f.append(gcol.zeros(rest));
    const Address data = f.append(Bytes()
                                      .u32(5)
                                      .u64(heap)
                                      .u32(1)
                                      .u32(3)
                                      .u64(heap)
                                      .u32(2)
                                      .u32(0)
                                      .u64(0)
                                      .u32(0)
                                      .u32(0)
                                      .u64(kUndefined)
                                      .u32(7));
    damage(f, heap, data);
    auto node =
        f.open_dataset({FileBuilder::dataspace({4}),
                        FileBuilder::message(
                            MessageType::datatype,
                            Bytes().u8(0x19).u8(1).u16(1).u32(16).u8(0x10).u8(0).u16(0).u32(1).u16(0).u16(8)),
                        FileBuilder::contiguous(data, 64)},
                       MemoryBudget::create(budget));
    EXPECT_TRUE(node.ok()) << node.status().message();
    return (*node)->as_array()->read_strings(0, 4);
  };
  const auto good = with([](FileBuilder&, Address, Address) {});
  ASSERT_TRUE(good.ok()) << good.status().message();
  EXPECT_EQ(*good, (std::vector<std::string>{"hello", "a", "", ""}));
  expect_error(with([](FileBuilder& f, Address heap, Address) { f.overwrite(heap, Bytes().text("GCOX")); }),
               StatusCode::corrupt, {"f.h5: /x: global heap collection at ", "GCOL"});
  expect_error(with([](FileBuilder& f, Address, Address data) { f.overwrite(data + 12, Bytes().u32(9)); }),
               StatusCode::corrupt, {"has no object 9"});
  expect_error(with([](FileBuilder& f, Address, Address data) { f.overwrite(data, Bytes().u32(6)); }),
               StatusCode::corrupt, {"expected 6 bytes or more, found 5"});
  expect_error(with([](FileBuilder& f, Address, Address data) { f.overwrite(data + 4, Bytes().u64(0)); }),
               StatusCode::corrupt, {"without an address"});
  expect_error(
      with([](FileBuilder& f, Address heap, Address) { f.overwrite(heap + 8, Bytes().u64(1 << 30)); }),
      StatusCode::corrupt, {"do not fit in the file"});
  expect_error(with([](FileBuilder& f, Address heap, Address) { f.overwrite(heap + 24, Bytes().u64(5000)); }),
               StatusCode::corrupt, {"global heap object", "5000 bytes"});
  expect_error(with([](FileBuilder& f, Address heap, Address) { f.overwrite(heap + 40, Bytes().u16(1)); }),
               StatusCode::corrupt, {"index 1 is used twice"});
  expect_error(with([](FileBuilder&, Address, Address) {}, 1000), StatusCode::budget,
               {"f.h5: /x", "index needs"});
}

// Many elements that all name one large string: the result is bounded by the budget, not by the file.
TEST(GlobalHeapTest, AmplificationMeetsTheBudget) {
  FileBuilder f;
  Bytes gcol;
  gcol.text("GCOL").u8(1).zeros(3).u64(16 + 16 + 65536);
  gcol.u16(1).u16(1).u32(0).u64(65536).zeros(65536);
  const Address heap = f.append(gcol);
  Bytes elements;
  for (int i = 0; i < 4096; ++i) elements.u32(65536).u64(heap).u32(1);
  const Address data = f.append(elements);
  const auto budget = MemoryBudget::create(16 << 20);
  auto node = f.open_dataset(
      {FileBuilder::dataspace({4096}),
       FileBuilder::message(MessageType::datatype,
                            Bytes().u8(0x19).u8(1).u16(1).u32(16).u8(0x10).u8(0).u16(0).u32(1).u16(0).u16(8)),
       FileBuilder::contiguous(data, 65536)},
      budget);
  ASSERT_TRUE(node.ok());
  expect_error((*node)->as_array()->read_strings(0, 4096), StatusCode::budget, {"f.h5: /x"});
  EXPECT_TRUE((*node)->as_array()->read_strings(0, 10).ok());
  node = Status::internal("done");
  EXPECT_EQ(budget->usage().used, 0u);
}

}  // namespace
}  // namespace penstock::hdf5
