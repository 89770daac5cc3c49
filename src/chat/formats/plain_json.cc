// Where nothing is known about a template: an output that is a JSON call of a declared tool, and
// nothing else at its front.
#include "chat/formats/formats.h"

namespace puna::chat {
namespace {

std::unique_ptr<CallReader> Open(const CallContext& context) {
  return MakeJsonReader(context, "", true);
}

grammar::Part Calls(std::span<const Tool> tools, bool several) {
  return CallsPart(JsonCallPart(tools, "parameters"), "\n", several);
}

}  // namespace

ToolFormat PlainJsonFormat() {
  return {"json", [](std::string_view) { return true; }, {}, true, Open, Calls};
}

}  // namespace puna::chat
