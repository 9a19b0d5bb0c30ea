// From the text of a query to words, as Python's tokenizer sees them (The Python Language Reference, "Lexical
// analysis"). The whole text becomes tokens before anything is parsed; kMostText bounds how many there can
// be.
//
//     n_counts >= 1_000 and `cell type` != @control
//     name     sym  literal name quoted     sym parameter
//              ">=" 1000    "and" "cell type" "!=" "control"
//
// `and`, `not` and `in` are names here; the parser knows them by their text. In back-quotes they are names of
// columns, and so is everything else: that is why a quoted name has a kind of its own.
//
// Numbers are read in full before they are given a type: 0x1f, 1_000 and 1e-3 follow Python's rules, and so
// do the errors for 0123 and 12ab. Whole numbers are int64, or uint64 where only that holds them; more than
// 64 bits is an error rather than a float that is nearly the same.
#include "query/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>

namespace penstock::query {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
// Every byte of a character beyond ASCII counts as a letter: Python allows most of them in names, and a name
// that no column has is refused later, with the names that are near.
bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool in_name(char c) { return starts_name(c) || is_digit(c); }
int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Escapes name code points; columns hold UTF-8.
void append_utf8(std::uint32_t code, std::string& out) {
  const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

class Lexer {
 public:
  explicit Lexer(const SourceText& source) : source_(source), text_(source.text()) {}

  Result<std::vector<Token>> run() {
    if (text_.size() > kMostText) {
      return source_.error(
          kMostText, fmt::format("{} bytes; an expression has at most {}: give lists as @name", text_.size(),
                                 kMostText));
    }
    std::vector<Token> tokens;
    while (true) {
      while (at_ < text_.size() && (text_[at_] == ' ' || (text_[at_] >= '\t' && text_[at_] <= '\r'))) ++at_;
      Token token;
      token.at = at_;
      if (at_ == text_.size()) {
        tokens.push_back(std::move(token));
        return tokens;
      }
      PENSTOCK_RETURN_IF_ERROR(next(token));
      tokens.push_back(std::move(token));
    }
  }

 private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  // The first character decides, but for r, which may begin a raw string or a name.
  Status next(Token& token) {
    const char c = peek();
    // The r belongs to the string only if a quote follows at once; r > 1 is a column.
    const bool raw = (c == 'r' || c == 'R') && (peek(1) == '\'' || peek(1) == '"');
    if (raw || c == '\'' || c == '"') {
      at_ += raw ? 1 : 0;
      return string(token, raw);
    }
    if (starts_name(c)) {
      token.kind = Token::Kind::name;
      token.text = name();
      return {};
    }
    // A dot may begin a number (.5) or a method (.isin); the digit behind it decides.
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number(token);
    if (c == '`') return quoted_name(token);
    if (c == '@') {
      ++at_;
      if (!starts_name(peek())) return source_.error(token.at, "a parameter's name follows @");
      token.kind = Token::Kind::parameter;
      token.text = name();
      return {};
    }
    token.kind = Token::Kind::symbol;
    // Two characters before one: "<=" is not "<" and "=".
    for (const std::string_view two : {"==", "!=", "<=", ">=", "//", "**"}) {
      if (text_.substr(at_, 2) != two) continue;
      token.text = two;
      at_ += 2;
      return {};
    }
    if (std::string_view("<>&|~+-*/%()[],.=").find(c) == std::string_view::npos || c == '\0') {
      return source_.error(at_, "this character is not part of a query");
    }
    token.text = std::string(1, c);
    ++at_;
    return {};
  }

  std::string name() {
    const std::size_t first = at_;
    while (at_ < text_.size() && in_name(text_[at_])) ++at_;
    return std::string(text_.substr(first, at_ - first));
  }

  // Everything up to the next back-quote is the name: there is no escape, as in pandas.
  Status quoted_name(Token& token) {
    const std::size_t end = text_.find('`', at_ + 1);
    if (end == std::string_view::npos) return source_.error(at_, "the back-quoted name has no end");
    token.kind = Token::Kind::quoted_name;
    token.text = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return {};
  }

  Status string(Token& token, bool raw) {
    const char quote = text_[at_++];
    std::string value;
    while (true) {
      if (at_ == text_.size() || text_[at_] == '\n') return source_.error(token.at, "the string has no end");
      const char c = text_[at_++];
      if (c == quote) break;
      if (c != '\\') {
        value.push_back(c);
        continue;
      }
      if (at_ == text_.size()) return source_.error(token.at, "the string has no end");
      // Python keeps the backslash and the character behind it, even if that is the quote: r'a\'b' is a\'b.
      if (raw) {
        value.push_back(c);
        value.push_back(text_[at_++]);
        continue;
      }
      PENSTOCK_RETURN_IF_ERROR(escape(value));
    }
    token.kind = Token::Kind::literal;
    token.value.value = std::move(value);
    return {};
  }

  // Behind a backslash.
  Status escape(std::string& value) {
    const std::size_t at = at_ - 1;
    const char c = text_[at_++];
    constexpr std::string_view kLetters = "abfnrtv\\'\"", kMeaning = "\a\b\f\n\r\t\v\\'\"";
    if (const auto found = kLetters.find(c); found != std::string_view::npos) {
      value.push_back(kMeaning[found]);
      return {};
    }
    const int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    // Python keeps an unknown escape as it is, with a warning. What was meant by it is anybody's guess: an
    // error is kinder.
    if (digits == 0) return source_.error(at, "an unknown escape: write \\\\ for a backslash, or r'...'");
    std::uint32_t code = 0;
    for (int i = 0; i < digits; ++i) {
      const int digit = hex_digit(peek());
      if (digit < 0) return source_.error(at, fmt::format("\\{} takes {} hexadecimal digits", c, digits));
      code = code << 4 | static_cast<std::uint32_t>(digit);
      ++at_;
    }
    // Halves of a pair of UTF-16 are no characters, and no UTF-8.
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
      return source_.error(at, "there is no such character");
    append_utf8(code, value);
    return {};
  }

  // Digits of a base with single underscores between them.
  std::string digits(int base) {
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const int digit = hex_digit(c);
      // An underscore stands between two digits: 1_000, but neither _1 (a name) nor 1_ nor 1__0.
      const bool under = c == '_' && !out.empty() && hex_digit(peek(1)) >= 0 && hex_digit(peek(1)) < base;
      if (!under && (digit < 0 || digit >= base)) break;
      if (!under) out.push_back(c);
      ++at_;
    }
    return out;
  }

  Status number(Token& token) {
    token.kind = Token::Kind::literal;
    // 0x20 makes a lower-case letter of an upper-case one.
    const char kind = static_cast<char>(peek(1) | 0x20);
    const int base = peek() != '0' ? 10 : kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
    std::string text;
    bool floating = false;
    if (base != 10) {
      at_ += 2;
      text = digits(base);
      if (text.empty()) return source_.error(token.at, "a number without digits");
    } else {
      text = digits(10);
      // Python 2 read 0123 as octal and Python 3 refuses it; 000 is allowed, and so is 01.5.
      const bool leading_zero = text.size() > 1 && text[0] == '0' && text.find_first_not_of('0') != text.npos;
      if (peek() == '.') {
        floating = true;
        ++at_;
        text += "." + digits(10);
      }
      // 1e5 and 1e-5 are numbers, 1e and 1else are not: the e counts only if a digit follows it.
      if (const std::size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
          (peek() == 'e' || peek() == 'E') && is_digit(peek(1 + sign))) {
        floating = true;
        text += 'e';
        if (peek(1) == '-') text += '-';
        at_ += 1 + sign;
        text += digits(10);
      }
      if (leading_zero && !floating) return source_.error(token.at, "a number with leading zeros");
    }
    // 12ab would otherwise be 12 and the column ab.
    if (in_name(peek())) return source_.error(at_, "this runs into the number before it");
    if (!floating) {
      std::uint64_t value = 0;
      const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, base);
      if (parsed.ec != std::errc()) return source_.error(token.at, "a whole number beyond 64 bits");
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        token.value.value = value;
      } else {
        token.value.value = static_cast<std::int64_t>(value);
      }
      return {};
    }
    double value = 0;
    if (text.starts_with('.')) text.insert(0, 1, '0');
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec == std::errc::result_out_of_range) {
      value = std::strtod(text.c_str(), nullptr);  // as Python: too large is infinite, too small is zero
    }
    token.value.value = value;
    return {};
  }

  const SourceText& source_;
  const std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Result<std::vector<Token>> tokenize(const SourceText& source) { return Lexer(source).run(); }

}  // namespace penstock::query
