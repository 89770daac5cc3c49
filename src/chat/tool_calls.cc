#include <algorithm>

#include "base/json.h"
#include "chat/json_scanner.h"
#include "chat/tool_format.h"

namespace puna::chat {
namespace {

bool IsDeclared(std::string_view name, std::span<const Tool> tools) {
  return std::any_of(tools.begin(), tools.end(),
                     [&](const Tool& tool) { return tool.name() == name; });
}

// The arguments as an object; some models write them as text that contains one.
bool ReadArguments(const Json& json, Json* arguments) {
  if (json.is_null()) {
    *arguments = Json::object();
    return true;
  }
  if (json.is_string()) {
    const Json parsed = ParseModelJson(json.get_ref<const std::string&>());
    if (!parsed.is_object()) return false;
    *arguments = parsed;
    return true;
  }
  if (!json.is_object()) return false;
  *arguments = json;
  return true;
}

bool ReadCall(const Json& json, std::span<const Tool> tools, bool declared_only,
              std::vector<ToolCall>* calls) {
  if (!json.is_object() || json.empty()) return false;
  const Json* source = &json;
  if (const auto function = json.find("function"); function != json.end() && function->is_object())
    source = &*function;
  ToolCall call;
  for (const char* key : {"name", "function", "tool_name"}) {
    const auto name = source->find(key);
    if (name == source->end() || !name->is_string()) continue;
    call.name = name->get<std::string>();
    break;
  }
  if (call.name.empty()) {  // {"tool": {...}}
    const auto only = json.begin();
    if (json.size() != 1 || !only.value().is_object() || !IsDeclared(only.key(), tools))
      return false;
    call.name = only.key();
    call.arguments = only.value();
  } else {
    for (const char* key : {"arguments", "parameters", "args"}) {
      const auto arguments = source->find(key);
      if (arguments == source->end()) continue;
      if (!ReadArguments(*arguments, &call.arguments)) return false;
      break;
    }
  }
  if (declared_only && !IsDeclared(call.name, tools)) return false;
  if (const auto id = json.find("id"); id != json.end() && id->is_string())
    call.id = id->get<std::string>();
  calls->push_back(std::move(call));
  return true;
}

}  // namespace

bool CallsFromJson(const std::string& text, std::span<const Tool> tools, bool declared_only,
                   std::vector<ToolCall>* calls) {
  const Json json = ParseModelJson(text);
  if (json.is_discarded()) return false;
  const Json* list = &json;
  if (const auto inside = json.is_object() ? json.find("tool_calls") : json.end();
      inside != json.end() && inside->is_array())
    list = &*inside;
  if (!list->is_array()) return ReadCall(json, tools, declared_only, calls);
  std::vector<ToolCall> found;
  for (const Json& item : *list) {
    if (!ReadCall(item, tools, declared_only, &found)) return false;
  }
  for (ToolCall& call : found) calls->push_back(std::move(call));
  return !list->empty();
}

}  // namespace puna::chat
