// LoaderState as text: what is written is read back; whatever else is text is an error that says why.
#include "setup/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "loader/testing/fake_dataset.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;

LoaderState some() {
  testing::FakeSpec spec;
  spec.files = {{100, 5, 7}, {50, 5, 7}};
  LoaderOptions options;
  options.seed = 3;
  options.batch_size = 64;
  LoaderState s = loader::describe(testing::FakeDataset(spec), options);
  s.window_rows = 128;
  s.block_rows = 5;
  s.block_rows_exact = true;
  s.blocks = "00000000000000ab";
  s.epoch = 7;
  s.lineage = {{8, 120}, {4, 1'000'000'000'000}};
  return s;
}

TEST(LoaderState, IsReadBackAsWritten) {
  const LoaderState s = some();
  const auto back = LoaderState::from_json(s.to_json());
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  EXPECT_EQ(back->to_json(), s.to_json());
  EXPECT_EQ(back->lineage, s.lineage);
  EXPECT_EQ(back->files, s.files);
  EXPECT_EQ(back->files[1].name, "fake1");
  EXPECT_TRUE(back->block_rows_exact);
  EXPECT_TRUE(loader::compare(*back, s).ok());
  EXPECT_EQ(s.to_json().find('\n'), std::string::npos);
}

std::string with(const std::string& from, const std::string& to) {
  std::string text = some().to_json();
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

// Written before rows could be sampled.
TEST(LoaderState, VersionOneIsRead) {
  std::string text = with("\"version\":3", "\"version\":1");
  const std::string added = "\"epoch_size\":0,\"balance\":\"\",\"weights\":\"\",\"masses\":\"\",";
  text.erase(text.find(added), added.size());
  const auto back = LoaderState::from_json(text);
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  EXPECT_TRUE(back->lone_rows);
  EXPECT_EQ(back->to_json(), with("\"version\":3", "\"version\":2"));
}

// Written when the last batch could have a single row: what was done stays of that kind, however often it is
// written again.
TEST(LoaderState, VersionTwoIsReadAndKept) {
  const std::string text = with("\"version\":3", "\"version\":2");
  const auto back = LoaderState::from_json(text);
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  EXPECT_TRUE(back->lone_rows);
  EXPECT_EQ(back->to_json(), text);
  EXPECT_FALSE(LoaderState::from_json(some().to_json())->lone_rows);
}

TEST(LoaderState, WhatIsNoStateIsRefusedWithTheReason) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "not JSON"},
      {"[]", "not an object"},
      {"{}", "version is missing"},
      {"nonsense", "not JSON"},
      {std::string(100'000, '['), "not JSON"},
      {with("\"version\":3", "\"version\":4"), "version 4"},
      {with("\"version\":3", "\"version\":0"), "version 0"},
      {with("\"epoch_size\":0,", ""), "epoch_size is missing"},
      {with("\"seed\":3", "\"seed\":-3"), "seed is not a whole number"},
      {with("\"seed\":3", "\"seed\":3.5"), "seed is not a whole number"},
      {with("\"seed\":3", "\"seed\":18446744073709551616"), "seed is not a whole number"},
      {with("\"seed\":3", "\"seed\":\"3\""), "seed is not a whole number"},
      {with("\"seed\":3,", ""), "seed is missing"},
      {with("\"shuffle\":true", "\"shuffle\":1"), "shuffle is not true or false"},
      {with("\"matrix\":\"X\"", "\"matrix\":null"), "matrix is not a text"},
      {with("\"batch_size\":64", "\"batch_size\":0"), "is 0"},
      {with("[8,120]", "[0,120]"), "lineage"},
      {with("[8,120]", "[8]"), "lineage"},
      {with("[8,120]", "[8,-1]"), "lineage"},
      {with("[8,120]", "[4294967297,1]"), "lineage"},
      {with("[8,120]", "8"), "lineage"},
      {with("[8,120]", "[8,[120]]"), "not JSON of that form"},
      {with("\"lineage\":[[8,120],[4,1000000000000]]", "\"lineage\":7"), "lineage is not an array"},
      {with("\"name\":\"fake1\",", ""), "file: name is missing"},
      {with("{\"name\":\"fake1\"", "7,{\"name\":\"fake1\""), "file: is not an object"},
  };
  for (const auto& [text, why] : cases) {
    const auto state = LoaderState::from_json(text);
    ASSERT_FALSE(state.ok()) << text;
    EXPECT_EQ(state.status().code(), StatusCode::invalid_argument);
    EXPECT_THAT(state.status().message(), HasSubstr(why)) << text.substr(0, 300);
  }
  EXPECT_FALSE(LoaderState::from_json(std::string(LoaderState::kMaxJson + 1, ' ')).ok());
  std::string stages = "[1,1]";
  for (int i = 0; i < 1000; ++i) stages += ",[1,1]";
  EXPECT_FALSE(LoaderState::from_json(with("[8,120]", stages)).ok());
}

// Every cut of a good text: never a crash, always an error.
TEST(LoaderState, TruncatedTextsAreErrors) {
  const std::string text = some().to_json();
  for (std::size_t n = 0; n < text.size(); ++n)
    EXPECT_FALSE(LoaderState::from_json(text.substr(0, n)).ok()) << n;
}

TEST(LoaderState, DifferencesAreNamed) {
  const LoaderState here = some();
  const auto message = [&](auto change) {
    LoaderState checkpoint = here;
    change(checkpoint);
    return loader::compare(checkpoint, here).message();
  };
  EXPECT_THAT(message([](auto& s) { s.seed = 4; }), HasSubstr("seed: 4 in the checkpoint, 3 here"));
  EXPECT_THAT(message([](auto& s) { s.shuffle = false; }),
              HasSubstr("shuffle: false in the checkpoint, true here"));
  EXPECT_THAT(message([](auto& s) { s.matrix = "raw/X"; }),
              HasSubstr("matrix: 'raw/X' in the checkpoint, 'X' here"));
  EXPECT_THAT(message([](auto& s) { s.files[1].n_obs = 49; }),
              HasSubstr("rows of fake1: 49 in the checkpoint, 50 here"));
  EXPECT_THAT(message([](auto& s) { s.files[0].digest = "0"; }), HasSubstr("what fake0 holds"));
  EXPECT_THAT(message([](auto& s) { s.files[0].selection = "0"; }),
              HasSubstr("which rows of fake0 are selected"));
  EXPECT_THAT(message([](auto& s) { s.files.pop_back(); }), HasSubstr("files: 1 in the checkpoint, 2 here"));
  EXPECT_THAT(message([](auto& s) {
                s.seed = 1;
                s.batch_size = 1;
                s.window_rows = 1;
                s.block_rows = 1;
                s.drop_last = true;
              }),
              HasSubstr("; and 2 more differences"));
}

}  // namespace
}  // namespace penstock
