// The only map between error codes and HTTP, and the error bodies of the dialects.
#ifndef PUNA_API_ERRORS_H_
#define PUNA_API_ERRORS_H_

#include <string>

#include "base/json.h"
#include "base/result.h"

namespace puna::api {

int HttpStatus(ErrorCode code);

// {"error": "<message>"}
Json OllamaError(const Error& error);
// {"error": {"message", "type", "param": null, "code": null}}, the type by status.
Json OpenAiError(const Error& error);

}  // namespace puna::api

#endif  // PUNA_API_ERRORS_H_
