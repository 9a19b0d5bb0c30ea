// The page around the numbers: template, style and script, embedded at build time from src/report/page/.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::report {

// Files of src/report/page/ as they were when this was built (assets.cc, generated).
extern const std::string_view kPageHtml, kPageCss, kPageScript;

// Text that is safe between tags and inside quoted attributes. Bytes that are not UTF-8 become U+FFFD.
std::string escape_html(std::string_view text);
// JSON that is safe inside <script>: no '<', no U+2028; bytes that are not UTF-8 become U+FFFD.
std::string script_json(const nlohmann::ordered_json& data);
// The whole page.
std::string make_page(const std::string& title, const std::vector<std::string>& lines,
                      const nlohmann::ordered_json& data);

}  // namespace penstock::report
