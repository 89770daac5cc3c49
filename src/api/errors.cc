#include "api/errors.h"

#include <new>

#include "base/text.h"

namespace puna::api {

int HttpStatus(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
    case ErrorCode::kContextExceeded:
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

Dialect DialectOf(std::string_view path) {
  const std::string_view messages = "/v1/messages";
  if (path.starts_with(messages) &&
      (path.size() == messages.size() || path[messages.size()] == '/')) {
    return Dialect::kAnthropic;
  }
  return path.starts_with("/v1/") ? Dialect::kOpenAi : Dialect::kOllama;
}

namespace {

const char* OpenAiErrorType(int status) {
  switch (status) {
    case 400:
    case 413:
      return "invalid_request_error";
    case 401:
      return "authentication_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return "api_error";
  }
}

const char* AnthropicErrorType(int status) {
  switch (status) {
    case 400:
      return "invalid_request_error";
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
    case 529:
      return "overloaded_error";
    default:
      return "api_error";
  }
}

}  // namespace

Json ErrorBody(Dialect dialect, int status, std::string_view whole_message,
               std::string_view request_id) {
  const std::string message = Shortened(whole_message);
  Json body = Json::object();
  Json& error = body["error"];
  switch (dialect) {
    case Dialect::kOllama:
      error = message;
      break;
    case Dialect::kOpenAi:
      error["message"] = message;
      error["type"] = OpenAiErrorType(status);
      error["param"] = nullptr;
      error["code"] = nullptr;
      break;
    case Dialect::kAnthropic:
      error["type"] = AnthropicErrorType(status);
      error["message"] = message;
      body["type"] = "error";
      body["request_id"] = request_id;
      break;
  }
  return body;
}

Json ErrorBody(Dialect dialect, const Error& error, std::string_view request_id) {
  Json body = ErrorBody(dialect, HttpStatus(error.code), error.message, request_id);
  if (dialect == Dialect::kOpenAi && error.code == ErrorCode::kContextExceeded)
    body["error"]["code"] = kOpenAiContextExceeded;
  return body;
}

Error ErrorOf(const std::exception& exception) {
  if (dynamic_cast<const std::bad_alloc*>(&exception) != nullptr)
    return {ErrorCode::kResourceExhausted, "there is not enough memory for this request"};
  return {ErrorCode::kInternal, fmt::format("internal error: {}", exception.what())};
}

}  // namespace puna::api
