// A page is made from files, and files are made by anybody: names of columns, categories and paths may hold
// "<script>" or bytes that are no text. What is put into the page is made harmless here, by where it goes:
//
//     into HTML      title and sentences         & < > " ' become entities
//     into <script>  all numbers and names       as JSON in ASCII, with "<" as \u003c
//
// Inside <script> a browser looks for nothing but "</script" and "<!--", so that no other character matters
// there. The script makes text nodes of what it reads from the JSON, and never parses it as HTML.

#include "report/page.h"

#include <array>
#include <utility>

namespace penstock::report {

std::string escape_html(std::string_view text) {
  // Through JSON and back: nlohmann replaces what is not UTF-8.
  const std::string dumped =
      nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const auto valid = nlohmann::json::parse(dumped).get<std::string>();
  std::string out;
  for (const char c : valid) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string script_json(const nlohmann::ordered_json& data) {
  // All non-ASCII is escaped by dump(); '<' would let "</script>" or "<!--" through.
  const std::string text = data.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

std::string make_page(const std::string& title, const std::vector<std::string>& lines,
                      const nlohmann::ordered_json& data) {
  std::string words;
  for (const std::string& line : lines) words += (words.empty() ? "" : " ") + escape_html(line);
  const std::array<std::pair<std::string_view, std::string>, 5> parts = {
      {{"{{title}}", escape_html(title)},
       {"{{words}}", words},
       {"{{style}}", std::string(kPageCss)},
       {"{{script}}", std::string(kPageScript)},
       {"{{data}}", script_json(data)}}};
  // In one pass over the template: what is put in is never looked at again.
  std::string out;
  std::string_view rest = kPageHtml;
  // A title that is itself "{{data}}" must stay what it is. Replacing one name after the other would fill it
  // in.
  while (!rest.empty()) {
    const std::size_t at = rest.find("{{");
    out += rest.substr(0, at);
    if (at == std::string_view::npos) break;
    rest.remove_prefix(at);
    bool known = false;
    for (const auto& [name, text] : parts) {
      if (!rest.starts_with(name)) continue;
      out += text;
      rest.remove_prefix(name.size());
      known = true;
      break;
    }
    // Two braces that are none of ours stay as they are.
    if (!known) {
      out += rest.substr(0, 2);
      rest.remove_prefix(2);
    }
  }
  return out;
}

}  // namespace penstock::report
