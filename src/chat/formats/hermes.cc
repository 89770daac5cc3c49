// Hermes, Qwen 2.5 and 3 and many who follow them: <tool_call>{"name": ..., "arguments":
// {...}}</tool_call>, once per call.
#include "chat/formats/formats.h"

namespace puna::chat {
namespace {

bool UsedBy(std::string_view source) {
  const auto has = [&](std::string_view text) {
    return source.find(text) != std::string_view::npos;
  };
  // Families that put XML or key-value pairs between the same tags say so in their templates.
  return has("<tool_call>") && has("</tool_call>") && !has("<function=") && !has("<arg_key>");
}

std::unique_ptr<CallReader> Open(const CallContext& context) {
  return MakeJsonReader(context, "</tool_call>", false);
}

// "<tool_call>" is followed by a line end, and so is the JSON; calls stand one line apart.
grammar::Part Calls(std::span<const Tool> tools, bool several) {
  using grammar::Part;
  const Part line_end = Part::Optional(Part::Text("\n"));
  return CallsPart(
      Part::Sequence({Part::Token("<tool_call>"), line_end, JsonCallPart(tools, "arguments"),
                      line_end, Part::Token("</tool_call>")}),
      "\n", several);
}

}  // namespace

ToolFormat HermesFormat() { return {"hermes", UsedBy, {"<tool_call>"}, false, Open, Calls}; }

}  // namespace puna::chat
