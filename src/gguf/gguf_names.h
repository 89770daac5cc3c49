// How names, types and shapes of a GGUF file appear in messages. Internal to gguf.
#ifndef PUNA_GGUF_GGUF_NAMES_H_
#define PUNA_GGUF_GGUF_NAMES_H_

#include <string>
#include <string_view>

#include "gguf/gguf.h"

namespace puna::gguf {

// The name in single quotes, safe to print: control characters and malformed UTF-8 replaced, cut
// after 100 bytes.
std::string Quoted(std::string_view name);

// "a string", "uint32", "an array of float32".
std::string TypeNameOf(const Value& value);

}  // namespace puna::gguf

#endif  // PUNA_GGUF_GGUF_NAMES_H_
