#include "api/errors.h"

namespace puna::api {

int HttpStatus(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
      return 400;
    case ErrorCode::kUnauthorized:
      return 401;
    case ErrorCode::kPermissionDenied:
      return 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kAlreadyExists:
      return 409;
    case ErrorCode::kCancelled:
      return 499;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kCorrupt:
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

Json OllamaError(const Error& error) { return {{"error", error.message}}; }

Json OpenAiError(const Error& error) {
  const int status = HttpStatus(error.code);
  const char* type = status == 400   ? "invalid_request_error"
                     : status == 404 ? "not_found_error"
                                     : "api_error";
  return {{"error",
           {{"message", error.message}, {"type", type}, {"param", nullptr}, {"code", nullptr}}}};
}

}  // namespace puna::api
