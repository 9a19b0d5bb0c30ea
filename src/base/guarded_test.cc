#include "base/guarded.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

namespace penstock {
namespace {

TEST(Guarded, PassesValuesAndStatusesThrough) {
  EXPECT_EQ(*guarded([]() -> Result<int> { return 7; }), 7);
  EXPECT_TRUE(guarded([]() -> Status { return {}; }).ok());
  EXPECT_EQ(guarded([]() -> Status { return Status::corrupt("x"); }).code(), StatusCode::corrupt);
}

TEST(Guarded, MemoryThatIsRefusedIsABudgetStatus) {
  const Result<int> result = guarded([]() -> Result<int> { throw std::bad_alloc(); });
  EXPECT_EQ(result.status().code(), StatusCode::budget);
  EXPECT_EQ(result.status().system_errno(), ENOMEM);
  EXPECT_NE(result.status().message().find("the system refused memory"), std::string::npos);
  const Status too_long = guarded([]() -> Status {
    std::vector<char>().reserve(static_cast<std::size_t>(-1));
    return {};
  });
  EXPECT_EQ(too_long.code(), StatusCode::budget);
}

TEST(Guarded, AThreadThatIsRefusedKeepsItsErrno) {
  const Status status =
      guarded([]() -> Status { throw std::system_error(EAGAIN, std::generic_category(), "pthread_create"); });
  EXPECT_EQ(status.code(), StatusCode::io_error);
  EXPECT_EQ(status.system_errno(), EAGAIN);
}

TEST(Guarded, AnythingElseIsABug) {
  EXPECT_EQ(guarded([]() -> Status { throw std::out_of_range("at"); }).code(), StatusCode::internal);
}

}  // namespace
}  // namespace penstock
