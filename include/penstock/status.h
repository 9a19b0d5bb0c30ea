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
// Thread contract: values; share them like a std::string.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace penstock {

// One meaning each; the comment names the Python exception it becomes.
enum class StatusCode : std::uint8_t {
  ok,
  invalid_argument,  // the caller's value is wrong                         ValueError
  not_found,    // file, group, column or gene is absent               FileNotFoundError (paths) or KeyError
  unsupported,  // a valid file, a feature that is not read (yet)      NotImplementedError
  corrupt,      // the bytes contradict the format or themselves       penstock.CorruptFileError
  io_error,     // the system failed a read; errno is kept             OSError
  budget,       // a plan or a reservation does not fit                penstock.MemoryBudgetError
  cancelled,    // closed by somebody                                  RuntimeError("loader closed")
  internal,     // a bug of Penstock                                   RuntimeError
};

// "invalid_argument", "corrupt", ...
std::string_view status_code_name(StatusCode code);

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
  // The same error with "context: " put before its message. No effect on ok.
  Status with_context(std::string_view context) &&;

 private:
  StatusCode code_ = StatusCode::ok;
  int errno_ = 0;
  std::string message_;
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
