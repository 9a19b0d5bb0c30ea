#include "query/parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "query/lexer.h"

namespace penstock::query {

namespace {

using Kind = Node::Kind;
using Ptr = std::unique_ptr<Node>;
constexpr std::string_view kMethods =
    "isin, isnull, isna, notnull, notna, str.startswith, str.endswith, str.contains";
// A pair of brackets passes three functions that count.
constexpr std::size_t kMostCalls = 3 * kMostDepth;

Ptr make(Kind kind, std::size_t at) {
  auto node = std::make_unique<Node>();
  node->kind = kind;
  node->at = at;
  return node;
}

// One function for each level of the grammar, from what binds least to what binds most:
//
//     any_of      all_of, with or, | between
//     all_of      negation, with and, & between
//     negation    not
//     comparison  sum, with <, <=, >, >=, ==, !=, in, not in between; a < b < c is a < b and b < c
//     sum         product, with +, -
//     product     unary, with *, /, //, %
//     unary       -, +, ~
//     power       **, which binds to the right, and more than a sign on its left
//     postfix     primary, with methods behind
//     primary     a name, a number, a text, @parameter, brackets
//
// It is Python's but for | and &, which pandas puts where `or` and `and` are, so that "a > 1 & b > 2" means
// what people mean by it. Functions that call themselves count how deep they are: an expression of a million
// brackets is an error, and no end of the stack.
//
// A worked example, "n > 2 + 3 * x and not flag":
//
//     all_of
//       compare  >            n,  arithmetic +  (2,  arithmetic *  (3, x))
//       invert                flag
//
// Each function asks the next one for its left side and then looks whether its own operator follows. Here
// sum() takes 2, finds +, and asks product() for the right side, which finds the * and so takes 3 * x as a
// whole: what binds more ends up deeper in the tree.
class Parser {
 public:
  Parser(const SourceText& source, std::vector<Token> tokens) : source_(source), tokens_(std::move(tokens)) {}

  Result<Ptr> run() {
    if (here().kind == Token::Kind::end) return source_.error(0, "the expression is empty");
    PENSTOCK_ASSIGN_OR_RETURN(Ptr node, any_of());
    if (here().kind == Token::Kind::end) return node;
    if (is_symbol("=")) return source_.error(here().at, "= assigns; == compares");
    return source_.error(here().at, "expected an operator or the end of the expression");
  }

 private:
  // Counts how deep functions that call themselves are.
  class Level {
   public:
    explicit Level(std::size_t& depth) : depth_(++depth) {}
    ~Level() { --depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    std::size_t& depth_;
  };

  const Token& here() const { return tokens_[next_]; }
  bool is_symbol(std::string_view text) const {
    return here().kind == Token::Kind::symbol && here().text == text;
  }
  bool is_name(std::string_view text) const {
    return here().kind == Token::Kind::name && here().text == text;
  }
  bool take_symbol(std::string_view text) {
    const bool found = is_symbol(text);
    next_ += found ? 1 : 0;
    return found;
  }
  bool take_name(std::string_view text) {
    const bool found = is_name(text);
    next_ += found ? 1 : 0;
    return found;
  }
  Status expect(std::string_view text) {
    if (take_symbol(text)) return {};
    return source_.error(here().at, fmt::format("expected {}", text));
  }
  Status too_deep(std::size_t at) const {
    return source_.error(at, fmt::format("nested deeper than {} levels", kMostDepth));
  }
  // Depth is counted while the tree is built, because later steps (bind.cc, and the destructors of nodes)
  // walk it by recursion and count nothing.
  Status put(Node& parent, Ptr child) const {
    parent.depth = std::max(parent.depth, child->depth + 1);
    if (parent.depth > kMostDepth) return too_deep(child->at);
    parent.args.push_back(std::move(child));
    return {};
  }

  // A row of `or` becomes one node with many arguments and not a tree as deep as it is long: a query may join
  // a thousand conditions, and kMostDepth is about nesting.
  Result<Ptr> any_of() {
    PENSTOCK_ASSIGN_OR_RETURN(Ptr first, all_of());
    if (!is_name("or") && !is_symbol("|")) return first;
    Ptr node = make(Kind::any_of, here().at);
    PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(first)));
    while (take_name("or") || take_symbol("|")) {
      PENSTOCK_ASSIGN_OR_RETURN(Ptr more, all_of());
      PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(more)));
    }
    return node;
  }

  Result<Ptr> all_of() {
    PENSTOCK_ASSIGN_OR_RETURN(Ptr first, negation());
    if (!is_name("and") && !is_symbol("&")) return first;
    Ptr node = make(Kind::all_of, here().at);
    PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(first)));
    while (take_name("and") || take_symbol("&")) {
      PENSTOCK_ASSIGN_OR_RETURN(Ptr more, negation());
      PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(more)));
    }
    return node;
  }

  Result<Ptr> negation() {
    const Level level(depth_);
    const std::size_t at = here().at;
    if (depth_ > kMostCalls) return too_deep(at);
    // `not in` is no negation: comparison() sees those two words behind a value, and `not` before a value
    // comes here.
    if (!take_name("not")) return comparison();
    PENSTOCK_ASSIGN_OR_RETURN(Ptr inner, negation());
    Ptr node = make(Kind::invert, at);
    PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(inner)));
    return node;
  }

  // No symbol is a prefix of another here, since the lexer has already decided between < and <=.
  bool take_comparison(Comparison& op) {
    constexpr std::pair<std::string_view, Comparison> kSymbols[] = {
        {"<", Comparison::lt},  {"<=", Comparison::le}, {">", Comparison::gt},
        {">=", Comparison::ge}, {"==", Comparison::eq}, {"!=", Comparison::ne}};
    for (const auto& [text, meaning] : kSymbols) {
      if (!take_symbol(text)) continue;
      op = meaning;
      return true;
    }
    if (take_name("in")) {
      op = Comparison::in;
      return true;
    }
    const bool not_in =
        is_name("not") && tokens_[next_ + 1].kind == Token::Kind::name && tokens_[next_ + 1].text == "in";
    if (not_in) {
      next_ += 2;
      op = Comparison::not_in;
    }
    return not_in;
  }

  Result<Ptr> comparison() {
    PENSTOCK_ASSIGN_OR_RETURN(Ptr first, sum());
    Node::Step step{Comparison::eq, here().at};
    if (!take_comparison(step.op)) return first;
    Ptr node = make(Kind::compare, step.at);
    PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(first)));
    // A chain is kept as it was written, a < b < c with two operators between three arguments. What it means
    // is for bind.cc to say.
    do {
      PENSTOCK_ASSIGN_OR_RETURN(Ptr more, sum());
      PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(more)));
      node->comparisons.push_back(step);
      step.at = here().at;
    } while (take_comparison(step.op));
    return node;
  }

  Result<Ptr> binary(Arithmetic op, std::size_t at, Ptr left, Ptr right) const {
    Ptr node = make(Kind::arithmetic, at);
    node->op = op;
    PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(left)));
    PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(right)));
    return node;
  }

  Result<Ptr> sum() {
    PENSTOCK_ASSIGN_OR_RETURN(Ptr left, product());
    while (is_symbol("+") || is_symbol("-")) {
      const std::size_t at = here().at;
      const Arithmetic op = take_symbol("+") ? Arithmetic::add : Arithmetic::subtract;
      // take_symbol() has only moved on if it was a +.
      if (op == Arithmetic::subtract) ++next_;
      PENSTOCK_ASSIGN_OR_RETURN(Ptr right, product());
      PENSTOCK_ASSIGN_OR_RETURN(left, binary(op, at, std::move(left), std::move(right)));
    }
    return left;
  }

  Result<Ptr> product() {
    constexpr std::pair<std::string_view, Arithmetic> kSymbols[] = {{"*", Arithmetic::multiply},
                                                                    {"/", Arithmetic::divide},
                                                                    {"//", Arithmetic::floor_divide},
                                                                    {"%", Arithmetic::modulo}};
    PENSTOCK_ASSIGN_OR_RETURN(Ptr left, unary());
    while (true) {
      const std::size_t at = here().at;
      const auto* found = std::find_if(std::begin(kSymbols), std::end(kSymbols),
                                       [&](const auto& each) { return take_symbol(each.first); });
      if (found == std::end(kSymbols)) return left;
      PENSTOCK_ASSIGN_OR_RETURN(Ptr right, unary());
      PENSTOCK_ASSIGN_OR_RETURN(left, binary(found->second, at, std::move(left), std::move(right)));
    }
  }

  // Signs bind less than **, as in Python: -2 ** 2 is -4. A + changes nothing and leaves no node.
  Result<Ptr> unary() {
    const Level level(depth_);
    const std::size_t at = here().at;
    if (depth_ > kMostCalls) return too_deep(at);
    if (take_symbol("+")) return unary();
    const bool minus = is_symbol("-"), tilde = is_symbol("~");
    if (!minus && !tilde) return power();
    ++next_;
    PENSTOCK_ASSIGN_OR_RETURN(Ptr inner, unary());
    Ptr node = make(minus ? Kind::negate : Kind::invert, at);
    PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(inner)));
    return node;
  }

  Result<Ptr> power() {
    PENSTOCK_ASSIGN_OR_RETURN(Ptr left, postfix());
    const std::size_t at = here().at;
    if (!take_symbol("**")) return left;
    PENSTOCK_ASSIGN_OR_RETURN(Ptr right, unary());
    return binary(Arithmetic::power, at, std::move(left), std::move(right));
  }

  Result<Ptr> postfix() {
    PENSTOCK_ASSIGN_OR_RETURN(Ptr node, primary());
    while (true) {
      if (is_symbol("(")) return source_.error(here().at, "functions cannot be called in a query");
      if (is_symbol("[")) return source_.error(here().at, "nothing can be indexed in a query");
      if (!take_symbol(".")) return node;
      PENSTOCK_ASSIGN_OR_RETURN(node, method(std::move(node)));
    }
  }

  // Behind a dot.
  Result<Ptr> method(Ptr of) {
    const std::size_t at = here().at;
    // A column whose name has a dot looks like a method: pct.mito needs back-quotes, and the error says so.
    const auto unknown = [&](std::string_view name) {
      std::string hint = fmt::format("there are {}", kMethods);
      if (of->kind == Kind::column) hint += fmt::format("; a column of this name is `{}.{}`", of->name, name);
      return source_.error(at, fmt::format("'{}' is no method of a query: {}", name, hint));
    };
    if (here().kind != Token::Kind::name) return source_.error(at, "expected a method's name");
    const std::string name = tokens_[next_++].text;
    if (name == "str") {
      if (!take_symbol(".") || here().kind != Token::Kind::name)
        return source_.error(here().at, "expected a method of .str");
      const std::string test = tokens_[next_++].text;
      Ptr node = make(Kind::text_test, at);
      if (test == "startswith") {
        node->test = TextTest::startswith;
      } else if (test == "endswith") {
        node->test = TextTest::endswith;
      } else if (test != "contains") {
        return unknown("str." + test);
      }
      PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(of)));
      PENSTOCK_RETURN_IF_ERROR(text_arguments(*node));
      return node;
    }
    if (name == "isin") {
      Ptr node = make(Kind::compare, at);
      PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(of)));
      PENSTOCK_RETURN_IF_ERROR(expect("("));
      // What isin() looks for is known before rows are read: a column or a calculation is no list.
      if (!is_symbol("[") && !is_symbol("(") && here().kind != Token::Kind::parameter) {
        return source_.error(here().at, "isin() takes a list or a @parameter");
      }
      PENSTOCK_ASSIGN_OR_RETURN(Ptr list, primary());
      PENSTOCK_RETURN_IF_ERROR(expect(")"));
      PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(list)));
      node->comparisons.push_back({Comparison::in, at});
      return node;
    }
    const bool null = name == "isnull" || name == "isna", not_null = name == "notnull" || name == "notna";
    if (!null && !not_null) return unknown(name);
    Ptr node = make(Kind::is_null, at);
    node->negated = not_null;
    PENSTOCK_RETURN_IF_ERROR(put(*node, std::move(of)));
    PENSTOCK_RETURN_IF_ERROR(expect("("));
    PENSTOCK_RETURN_IF_ERROR(expect(")"));
    return node;
  }

  // ("x", na=False, regex=False) of a method of .str
  Status text_arguments(Node& node) {
    PENSTOCK_RETURN_IF_ERROR(expect("("));
    const std::size_t at = here().at;
    PENSTOCK_ASSIGN_OR_RETURN(Ptr what, primary());
    // pandas reads the argument of contains() as a regular expression unless regex=False; bind.cc refuses
    // texts that would be one.
    bool regex = node.test == TextTest::contains;
    while (take_symbol(",")) {
      const Token keyword = here();
      // A comma may stand before the closing bracket.
      if (is_symbol(")")) break;
      ++next_;
      const bool is_na = keyword.text == "na",
                 is_regex = keyword.text == "regex" && node.test == TextTest::contains;
      if (keyword.kind != Token::Kind::name || !(is_na || is_regex) || !take_symbol("=")) {
        return source_.error(keyword.at, node.test == TextTest::contains ? "expected regex=False or na=False"
                                                                         : "expected na=False");
      }
      const bool yes = is_name("True"), no = is_name("False");
      if (!yes && !no) return source_.error(here().at, fmt::format("{}= is True or False", keyword.text));
      ++next_;
      if (is_na) node.missing.value = yes;
      if (is_regex) regex = yes;
    }
    PENSTOCK_RETURN_IF_ERROR(expect(")"));
    node.regex = regex;
    // A parameter's value is not known yet, and is checked when it is bound.
    if (what->kind == Kind::constant) {
      const auto* text = std::get_if<std::string>(&what->value.value);
      if (text == nullptr) return source_.error(at, "expected a string");
    }
    return put(node, std::move(what));
  }

  Result<Ptr> primary() {
    const Level level(depth_);
    const Token& token = here();
    if (depth_ > kMostCalls) return too_deep(token.at);
    switch (token.kind) {
      case Token::Kind::literal: {
        Ptr node = make(Kind::constant, token.at);
        node->value = token.value;
        ++next_;
        return node;
      }
      case Token::Kind::parameter:
      case Token::Kind::quoted_name:
        break;
      case Token::Kind::name:
        return word();
      case Token::Kind::symbol:
        if (token.text == "(" || token.text == "[") return bracket();
        return source_.error(token.at, fmt::format("expected a value before {}", token.text));
      case Token::Kind::end:
        return source_.error(token.at, "expected a value, found the end");
    }
    Ptr node = make(token.kind == Token::Kind::parameter ? Kind::parameter : Kind::column, token.at);
    node->quoted = token.kind == Token::Kind::quoted_name;
    node->name = token.text;
    ++next_;
    return node;
  }

  Result<Ptr> word() {
    const Token& token = here();
    Ptr node = make(Kind::constant, token.at);
    if (token.text == "True" || token.text == "False") {
      node->value.value = token.text == "True";
    } else if (token.text != "None") {
      // Words that Python does not allow as names. Most queries that end up here lack a value: "a > and b".
      for (const std::string_view reserved :
           {"and", "or", "not", "in", "is", "if", "else", "for", "lambda"}) {
        if (token.text == reserved) {
          return source_.error(token.at, fmt::format("expected a value before '{}'", reserved));
        }
      }
      node->kind = Kind::column;
      node->name = token.text;
    }
    ++next_;
    return node;
  }

  // (expression), (a, b) and [a, b]
  Result<Ptr> bracket() {
    const std::size_t at = here().at;
    const bool square = is_symbol("[");
    const std::string_view end = square ? "]" : ")";
    ++next_;
    Ptr list = make(Kind::list, at);
    // [x] is a list of one value, (x) is x, and (x,) is a list again: a round bracket is a list once a comma
    // was seen.
    bool comma = square;
    while (!take_symbol(end)) {
      PENSTOCK_ASSIGN_OR_RETURN(Ptr item, any_of());
      if (!comma && take_symbol(end)) return item;
      PENSTOCK_RETURN_IF_ERROR(put(*list, std::move(item)));
      if (take_symbol(",")) {
        comma = true;
      } else if (!is_symbol(end)) {
        return source_.error(here().at,
                             fmt::format("expected {}", comma ? "a comma or " + std::string(end) : end));
      }
    }
    return list;
  }

  const SourceText& source_;
  const std::vector<Token> tokens_;
  std::size_t next_ = 0, depth_ = 0;
};

}  // namespace

// In the order of the enumeration.
const char* symbol(Arithmetic op) {
  constexpr const char* kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};
  return kSymbols[static_cast<std::size_t>(op)];
}

const char* symbol(Comparison op) {
  constexpr const char* kSymbols[] = {"<", "<=", ">", ">=", "==", "!=", "in", "not in"};
  return kSymbols[static_cast<std::size_t>(op)];
}

Result<Ptr> parse(const SourceText& source) {
  PENSTOCK_ASSIGN_OR_RETURN(auto tokens, tokenize(source));
  return Parser(source, std::move(tokens)).run();
}

}  // namespace penstock::query
