// Errors as values. Every fallible function of Penstock returns a Status or a Result<T>; no exception
// crosses a module edge.
//
//   penstock::Result<int> parse(std::string_view text);
//   penstock::Status run() {
//     PENSTOCK_ASSIGN_OR_RETURN(const int n, parse("42"));
//     if (n < 0) return penstock::Status::invalid_argument("n must not be negative");
//     return {};
//   }
//
// A message is for people. Code that has to act on an error asks its code() and its facts(), and never looks
// for words in the message:
//
//   if (status.facts().way_out(penstock::Option::index_memory) != nullptr) open_again_with_more();
//
// Thread contract: values; share them like a std::string.
// Layer: base.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace penstock {

// One meaning each; the comment names the Python exception it becomes.
enum class StatusCode : std::uint8_t {
  ok,
  invalid_argument,  // the caller's value is wrong                       ValueError
  not_found,         // file, group, column or gene is absent             FileNotFoundError (paths), KeyError
  unsupported,       // a valid file, a feature that is not read (yet)    NotImplementedError
  corrupt,           // the bytes contradict the format or themselves     penstock.CorruptFileError
  io_error,          // the system failed a read; errno is kept           OSError
  budget,            // a plan or a reservation does not fit              penstock.MemoryBudgetError
  cancelled,         // closed by somebody, or in use by another thread   RuntimeError
  internal,          // a bug of Penstock                                 RuntimeError
};

// "invalid_argument", "corrupt", ...
std::string_view status_code_name(StatusCode code);

// Options whose change can let a refused call through, by the names that they have in options.h.
enum class Option : std::uint8_t {
  memory,
  shared_budget,
  index_memory,
  batch_size,
  window_rows,
  block_rows,
  format,
  dtype
};
// "memory", "batch_size", ...
std::string_view option_name(Option option);

// One change that lets a refused call through.
struct WayOut {
  Option option = Option::memory;
  std::string text;          // in a message: "batch_size <= 117"; empty: the message has its own words
  std::uint64_t number = 0;  // at most so many rows, at least so many bytes; 0: not known, or no number
  std::string choice;        // the value of an option that is no number: "csr"
};

// What is known of an error beside its code.
struct ErrorFacts {
  // Of a reservation that was refused: the bytes asked for, and those that were free. 0 and 0: of none.
  std::uint64_t needed_bytes = 0, free_bytes = 0;
  // Each of them is enough.
  std::vector<WayOut> ways_out;

  // That of an option, or null.
  const WayOut* way_out(Option option) const;
};

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(StatusCode code, std::string message, int system_errno = 0)
      : code_(code), errno_(system_errno), message_(std::move(message)) {}

  static Status invalid_argument(std::string m) { return {StatusCode::invalid_argument, std::move(m)}; }
  static Status not_found(std::string m) { return {StatusCode::not_found, std::move(m)}; }
  // A path that does not exist (FileNotFoundError rather than KeyError in Python).
  static Status path_not_found(std::string m);
  static Status unsupported(std::string m) { return {StatusCode::unsupported, std::move(m)}; }
  static Status corrupt(std::string m) { return {StatusCode::corrupt, std::move(m)}; }
  static Status io_error(std::string m, int e = 0) { return {StatusCode::io_error, std::move(m), e}; }
  static Status budget(std::string m) { return {StatusCode::budget, std::move(m)}; }
  static Status cancelled(std::string m) { return {StatusCode::cancelled, std::move(m)}; }
  static Status internal(std::string m) { return {StatusCode::internal, std::move(m)}; }

  bool ok() const { return code_ == StatusCode::ok; }
  StatusCode code() const { return code_; }
  // errno of the failed system call, or 0.
  int system_errno() const { return errno_; }
  // What failed, where (file, object path, chunk, byte offset), expected against found, what to do.
  const std::string& message() const { return message_; }
  // "corrupt: file.h5ad: ..." for logs and the command line.
  std::string to_string() const;
  const ErrorFacts& facts() const;
  // The message without its last sentence, of the ways out, and without a picture.
  std::string_view headline() const;
  // The lines at the message's end that show a place, or nothing.
  std::string_view picture() const;

  // The same error, of which more is said or known. No effect on ok.
  //
  // "context: " is put before its message.
  Status with_context(std::string_view context) &&;
  // The same with a file's name, which is remembered for as long as the message begins with it: whoever knows
  // what was read then says so behind the name and not before it, "a.h5ad: X/data: reading ...".
  Status with_file(std::string_view label) &&;
  // The file that the message begins with, or "".
  std::string_view file() const;
  // In other words. The facts stay, but for file().
  Status reworded(std::string message) &&;
  // Of a reservation that was refused.
  Status with_bytes(std::uint64_t needed, std::uint64_t free) &&;
  // Its message says already that more of this option helps.
  Status with_way_out(Option option) &&;
  // These, instead of those that it had. The texts are put behind the headline: ". Use a, b or c."
  Status with_ways_out(std::vector<WayOut> ways) &&;
  // Lines behind the headline that show the place in what the caller wrote. For terminals and notebooks; a
  // message on one line leaves them out.
  Status with_picture(std::string_view lines) &&;

 private:
  struct Details;
  Details& details();  // its own copy
  void set_ending(std::string_view text, bool picture);

  StatusCode code_ = StatusCode::ok;
  int errno_ = 0;
  std::string message_;
  std::shared_ptr<const Details> details_;  // null: no facts, no ending
};

// A T or the reason why there is none. value() may only be called when ok().
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}         // NOLINT: implicit
  Result(Status status) : state_(std::in_place_index<1>, std::move(status)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  T& operator*() & { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  const T& operator*() const& { return std::get<0>(state_); }
  Status status() const& { return ok() ? Status() : std::get<1>(state_); }
  Status status() && { return ok() ? Status() : std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace penstock

#define PENSTOCK_CONCAT_INNER(a, b) a##b
#define PENSTOCK_CONCAT(a, b) PENSTOCK_CONCAT_INNER(a, b)
#define PENSTOCK_RETURN_IF_ERROR(expr)                   \
  do {                                                   \
    ::penstock::Status penstock_status_ = (expr);        \
    if (!penstock_status_.ok()) return penstock_status_; \
  } while (false)
#define PENSTOCK_ASSIGN_OR_RETURN_IMPL(result, lhs, expr) \
  auto result = (expr);                                   \
  if (!result.ok()) return std::move(result).status();    \
  lhs = std::move(result).value()
// lhs may declare a variable: PENSTOCK_ASSIGN_OR_RETURN(auto x, f());
#define PENSTOCK_ASSIGN_OR_RETURN(lhs, expr) \
  PENSTOCK_ASSIGN_OR_RETURN_IMPL(PENSTOCK_CONCAT(penstock_result_, __LINE__), lhs, expr)
