// Llama 3.1 and later: the output is nothing but {"name": ..., "parameters": {...}}, or several
// with semicolons between them, sometimes behind <|python_tag|>. Anything may begin with a bracket,
// so only declared tools count.
#include "chat/formats/formats.h"

namespace puna::chat {
namespace {

bool UsedBy(std::string_view source) {
  const auto has = [&](std::string_view text) {
    return source.find(text) != std::string_view::npos;
  };
  return has("<|python_tag|>") || (has("<|start_header_id|>") && has("ipython"));
}

std::unique_ptr<CallReader> Open(const CallContext& context) {
  return MakeJsonReader(context, "", true);
}

grammar::Part Calls(std::span<const Tool> tools, bool several) {
  return CallsPart(JsonCallPart(tools, "parameters"), "; ", several);
}

}  // namespace

ToolFormat Llama3Format() { return {"llama3", UsedBy, {"<|python_tag|>"}, true, Open, Calls}; }

}  // namespace puna::chat
