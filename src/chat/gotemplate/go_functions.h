// The functions that a Go template can call, except `and` and `or`, which decide what is evaluated.
#ifndef PUNA_CHAT_GOTEMPLATE_GO_FUNCTIONS_H_
#define PUNA_CHAT_GOTEMPLATE_GO_FUNCTIONS_H_

#include <ctime>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/gotemplate/go_value.h"

namespace puna::chat::gotemplate {

struct CallContext {
  const std::tm& now;
  uint64_t max_bytes;  // of one result
};

// REQUIRES: IsFunction(name).
Result<GoValue> CallFunction(std::string_view name, const std::vector<GoValue>& arguments,
                             const CallContext& context);

// Ollama's TypeScript notation for one property of a tool's schema.
std::string TypeScriptType(const Json& property);

}  // namespace puna::chat::gotemplate

#endif  // PUNA_CHAT_GOTEMPLATE_GO_FUNCTIONS_H_
