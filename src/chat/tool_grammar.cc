#include "chat/tool_grammar.h"

#include <algorithm>
#include <utility>

#include "chat/formats/formats.h"
#include "chat/tool_format.h"

namespace puna::chat {
namespace {

using grammar::Part;

constexpr int64_t kMaxCalls = 16;

// A Go template tells how its calls begin and no more: JSON behind it is what its reader looks for.
Part GoCalls(const std::string& tag, std::span<const Tool> tools, bool several) {
  if (tag.empty() || tag == "{") return CallsPart(JsonCallPart(tools, "parameters"), "\n", several);
  const Part calls = CallsPart(JsonCallPart(tools, "arguments"), ", ", several);
  const Part list = Part::Sequence({Part::Text("["), calls, Part::Text("]")});
  if (tag == "[") return list;
  return Part::Sequence({Part::Token(tag), Part::Spaces(1),
                         tag.ends_with("[")
                             ? Part::Sequence({calls, Part::Text("]")})
                             : Part::Choice({JsonCallPart(tools, "arguments"), list})});
}

}  // namespace

Part ArgumentsPart(const Tool& tool) {
  const Json* parameters = tool.parameters();
  Json schema = parameters == nullptr ? Json{{"properties", Json::object()}} : *parameters;
  if (schema.is_object() && !schema.contains("type")) schema["type"] = "object";
  return Part::Schema(std::move(schema));
}

Part JsonCallPart(std::span<const Tool> tools, std::string_view key) {
  std::vector<Part> calls;
  for (const Tool& tool : tools) {
    const std::string head =
        fmt::format("{{\"name\": {}, \"{}\": ", DumpJson(Json(tool.name())), key);
    calls.push_back(Part::Sequence({Part::Text(head), ArgumentsPart(tool), Part::Text("}")}));
  }
  return Part::Choice(std::move(calls));
}

Part CallsPart(Part call, std::string_view between, bool several) {
  if (!several) return call;
  Part more = Part::Sequence({Part::Text(between), call});
  return Part::Sequence({std::move(call), Part::Repeat(std::move(more), 0, kMaxCalls - 1)});
}

Result<Part> ToolCallsPart(const OutputOptions& options, std::string_view only, bool several) {
  std::vector<Tool> tools;
  for (const Tool& tool : options.tools) {
    if (!tool.name().empty() && (only.empty() || tool.name() == only)) tools.push_back(tool);
  }
  if (tools.empty()) {
    if (only.empty())
      return MakeError(ErrorCode::kInvalidArgument,
                       "a tool call is required, and there are no tools");
    return MakeError(ErrorCode::kInvalidArgument, "there is no tool named \"{}\"", only);
  }
  if (options.tool_format == "go") return GoCalls(options.tool_call_tag, tools, several);
  const ToolFormat* format = FindToolFormat(options.tool_format);
  if (format == nullptr || format->calls == nullptr) {
    return MakeError(
        ErrorCode::kUnsupported,
        "tool calls cannot be required of this model: it writes them in the form \"{}\"",
        options.tool_format);
  }
  return format->calls(tools, several);
}

}  // namespace puna::chat
