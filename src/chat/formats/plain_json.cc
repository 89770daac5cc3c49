// Where nothing is known about a template: an output that is a JSON call of a declared tool, and
// nothing else at its front.
#include "chat/formats/formats.h"

namespace puna::chat {
namespace {

std::unique_ptr<CallReader> Open(const CallContext& context) {
  return MakeJsonReader(context, "", true);
}

}  // namespace

ToolFormat PlainJsonFormat() {
  return {"json", [](std::string_view) { return true; }, {}, true, Open};
}

}  // namespace puna::chat
