#include "report/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Page, EscapesText) {
  EXPECT_EQ(escape_html("a <b> & \"c\" 'd'"), "a &lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
  EXPECT_EQ(escape_html("\xff|\u00e9"), "\xef\xbf\xbd|\u00e9");  // bytes that are not UTF-8
}

TEST(Page, JsonCannotEndItsScript) {
  const nlohmann::ordered_json data = {{"name", "</script><!-- \u2028 \xff"}};
  const std::string text = script_json(data);
  EXPECT_THAT(text, Not(HasSubstr("<")));
  EXPECT_EQ(nlohmann::json::parse(text)["name"], "</script><!-- \u2028 \ufffd");
}

TEST(Page, WhatIsPutInIsNotATemplate) {
  const std::string page = make_page("{{data}} <x>", {"one {{script}}", "two"}, {{"a", "{{title}}"}});
  EXPECT_THAT(page, HasSubstr("<title>{{data}} &lt;x&gt;</title>"));
  EXPECT_THAT(page, HasSubstr("one {{script}} two"));
  EXPECT_THAT(page, HasSubstr("{\"a\":\"{{title}}\"}"));
}

// The page loads nothing, whatever is added to it later.
TEST(Page, NamesNothingToLoad) {
  for (const std::string_view part : {kPageHtml, kPageCss, kPageScript}) {
    ASSERT_FALSE(part.empty());
    std::string text(part);
    const std::string namespace_of_svg = "http://www.w3.org/2000/svg";
    for (std::size_t at = 0; (at = text.find(namespace_of_svg)) != std::string::npos;)
      text.erase(at, namespace_of_svg.size());
    for (const char* word :
         {"http:", "https:", "@import", "url(", "src=", "<link", "fetch(", "innerHTML", "eval("})
      EXPECT_THAT(text, Not(HasSubstr(word)));
  }
}

}  // namespace
}  // namespace penstock::report
