// Percent-encoding of URLs. Thread safe, no state.
#ifndef PUNA_HTTP_URL_H_
#define PUNA_HTTP_URL_H_

#include <string>
#include <string_view>

namespace puna::http {

// %XX becomes its byte; a malformed escape stays as it is.
std::string DecodePath(std::string_view path);

}  // namespace puna::http

#endif  // PUNA_HTTP_URL_H_
