#include <algorithm>

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
    const Json parsed = Json::parse(json.get_ref<const std::string&>(), nullptr, false);
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

class JsonReader final : public CallReader {
 public:
  JsonReader(const CallContext& context, std::string_view close, bool declared_only)
      : tools_(context.tools.begin(), context.tools.end()),
        close_(close),
        declared_only_(declared_only) {}

  State Feed(char c, std::vector<ToolCall>* calls) override {
    if (scanner_.started()) return InValue(c, calls);
    if (matched_ > 0 || (!close_.empty() && c == close_[0])) return InClose(c);
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') return State::kReading;
    if (c == '{' || c == '[') return InValue(c, calls);
    if ((c == ',' || c == ';') && accepted_) return State::kReading;
    if (!accepted_) return State::kBroken;
    unread_ = std::string(1, c);
    return State::kEnded;
  }

  bool MayEnd() const override { return accepted_ && !scanner_.started(); }
  std::string unread() const override { return unread_; }

 private:
  State InValue(char c, std::vector<ToolCall>* calls) {
    const JsonScanner::State state = scanner_.Feed(c);
    if (state == JsonScanner::State::kMore) return State::kReading;
    const bool good = state == JsonScanner::State::kDone &&
                      CallsFromJson(scanner_.text(), tools_, declared_only_, calls);
    scanner_.Reset();
    if (!good) return State::kBroken;
    accepted_ = true;
    return State::kAccepted;
  }

  State InClose(char c) {
    if (c == close_[matched_]) {
      if (++matched_ < close_.size()) return State::kReading;
      return accepted_ ? State::kEnded : State::kBroken;
    }
    if (!accepted_) return State::kBroken;
    unread_ = close_.substr(0, matched_) + c;  // something else that begins alike
    return State::kEnded;
  }

  std::vector<Tool> tools_;
  std::string close_;
  bool declared_only_;
  JsonScanner scanner_;
  size_t matched_ = 0;  // bytes of close_ seen
  bool accepted_ = false;
  std::string unread_;
};

}  // namespace

bool CallsFromJson(const std::string& text, std::span<const Tool> tools, bool declared_only,
                   std::vector<ToolCall>* calls) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return false;
  if (!json.is_array()) return ReadCall(json, tools, declared_only, calls);
  std::vector<ToolCall> found;
  for (const Json& item : json) {
    if (!ReadCall(item, tools, declared_only, &found)) return false;
  }
  for (ToolCall& call : found) calls->push_back(std::move(call));
  return !json.empty();
}

std::unique_ptr<CallReader> MakeJsonReader(const CallContext& context, std::string_view close,
                                           bool declared_only) {
  return std::make_unique<JsonReader>(context, close, declared_only);
}

}  // namespace puna::chat
