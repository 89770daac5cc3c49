// The only map between error codes and HTTP, and the error bodies of the dialects.
#ifndef PUNA_API_ERRORS_H_
#define PUNA_API_ERRORS_H_

#include <exception>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace puna::api {

int HttpStatus(ErrorCode code);

// Whose form answers have; the path says it.
enum class Dialect { kOllama, kOpenAi, kAnthropic };
Dialect DialectOf(std::string_view path);

// Ollama:    {"error": message}
// OpenAI:    {"error": {"message", "type", "param": null, "code": null}}, the type by status
// Anthropic: {"type": "error", "error": {"type", "message"}, "request_id"}, the type by status
Json ErrorBody(Dialect dialect, int status, std::string_view message);
inline Json ErrorBody(Dialect dialect, const Error& error) {
  return ErrorBody(dialect, HttpStatus(error.code), error.message);
}

// What an exception that ends a request is told as.
Error ErrorOf(const std::exception& exception);

}  // namespace puna::api

#endif  // PUNA_API_ERRORS_H_
