// Names for answers and tool calls. Not secret.
#ifndef PUNA_API_RANDOM_ID_H_
#define PUNA_API_RANDOM_ID_H_

#include <string>
#include <string_view>

namespace puna::api {

// `prefix` and `length` random characters of [a-z0-9].
std::string RandomId(std::string_view prefix, int length);

}  // namespace puna::api

#endif  // PUNA_API_RANDOM_ID_H_
