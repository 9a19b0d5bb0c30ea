#include "penstock/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <utility>

namespace penstock {
namespace {

Status refused() { return Status::budget("window needs 64 MB").with_bytes(64'000'000, 12'000'000); }

TEST(Status, AnErrorHasNoFactsUnlessSomebodyKnewThem) {
  const Status status = Status::corrupt("f: bad");
  EXPECT_EQ(status.facts().needed_bytes, 0u);
  EXPECT_TRUE(status.facts().ways_out.empty());
  EXPECT_EQ(status.headline(), "f: bad");
}

TEST(Status, FactsStayBehindAContextAndInOtherWords) {
  const Status inner = refused();
  const Status status = Status(inner).with_context("plan").reworded("no room").with_way_out(Option::memory);
  EXPECT_EQ(status.code(), StatusCode::budget);
  EXPECT_EQ(status.message(), "no room");
  EXPECT_EQ(status.facts().needed_bytes, 64'000'000u);
  EXPECT_EQ(status.facts().free_bytes, 12'000'000u);
  EXPECT_NE(status.facts().way_out(Option::memory), nullptr);
  EXPECT_EQ(status.facts().way_out(Option::batch_size), nullptr);
  // The copy was changed, and not what it is a copy of.
  EXPECT_TRUE(inner.facts().ways_out.empty());
  EXPECT_EQ(inner.message(), "window needs 64 MB");
}

TEST(Status, WaysOutAreTheLastSentence) {
  const auto said = [](std::vector<WayOut> ways) {
    return refused().with_ways_out(std::move(ways)).message();
  };
  const WayOut batch{Option::batch_size, "batch_size <= 7", 7, {}};
  const WayOut csr{Option::format, "format=\"csr\"", 0, "csr"};
  const WayOut more{Option::memory, "memory >= 1 GB", 1'000'000'000, {}};
  EXPECT_EQ(said({}), "window needs 64 MB");
  EXPECT_EQ(said({batch}), "window needs 64 MB. Use batch_size <= 7.");
  EXPECT_EQ(said({batch, more}), "window needs 64 MB. Use batch_size <= 7 or memory >= 1 GB.");
  EXPECT_EQ(said({batch, csr, more}),
            "window needs 64 MB. Use batch_size <= 7, format=\"csr\" or memory >= 1 GB.");
  // One without a text is a fact, and no part of the sentence.
  EXPECT_EQ(said({{Option::index_memory, {}, 0, {}}}), "window needs 64 MB");
}

TEST(Status, OtherWaysOutTakeThePlaceOfTheFirst) {
  const Status first = refused().with_ways_out({{Option::batch_size, "a smaller batch_size", 0, {}}});
  const Status status = Status(first).with_context("plan").with_ways_out(
      {{Option::memory, "memory >= 2 GB", 2'000'000'000, {}}});
  EXPECT_EQ(status.headline(), "plan: window needs 64 MB");
  EXPECT_EQ(status.message(), "plan: window needs 64 MB. Use memory >= 2 GB.");
  ASSERT_EQ(status.facts().ways_out.size(), 1u);
  EXPECT_EQ(status.facts().way_out(Option::memory)->number, 2'000'000'000u);
  // In other words there is no sentence to take away.
  const Status reworded = Status(first).reworded("no room");
  EXPECT_EQ(reworded.headline(), "no room");
}

TEST(Status, APictureIsNoPartOfTheHeadline) {
  const Status status =
      Status::invalid_argument("position 3: expected a value").with_picture("\n  a >\n     ^");
  EXPECT_EQ(status.message(), "position 3: expected a value\n  a >\n     ^");
  EXPECT_EQ(Status(status).with_context("query").headline(), "query: position 3: expected a value");
  EXPECT_EQ(Status(status).with_context("query").picture(), "\n  a >\n     ^");
  // Ways out are none.
  EXPECT_EQ(refused().with_ways_out({{Option::memory, "memory >= 1 GB", 1, {}}}).picture(), "");
}

TEST(Status, TheFileIsKnownWhileTheMessageBeginsWithIt) {
  const Status status = Status::io_error("reading 5 bytes at 0x10: I/O error", 5).with_file("a.h5ad");
  EXPECT_EQ(status.message(), "a.h5ad: reading 5 bytes at 0x10: I/O error");
  EXPECT_EQ(status.file(), "a.h5ad");
  EXPECT_EQ(status.system_errno(), 5);
  EXPECT_EQ(Status(status).with_way_out(Option::memory).file(), "a.h5ad");
  EXPECT_EQ(Status(status).with_context("rank 3").file(), "");
  EXPECT_EQ(Status(status).reworded("a.h5ad: lost").file(), "");
  EXPECT_EQ(Status::corrupt("a.h5ad: short").file(), "") << "words are not looked at";
}

TEST(Status, NothingIsKnownOfOk) {
  const Status status =
      Status().with_context("x").with_bytes(1, 2).with_way_out(Option::memory).with_picture("y");
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.message(), "");
  EXPECT_EQ(status.facts().needed_bytes, 0u);
  EXPECT_TRUE(Status().with_ways_out({{Option::memory, "z", 1, {}}}).message().empty());
  EXPECT_TRUE(Status().reworded("z").message().empty());
  EXPECT_TRUE(Status().with_file("z").message().empty());
}

TEST(Status, OptionsHaveTheNamesOfTheirFields) {
  EXPECT_EQ(option_name(Option::index_memory), "index_memory");
  EXPECT_EQ(option_name(Option::dtype), "dtype");
}

TEST(Status, ErrnoSaysThatTheSystemRefused) {
  EXPECT_EQ(Status(StatusCode::budget, "out of memory", ENOMEM).reworded("none left").system_errno(), ENOMEM);
}

}  // namespace
}  // namespace penstock
