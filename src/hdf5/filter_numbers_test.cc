#include "hdf5/filter_numbers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::hdf5 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(FilterNumbers, filters_that_are_not_built_are_named) {
  const std::pair<std::uint16_t, const char*> cases[] = {
      {4, "szip"}, {5, "nbit"}, {6, "scale-offset"}, {32013, "zfp"}, {32026, "blosc2"}};
  for (const auto& [number, name] : cases) {
    const auto result = filters_of({{1, {4}, ""}, {number, {}, "http://stored/name"}});
    ASSERT_EQ(result.status().code(), StatusCode::unsupported);
    EXPECT_THAT(result.status().message(),
                AllOf(HasSubstr(std::to_string(number)), HasSubstr(name), HasSubstr("http://stored/name"),
                      HasSubstr("h5repack -f GZIP=4")));
  }
  EXPECT_THAT(filters_of({{777, {}, ""}}).status().message(), HasSubstr("777"));
}

TEST(FilterNumbers, those_that_are_read_keep_their_parameters) {
  const auto filters = filters_of({{2, {8}, "shuffle"},
                                   {1, {4}, ""},
                                   {3, {}, ""},
                                   {32000, {}, "lzf"},
                                   {32001, {2, 2, 4}, "blosc"},
                                   {32004, {}, ""},
                                   {32008, {0, 3, 4}, ""},
                                   {32015, {3}, ""}});
  ASSERT_TRUE(filters.ok());
  ASSERT_EQ(filters->size(), 8u);
  EXPECT_EQ((*filters)[4].id, FilterId::blosc);
  EXPECT_EQ((*filters)[5].id, FilterId::lz4);
  EXPECT_EQ((*filters)[6].id, FilterId::bitshuffle);
  EXPECT_EQ((*filters)[7].id, FilterId::zstd);
  EXPECT_EQ((*filters)[0].id, FilterId::shuffle);
  EXPECT_EQ((*filters)[0].params, std::vector<std::uint32_t>{8});
  EXPECT_EQ((*filters)[1].id, FilterId::deflate);
  EXPECT_EQ((*filters)[2].id, FilterId::fletcher32);
  EXPECT_EQ((*filters)[3].id, FilterId::lzf);
}

}  // namespace
}  // namespace penstock::hdf5
