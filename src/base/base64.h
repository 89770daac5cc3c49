// Base64, as pictures, vectors, keys and signatures travel in text.
#ifndef PUNA_BASE_BASE64_H_
#define PUNA_BASE_BASE64_H_

#include <string>
#include <string_view>

#include "base/result.h"

namespace puna {

// The standard alphabet; padding may be missing. Anything else is kInvalidArgument "illegal base64
// data at input byte N".
Result<std::string> DecodeBase64(std::string_view text);

// With padding.
std::string EncodeBase64(std::string_view bytes);

}  // namespace puna

#endif  // PUNA_BASE_BASE64_H_
