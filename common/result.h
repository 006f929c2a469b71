#pragma once

// Result<T>: a value, or an Error that names the operation, the object and the cause.
// A dropped Result does not compile; nothing here throws.

#include <cassert>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace sysbox {

// Joins its arguments into one string; numbers are written in decimal.
template <typename... Parts>
std::string join(const Parts&... parts) {
  std::string text;
  const auto append = [&text](const auto& part) {
    using Part = std::decay_t<decltype(part)>;
    if constexpr (std::is_arithmetic_v<Part> && !std::is_same_v<Part, char>) {
      text += std::to_string(part);
    } else {
      text += part;
    }
  };
  (append(parts), ...);
  return text;
}

// An errno and one line for people: "open '/x': No such file or directory".
class [[nodiscard]] Error {
 public:
  // `code` is an errno value (> 0); `message` stands as it is.
  Error(int code, std::string message) : code_(code), message_(std::move(message)) {}

  int code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error seen from further out: "outer: inner".
  Error in(std::string_view outer) && {
    message_ = join(outer, ": ", message_);
    return std::move(*this);
  }

 private:
  int code_;
  std::string message_;
};

// The text of an errno value; thread-safe, never null.
inline const char* errno_text(int code) {
  const char* text = strerrordesc_np(code);
  return text != nullptr ? text : "Unknown error";
}

// An Error of a known errno: "<parts>: <text of code>".
template <typename... Parts>
Error errno_error(int code, const Parts&... parts) {
  return {code, join(parts..., ": ", errno_text(code))};
}

// An Error of the calling thread's errno, which is read before any text is built.
template <typename... Parts>
Error last_error(const Parts&... parts) {
  const int code = errno;
  return errno_error(code, parts...);
}

template <typename T>
class [[nodiscard]] Result {
 public:
  using Value = T;

  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  const T& value() const& { return checked(); }
  T& value() & { return const_cast<T&>(checked()); }
  T value() && { return std::move(const_cast<T&>(checked())); }
  T value_or(T otherwise) && { return ok() ? std::move(value()) : std::move(otherwise); }

  const Error& error() const& { return std::get<1>(state_); }
  Error error() && { return std::get<1>(std::move(state_)); }

  // Adds what the caller was doing to the error, if there is one.
  Result in(std::string_view outer) && {
    if (ok()) return std::move(*this);
    return std::get<1>(std::move(state_)).in(outer);
  }

 private:
  const T& checked() const {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using Value = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const { assert(ok()); }

  const Error& error() const& { return *error_; }
  Error error() && { return *std::move(error_); }

  Result in(std::string_view outer) && {
    if (ok()) return {};
    return (*std::move(error_)).in(outer);
  }

 private:
  std::optional<Error> error_;
};

}  // namespace sysbox

// The value of a Result, or a return of its error from the calling function. One per statement.
#define TRY(expression)                                         \
  __extension__({                                               \
    auto try_result = (expression);                             \
    if (!try_result.ok()) return std::move(try_result).error(); \
    std::move(try_result).value();                              \
  })
