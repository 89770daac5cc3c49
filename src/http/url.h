// URLs: percent-encoding (decoding is in base/hex.h), and resolving one against another. Thread
// safe, no state.
#ifndef PUNA_HTTP_URL_H_
#define PUNA_HTTP_URL_H_

#include <string>
#include <string_view>

#include "base/result.h"

namespace puna::http {

// What is neither a letter, a digit nor one of -._~ becomes %XX.
std::string EncodeComponent(std::string_view text);

struct UrlParts {
  std::string scheme;  // lower case
  std::string host;    // lower case, with ":port" where the URL has one
};
// kInvalidArgument for what is no http or https URL.
Result<UrlParts> SplitUrl(const std::string& url);
// The URL that `reference` (absolute or relative) means on the page `base`.
Result<std::string> ResolveUrl(const std::string& base, const std::string& reference);

}  // namespace puna::http

#endif  // PUNA_HTTP_URL_H_
