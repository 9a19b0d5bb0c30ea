// Superblocks, object headers, groups and links that are not as they should be.
#include <gtest/gtest.h>

#include "hdf5/testing/builder.h"

namespace penstock::hdf5 {
namespace {

using store::TypeClass;

// EXPECT that a result failed with a code and with every one of some words in its message.
template <class R>
void expect_error(const R& result, StatusCode code, std::initializer_list<std::string_view> words) {
  const Status status = result.status();
  EXPECT_EQ(status.code(), code) << status.message();
  for (const auto word : words) {
    EXPECT_NE(status.message().find(word), std::string::npos)
        << "'" << word << "' is not in: " << status.message();
  }
}

std::string hex(Address a) {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(a));
  return text;
}

std::vector<std::byte> simple(unsigned version = 0, unsigned offset_size = 8) {
  FileBuilder f;
  return f.finish(f.group({}), version, offset_size);
}

TEST(SuperblockTest, OtherVersionsAndSizesAreNamed) {
  ASSERT_TRUE(FileBuilder::open_bytes(simple()).ok());
  expect_error(FileBuilder::open_bytes(simple(4)), StatusCode::unsupported,
               {"f.h5: HDF5 superblock version 4 at 0x0"});
  expect_error(FileBuilder::open_bytes(simple(0, 16)), StatusCode::unsupported, {"size of offsets 16"});
}

TEST(SuperblockTest, NotHdf5AndTruncated) {
  expect_error(FileBuilder::open_bytes({}), StatusCode::corrupt, {"f.h5: is not an HDF5 file"});
  expect_error(FileBuilder::open_bytes(std::vector<std::byte>(5000)), StatusCode::corrupt, {"no signature"});
  auto bytes = simple();
  const std::size_t whole = bytes.size();
  bytes.resize(whole - 1);
  expect_error(FileBuilder::open_bytes(bytes), StatusCode::corrupt,
               {"truncated", std::to_string(whole), std::to_string(whole - 1)});
  bytes.resize(20);
  expect_error(FileBuilder::open_bytes(bytes), StatusCode::corrupt, {"truncated after 20 bytes"});
}

TEST(SuperblockTest, FoundBehindForeignBytes) {
  for (const std::size_t base : {512u, 1024u, 4096u}) {
    std::vector<std::byte> bytes(base, std::byte{'#'});
    const auto file = simple();
    bytes.insert(bytes.end(), file.begin(), file.end());
    EXPECT_TRUE(FileBuilder::open_bytes(bytes).ok()) << base;
    const testing::MemoryFile image(bytes);
    EXPECT_TRUE(*is_hdf5(image));
  }
  std::vector<std::byte> odd(700);
  const auto file = simple();
  odd.insert(odd.end(), file.begin(), file.end());
  EXPECT_FALSE(FileBuilder::open_bytes(odd).ok());
}

TEST(ObjectHeaderTest, VersionsTypesAndLengths) {
  FileBuilder f;
  const Address ohdr = f.append(Bytes().text("OHDR").u8(2).zeros(40));
  const Address wrong = f.append(Bytes().u8(7).zeros(40));
  const Address datatype = f.header({FileBuilder::int_type()});
  const Address nothing = f.header({});
  const Address long_message =
      f.append(Bytes().u8(1).u8(0).u16(1).u32(1).u32(16).u32(0).u16(1).u16(64).u32(0).zeros(8));
  const Address short_tail = f.append(Bytes().u8(1).u8(0).u16(1).u32(1).u32(4).u32(0).zeros(8));
  const Address past_end = f.append(Bytes().u8(1).u8(0).u16(1).u32(1).u32(1 << 20).u32(0));
  const Address unknown = f.header({{0x50, Bytes().zeros(8), 0}, FileBuilder::int_type()});
  const Address fatal = f.header({{0x50, Bytes().zeros(8), 0x80}, FileBuilder::int_type()});
  auto root = f.open(f.group({{"a", ohdr},
                              {"b", wrong},
                              {"c", datatype},
                              {"d", nothing},
                              {"e", long_message},
                              {"f", short_tail},
                              {"g", past_end},
                              {"h", unknown}}));
  ASSERT_TRUE(root.ok());
  expect_error((*root)->child("a"), StatusCode::corrupt,
               {"f.h5: /a: object header at " + hex(ohdr), "checksum"});
  expect_error((*root)->child("b"), StatusCode::corrupt,
               {"object header at " + hex(wrong), "expected version 1, found 7"});
  expect_error((*root)->child("c"), StatusCode::unsupported, {"committed datatype"});
  expect_error((*root)->child("d"), StatusCode::corrupt, {"neither a group nor a dataset"});
  expect_error((*root)->child("e"), StatusCode::corrupt, {"claims 64 bytes, 8 are left"});
  expect_error((*root)->child("f"), StatusCode::corrupt, {"4 bytes left"});
  expect_error((*root)->child("g"), StatusCode::corrupt, {"run past the end of the file"});
  expect_error((*root)->child("h"), StatusCode::unsupported, {"committed datatype"});
  auto other = f.open(f.group({{"x", fatal}}));
  ASSERT_TRUE(other.ok());
  expect_error((*other)->child("x"), StatusCode::unsupported, {"header message type 0x50"});
}

TEST(ObjectHeaderTest, ContinuationsChainButDoNotLoop) {
  FileBuilder f;
  const auto to = [](Address at, std::uint64_t n) {
    return FileBuilder::message(MessageType::continuation, Bytes().u64(at).u64(n));
  };
  // two good hops to a dataset's messages
  const Bytes last = FileBuilder::block({FileBuilder::dataspace({}), FileBuilder::int_type()});
  const Address third = f.append(last);
  const Bytes middle = FileBuilder::block({to(third, last.size())});
  const Address second = f.append(middle);
  const Address good = f.header({FileBuilder::contiguous(kUndefined, 0), to(second, middle.size())});
  // a block that continues in itself
  const Address self = f.size() + (8 - f.size() % 8) % 8;
  f.append(FileBuilder::block({to(self, 24)}));
  const Address loop = f.header({to(self, 24)});
  const Address outside = f.header({to(1 << 30, 24)});
  const Address huge = f.header({to(96, ~std::uint64_t{0} - 50)});
  auto root = f.open(f.group({{"good", good}, {"huge", huge}, {"loop", loop}, {"outside", outside}}));
  ASSERT_TRUE(root.ok());
  const auto x = (*root)->child("good");
  ASSERT_TRUE(x.ok()) << x.status().message();
  EXPECT_EQ((*x)->as_array()->size(), 1u);
  expect_error((*root)->child("loop"), StatusCode::corrupt, {"/loop", "visited before"});
  expect_error((*root)->child("outside"), StatusCode::corrupt, {"past the end of the file"});
  expect_error((*root)->child("huge"), StatusCode::corrupt, {"past the end of the file"});
}

// A header that goes on and on costs its reader memory: within the budget, and never more blocks than a
// header can name.
TEST(ObjectHeaderTest, ManyContinuationsAreBudgetedAndBounded) {
  const auto chained = [](FileBuilder& f, std::size_t blocks) {
    Bytes next = FileBuilder::block({FileBuilder::dataspace({}), FileBuilder::int_type()});
    for (std::size_t i = 0; i < blocks; ++i) {
      const Address at = f.append(next);
      next = FileBuilder::block(
          {FileBuilder::message(MessageType::continuation, Bytes().u64(at).u64(next.size()))});
    }
    const Address at = f.append(next);
    return f.header({FileBuilder::contiguous(kUndefined, 0),
                     FileBuilder::message(MessageType::continuation, Bytes().u64(at).u64(next.size()))});
  };
  FileBuilder f;
  const Address some = chained(f, 3000), far_too_many = chained(f, 70'000);
  const Address root_group = f.group({{"some", some}, {"too_many", far_too_many}});
  auto root = f.open(root_group);
  ASSERT_TRUE(root.ok());
  EXPECT_TRUE((*root)->child("some").ok());
  expect_error((*root)->child("too_many"), StatusCode::corrupt, {"/too_many", "more than 65536 blocks"});
  auto poor = f.open(root_group, MemoryBudget::create(100'000));
  ASSERT_TRUE(poor.ok());
  expect_error((*poor)->child("some"), StatusCode::budget, {"/some", "continuation blocks"});
}

TEST(SymbolTableTest, DamageIsNamed) {
  const auto with = [](auto&& damage) {
    FileBuilder f;
    const Address x = f.header(
        {FileBuilder::dataspace({}), FileBuilder::int_type(), FileBuilder::contiguous(kUndefined, 0)});
    const Address root = f.group({{"a", x}, {"b", x}});
    damage(f);
    auto opened = f.open(root);
    EXPECT_TRUE(opened.ok());
    return (*opened)->children();
  };
  ASSERT_TRUE(with([](FileBuilder&) {}).ok());
  expect_error(with([](FileBuilder& f) { f.overwrite(f.tree, Bytes().text("TREX")); }), StatusCode::corrupt,
               {"f.h5: /: group B-tree node", "TREE"});
  expect_error(with([](FileBuilder& f) { f.overwrite(f.tree + 4, Bytes().u8(1)); }), StatusCode::corrupt,
               {"expected type 0, found 1"});
  expect_error(with([](FileBuilder& f) { f.overwrite(f.tree + 6, Bytes().u16(33)); }), StatusCode::corrupt,
               {"33 entries, at most 32"});
  expect_error(with([](FileBuilder& f) { f.overwrite(f.tree + 5, Bytes().u8(200)); }), StatusCode::corrupt,
               {"level 200"});
  expect_error(with([](FileBuilder& f) { f.overwrite(f.tree + 5, Bytes().u8(1)); }), StatusCode::corrupt,
               {"TREE"});
  // its own child, one level down
  expect_error(with([](FileBuilder& f) {
                 f.overwrite(f.tree + 5, Bytes().u8(1));
                 f.overwrite(f.tree + 32, Bytes().u64(f.tree));
               }),
               StatusCode::corrupt, {"expected level 0, found 1"});
  // the same symbol node twice
  expect_error(with([](FileBuilder& f) {
                 f.overwrite(f.tree + 6, Bytes().u16(2));
                 f.overwrite(f.tree + 48, Bytes().u64(f.snod));
               }),
               StatusCode::corrupt, {"visited before"});
  expect_error(with([](FileBuilder& f) { f.overwrite(f.snod, Bytes().text("X")); }), StatusCode::corrupt,
               {"SNOD"});
  expect_error(with([](FileBuilder& f) { f.overwrite(f.snod + 6, Bytes().u16(9)); }), StatusCode::corrupt,
               {"9 symbols, at most 8"});
  expect_error(with([](FileBuilder& f) { f.overwrite(f.snod + 8 + 40, Bytes().u64(8)); }),
               StatusCode::corrupt, {"names must ascend"});
  expect_error(with([](FileBuilder& f) { f.overwrite(f.snod + 8, Bytes().u64(1 << 20)); }),
               StatusCode::corrupt, {"not inside the local heap"});
  expect_error(with([](FileBuilder& f) { f.overwrite(f.heap + 8, Bytes().u64(1 << 30)); }),
               StatusCode::corrupt, {"local heap", "past the end"});
  expect_error(with([](FileBuilder& f) { f.overwrite(f.heap, Bytes().text("heap")); }), StatusCode::corrupt,
               {"HEAP"});
}

TEST(LinkMessageTest, HardSoftExternalUserAndDense) {
  FileBuilder f;
  const Address x =
      f.header({FileBuilder::dataspace({}), FileBuilder::int_type(), FileBuilder::contiguous(kUndefined, 0)});
  const auto link = [](Bytes b) { return FileBuilder::message(MessageType::link, std::move(b)); };
  const Address group = f.header({
      FileBuilder::message(MessageType::link_info, Bytes().u8(0).u8(0).u64(kUndefined).u64(kUndefined)),
      link(Bytes().u8(1).u8(0).u8(4).text("hard").u64(x)),
      link(Bytes()
               .u8(1)
               .u8(8 | 4 | 16 | 1)
               .u8(1)
               .u64(3)
               .u8(1)
               .u16(4)
               .text("soft")
               .u16(10)
               .text("/new/hard\0")),
      link(Bytes().u8(1).u8(8).u8(64).u8(3).text("ext").u16(4).zeros(4)),
      link(Bytes().u8(1).u8(8).u8(70).u8(4).text("user").u16(0)),
  });
  const Address dense =
      f.header({FileBuilder::message(MessageType::link_info, Bytes().u8(0).u8(0).u64(0x1234).u64(0x99))});
  const Address twice = f.header(
      {link(Bytes().u8(1).u8(0).u8(1).text("a").u64(x)), link(Bytes().u8(1).u8(0).u8(1).text("a").u64(x))});
  const Address bad = f.header({link(Bytes().u8(1).u8(3).u64(~std::uint64_t{0}).text("a"))});
  auto root = f.open(f.group({{"bad", bad}, {"dense", dense}, {"new", group}, {"twice", twice}}));
  ASSERT_TRUE(root.ok());
  auto node = (*root)->child("new");
  ASSERT_TRUE(node.ok());
  const auto* g = (*node)->as_group();
  EXPECT_EQ(*g->children(), (std::vector<std::string>{"ext", "hard", "soft", "user"}));
  EXPECT_TRUE(g->child("hard").ok());
  EXPECT_TRUE((*root)->has("new/hard"));
  EXPECT_FALSE((*root)->has("new/none"));
  expect_error(g->child("ext"), StatusCode::unsupported, {"f.h5: /new: 'ext' is a link to another file"});
  expect_error(g->child("user"), StatusCode::unsupported, {"user-defined link"});
  expect_error(g->child("hars"), StatusCode::not_found, {"/new", "did you mean 'hard'?"});
  expect_error((*root)->child("dense/x"), StatusCode::corrupt, {"/dense", "fractal heap at 0x1234"});
  expect_error((*root)->child("twice/a"), StatusCode::corrupt, {"two links are named 'a'"});
  expect_error((*root)->child("bad/a"), StatusCode::corrupt, {"link message", "truncated"});
}

TEST(SoftLinkTest, LoopsEnd) {
  FileBuilder f;
  const Address x =
      f.header({FileBuilder::dataspace({}), FileBuilder::int_type(), FileBuilder::contiguous(kUndefined, 0)});
  auto root =
      f.open(f.group({{"a", 0, "/b"}, {"b", 0, "a"}, {"c", 0, "x"}, {"self", 0, "self/self"}, {"x", x}}));
  ASSERT_TRUE(root.ok());
  EXPECT_TRUE((*root)->child("c").ok());
  expect_error((*root)->child("a"), StatusCode::corrupt, {"soft links", "loop"});
  expect_error((*root)->child("self"), StatusCode::corrupt, {"soft links", "loop"});
}

TEST(HardLinkTest, CyclesAreFollowedAsFarAsThePathGoes) {
  FileBuilder f;
  const Address group = f.group({{"g", 0}});
  f.overwrite(f.snod + 8 + 8, Bytes().u64(group));
  auto root = f.open(group);
  ASSERT_TRUE(root.ok());
  std::string path = "g";
  for (int i = 0; i < 999; ++i) path += "/g";
  const auto node = (*root)->child(path);
  ASSERT_TRUE(node.ok()) << node.status().message();
  EXPECT_EQ((*node)->path(), "/" + path);
  EXPECT_EQ((*node)->object_id(), (*root)->object_id());
  for (int i = 0; i < 99; ++i) path += "/g";
  expect_error((*root)->child(path), StatusCode::invalid_argument, {"1024 components"});
}

TEST(AttributeTest, VersionsSharedTypesAndDamage) {
  FileBuilder f;
  const Address committed = f.header({FileBuilder::int_type()});
  const Address not_a_type = f.header({FileBuilder::dataspace({1})});
  const auto attribute = [](Bytes b) { return FileBuilder::message(MessageType::attribute, std::move(b)); };
  const Bytes scalar = FileBuilder::dataspace({}).body;
  const auto type = FileBuilder::int_type_bytes();
  const auto shared = [](Address at) { return Bytes().u8(2).u8(0).u64(at); };
  const Address group = f.group(
      {},
      {attribute(
           Bytes().u8(1).u8(0).u16(2).u16(12).u16(8).text("a").zeros(7).add(type).zeros(4).add(scalar).u32(
               7)),
       attribute(Bytes()
                     .u8(2)
                     .u8(1)
                     .u16(2)
                     .u16(10)
                     .u16(8)
                     .text("b")
                     .u8(0)
                     .add(shared(committed))
                     .add(scalar)
                     .u32(8)),
       attribute(Bytes()
                     .u8(3)
                     .u8(1)
                     .u16(2)
                     .u16(10)
                     .u16(8)
                     .u8(1)
                     .text("c")
                     .u8(0)
                     .add(Bytes().u8(3).u8(2).u64(committed))
                     .add(scalar)
                     .u32(9)),
       attribute(Bytes()
                     .u8(2)
                     .u8(1)
                     .u16(2)
                     .u16(10)
                     .u16(8)
                     .text("d")
                     .u8(0)
                     .add(shared(not_a_type))
                     .add(scalar)
                     .u32(8)),
       attribute(Bytes().u8(2).u8(0).u16(2).u16(12).u16(16).text("e").u8(0).add(type).add(
           FileBuilder::dataspace({1000}).body)),
       attribute(Bytes()
                     .u8(2)
                     .u8(1)
                     .u16(2)
                     .u16(10)
                     .u16(8)
                     .text("f")
                     .u8(0)
                     .add(Bytes().u8(3).u8(1).u64(1))
                     .add(scalar)
                     .u32(8))});
  auto root = f.open(group);
  ASSERT_TRUE(root.ok());
  EXPECT_EQ(*(*root)->attribute_names(), (std::vector<std::string>{"a", "b", "c", "d", "e", "f"}));
  EXPECT_EQ((*root)->attribute("a")->value().ints, std::vector<std::int64_t>{7});
  EXPECT_EQ((*root)->attribute("b")->value().ints, std::vector<std::int64_t>{8});
  EXPECT_EQ((*root)->attribute("c")->value().ints, std::vector<std::int64_t>{9});
  EXPECT_FALSE((*root)->attribute("z")->has_value());
  expect_error((*root)->attribute("d"), StatusCode::corrupt,
               {"f.h5: /: attribute 'd'", "no datatype message"});
  expect_error((*root)->attribute("e"), StatusCode::corrupt, {"1000 elements of 4 bytes"});
  expect_error((*root)->attribute("f"), StatusCode::unsupported, {"shared message table"});
}

TEST(AttributeTest, DamagedDenseOnesMatterOnlyWhenNeeded) {
  FileBuilder f;
  const Bytes scalar = FileBuilder::dataspace({}).body;
  auto root = f.open(f.group(
      {}, {FileBuilder::message(MessageType::attribute_info, Bytes().u8(0).u8(0).u64(0x777).u64(0x888)),
           FileBuilder::message(MessageType::attribute,
                                Bytes()
                                    .u8(2)
                                    .u8(0)
                                    .u16(2)
                                    .u16(12)
                                    .u16(8)
                                    .text("a")
                                    .u8(0)
                                    .add(FileBuilder::int_type_bytes())
                                    .add(scalar)
                                    .u32(7))}));
  ASSERT_TRUE(root.ok());
  EXPECT_EQ((*root)->attribute("a")->value().ints, std::vector<std::int64_t>{7});
  expect_error((*root)->attribute("b"), StatusCode::corrupt, {"fractal heap", "0x777"});
  expect_error((*root)->attribute_names(), StatusCode::corrupt, {"0x777"});
}

}  // namespace
}  // namespace penstock::hdf5
