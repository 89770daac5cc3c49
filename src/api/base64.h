// Base64, as pictures and vectors travel in JSON.
#ifndef PUNA_API_BASE64_H_
#define PUNA_API_BASE64_H_

#include <string>
#include <string_view>

#include "base/result.h"

namespace puna::api {

// The standard alphabet; padding may be missing. Anything else is kInvalidArgument "illegal base64
// data at input byte N".
Result<std::string> DecodeBase64(std::string_view text);

// With padding.
std::string EncodeBase64(std::string_view bytes);

}  // namespace puna::api

#endif  // PUNA_API_BASE64_H_
