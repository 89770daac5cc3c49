// How puna reports what can go wrong because of a caller, a file, a network or the machine: as a
// value.
//
//   Result<File> Open(const std::string& path);
//   ...
//   PUNA_ASSIGN_OR_RETURN(File file, Open(path));   // returns the error to the caller
//   if (n > limit) return MakeError(ErrorCode::kInvalidArgument, "n is {}, the limit is {}", n,
//   limit);
//
// Mistakes of puna itself are CHECKs (base/check.h), never errors. No exception crosses a front
// door.
#ifndef PUNA_BASE_RESULT_H_
#define PUNA_BASE_RESULT_H_

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace puna {

// Each code has one meaning and one HTTP status; api/errors.h holds the only map between them.
enum class ErrorCode {
  kInvalidArgument,   // the request is wrong: a field, a value, a name                          400
  kUnauthorized,      // who is asking is not known                                              401
  kPermissionDenied,  // who is asking may not, or the operating system refused                  403
  kNotFound,          // the named thing does not exist                                          404
  kAlreadyExists,     // the named thing exists and may not be replaced                          409
  kCorrupt,  // a file or a peer's answer breaks its own format                         500 (400 if
             // uploaded)
  kUnsupported,      // well formed, but puna cannot do it                                      400
  kCancelled,        // the caller went away                                                    499
  kContextExceeded,  // the text of a request has more tokens than the model reads           400
  kResourceExhausted,  // memory or disk do not suffice                                        500
  kUnavailable,  // not now: queue full, draining, peer unreachable; trying again may help  503
  kInternal,     // anything else, the operating system's own errors too                    500
};

// Lower-case words with underscores, as in "not_found".
std::string_view ErrorCodeName(ErrorCode code);

// `message` names the thing, the actual and the expected value, in lower case without a final
// period.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

template <typename... Args>
[[nodiscard]] tl::unexpected<Error> MakeError(ErrorCode code, fmt::format_string<Args...> format,
                                              Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

// The same error with "context: " put before its message.
[[nodiscard]] inline tl::unexpected<Error> WithContext(Error error, std::string_view context) {
  error.message = fmt::format("{}: {}", context, error.message);
  return tl::unexpected<Error>(std::move(error));
}

// The error of a failed system call: "<what>: <text of errno>", with the code that fits the errno.
[[nodiscard]] tl::unexpected<Error> ErrnoError(int error_number, std::string_view what);

}  // namespace puna

#define PUNA_CONCAT_INNER(a, b) a##b
#define PUNA_CONCAT(a, b) PUNA_CONCAT_INNER(a, b)

#define PUNA_RETURN_IF_ERROR(expression)                                      \
  do {                                                                        \
    if (auto puna_status = (expression); !puna_status) {                      \
      return ::tl::unexpected<::puna::Error>(std::move(puna_status).error()); \
    }                                                                         \
  } while (false)

#define PUNA_ASSIGN_OR_RETURN(declaration, expression) \
  PUNA_ASSIGN_OR_RETURN_INNER(PUNA_CONCAT(puna_result_, __LINE__), declaration, expression)
#define PUNA_ASSIGN_OR_RETURN_INNER(result, declaration, expression)              \
  auto result = (expression);                                                     \
  if (!result) return ::tl::unexpected<::puna::Error>(std::move(result).error()); \
  declaration = *std::move(result)

#endif  // PUNA_BASE_RESULT_H_
