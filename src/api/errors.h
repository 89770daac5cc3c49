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
// OpenAI:    {"error": {"message", "type", "param": null, "code"}}, the type by status; the code is
//            null but for kContextExceeded
// Anthropic: {"type": "error", "error": {"type", "message"}, "request_id"}, the type by status
Json ErrorBody(Dialect dialect, int status, std::string_view message, std::string_view request_id);
Json ErrorBody(Dialect dialect, const Error& error, std::string_view request_id);
// By this code agents see that they have to shorten the conversation.
inline constexpr std::string_view kOpenAiContextExceeded = "context_length_exceeded";

// What an exception that ends a request is told as.
Error ErrorOf(const std::exception& exception);

}  // namespace puna::api

#endif  // PUNA_API_ERRORS_H_
