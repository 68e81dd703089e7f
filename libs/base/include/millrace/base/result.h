#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace millrace {

/// What the caller can do about an error. One to one to the gRPC codes of the same names; kFenced
/// maps to FAILED_PRECONDITION and kCorruption to DATA_LOSS.
enum class Code {
  kInvalidArgument,    ///< fix the request
  kNotFound,           ///< what was named does not exist
  kConflict,           ///< re-read, then decide
  kFenced,             ///< stop: a newer owner exists
  kUnavailable,        ///< retry; the outcome may be unknown
  kResourceExhausted,  ///< slow down
  kCorruption,         ///< halt, repair
  kInternal,           ///< our bug
};

/// "invalid_argument", "unavailable", ...
std::string_view CodeName(Code code);

/// An error value: what to do (`code`) and what happened, to what, with facts as key=value last
/// (`message`).
struct Error {
  Code code;
  std::string message;

  /// "unavailable: append timed out topic=flights partition=2"
  std::string ToString() const;
};

inline Error InvalidArgument(std::string m) { return {Code::kInvalidArgument, std::move(m)}; }
inline Error NotFound(std::string m) { return {Code::kNotFound, std::move(m)}; }
inline Error Conflict(std::string m) { return {Code::kConflict, std::move(m)}; }
inline Error Fenced(std::string m) { return {Code::kFenced, std::move(m)}; }
inline Error Unavailable(std::string m) { return {Code::kUnavailable, std::move(m)}; }
inline Error ResourceExhausted(std::string m) { return {Code::kResourceExhausted, std::move(m)}; }
inline Error Corruption(std::string m) { return {Code::kCorruption, std::move(m)}; }
inline Error Internal(std::string m) { return {Code::kInternal, std::move(m)}; }

[[noreturn]] void FailResultAccess(const Error* error);

/// A value or an Error, shaped like std::expected. Dropping one is a compile error; to drop it on
/// purpose say
/// `.Ignore("reason")`. Reading the side that is not there throws InvariantViolation (check.h).
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: as std::expected
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return Check(), std::get<0>(state_); }
  const T& value() const& { return Check(), std::get<0>(state_); }
  /// By value, so that `for (auto& x : F().value())` keeps what it walks.
  T value() && { return Check(), std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const {
    if (ok()) FailResultAccess(nullptr);
    return std::get<1>(state_);
  }

  /// Drops value and error; `reason` says to the reader why that is right.
  void Ignore(std::string_view /*reason*/) const {}

 private:
  void Check() const {
    if (!ok()) FailResultAccess(&std::get<1>(state_));
  }

  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: as std::expected

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    if (ok()) FailResultAccess(nullptr);
    return *error_;
  }
  void Ignore(std::string_view /*reason*/) const {}

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace millrace

#define MILLRACE_CONCAT_(a, b) a##b
#define MILLRACE_CONCAT(a, b) MILLRACE_CONCAT_(a, b)

/// Returns the error of `expr` from the enclosing function, or goes on.
#define MILLRACE_TRY(expr)                                                                    \
  do {                                                                                        \
    if (auto millrace_status = (expr); !millrace_status.ok()) return millrace_status.error(); \
  } while (false)

/// `MILLRACE_ASSIGN(auto x, F());` binds the value of F() to x or returns its error.
#define MILLRACE_ASSIGN(decl, expr) \
  MILLRACE_ASSIGN_(MILLRACE_CONCAT(millrace_result_, __LINE__), decl, expr)
#define MILLRACE_ASSIGN_(tmp, decl, expr) \
  auto tmp = (expr);                      \
  if (!tmp.ok()) return tmp.error();      \
  decl = std::move(tmp).value()

/// The same two inside a coroutine: `MILLRACE_CO_TRY(co_await F());`. The awaited call must stand
/// alone.
#define MILLRACE_CO_TRY(expr)                                     \
  do {                                                            \
    auto millrace_status = expr;                                  \
    if (!millrace_status.ok()) co_return millrace_status.error(); \
  } while (false)
#define MILLRACE_CO_ASSIGN(decl, expr) \
  MILLRACE_CO_ASSIGN_(MILLRACE_CONCAT(millrace_result_, __LINE__), decl, expr)
#define MILLRACE_CO_ASSIGN_(tmp, decl, expr) \
  auto tmp = expr;                           \
  if (!tmp.ok()) co_return tmp.error();      \
  decl = std::move(tmp).value()
