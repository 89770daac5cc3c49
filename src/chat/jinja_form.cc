#include "chat/jinja_form.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

namespace puna::chat {
namespace {

constexpr size_t kShortIdLength = 9;

// The same for the same id in every turn, so that a conversation's prompts begin alike.
std::string ShortId(const std::string& id) {
  static constexpr std::string_view kDigits =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  const auto is_digit = [](char c) { return kDigits.find(c) != std::string_view::npos; };
  if (id.size() == kShortIdLength && std::all_of(id.begin(), id.end(), is_digit)) return id;
  uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
  for (const char c : id) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  std::string out;
  for (; out.size() < kShortIdLength; hash /= kDigits.size()) out += kDigits[hash % kDigits.size()];
  return out;
}

// A call without an id gets one, and a result that names no call the id of the first call without
// a result.
std::vector<Message> WithShortIds(std::vector<Message> messages) {
  size_t calls = 0;
  std::deque<std::string> unanswered;
  for (Message& message : messages) {
    for (ToolCall& call : message.tool_calls) {
      ++calls;
      call.id = ShortId(call.id.empty() ? std::to_string(calls) : call.id);
      unanswered.push_back(call.id);
    }
    if (message.role != "tool") continue;
    if (message.tool_call_id.empty() && !unanswered.empty()) {
      message.tool_call_id = unanswered.front();
    } else {
      message.tool_call_id = ShortId(message.tool_call_id);
    }
    std::erase(unanswered, message.tool_call_id);
  }
  return messages;
}

// Appends the result of `call`: the one that names it, else the first that names none.
void TakeResult(const ToolCall& call, std::deque<Message>* results, std::vector<Message>* out) {
  const auto names_it = [&](const Message& result) {
    return !call.id.empty() && result.tool_call_id == call.id;
  };
  auto found = std::find_if(results->begin(), results->end(), names_it);
  if (found == results->end()) {
    found = std::find_if(results->begin(), results->end(),
                         [](const Message& result) { return result.tool_call_id.empty(); });
  }
  if (found == results->end()) return;
  out->push_back(std::move(*found));
  results->erase(found);
}

std::vector<Message> WithOneCallATurn(std::vector<Message> messages) {
  std::vector<Message> out;
  for (size_t i = 0; i < messages.size();) {
    std::vector<ToolCall> calls;
    if (messages[i].tool_calls.size() > 1) calls = std::exchange(messages[i].tool_calls, {});
    Message turn = std::move(messages[i++]);
    if (calls.empty()) {
      out.push_back(std::move(turn));
      continue;
    }
    std::deque<Message> results;
    while (i < messages.size() && messages[i].role == "tool")
      results.push_back(std::move(messages[i++]));
    for (ToolCall& call : calls) {
      const std::string role = turn.role;
      turn.tool_calls = {std::move(call)};
      out.push_back(std::exchange(turn, {}));
      turn.role = role;
      TakeResult(ToolCall(out.back().tool_calls[0]), &results, &out);
    }
    std::move(results.begin(), results.end(), std::back_inserter(out));
  }
  return out;
}

void Append(const std::string& more, std::string* text) {
  if (!text->empty() && !more.empty()) *text += "\n\n";
  *text += more;
}

Message UserMessage(std::string content) {
  Message message;
  message.role = "user";
  message.content = std::move(content);
  return message;
}

bool TakesText(const Message& message) { return message.role == "user" || message.role == "tool"; }

// Makes system messages text of the user where they stand: at the end of the user's message or the
// result of a tool before them, else at the front of the one behind them, else as a message. So a
// text stays in its place as the conversation grows, and no result is parted from its call.
std::vector<Message> WithSystemInUser(std::vector<Message> messages, bool keep_first) {
  std::vector<Message> out;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "system") {
      out.push_back(std::move(messages[i]));
      continue;
    }
    Message text = std::move(messages[i]);
    for (; i + 1 < messages.size() && messages[i + 1].role == "system"; ++i)
      Append(messages[i + 1].content, &text.content);
    if (out.empty() && keep_first) {
      out.push_back(std::move(text));
    } else if (!out.empty() && TakesText(out.back())) {
      Append(text.content, &out.back().content);
    } else if (i + 1 < messages.size() && TakesText(messages[i + 1])) {
      Append(messages[i + 1].content, &text.content);
      messages[i + 1].content = std::move(text.content);
    } else {
      out.push_back(UserMessage(std::move(text.content)));
    }
  }
  return out;
}

// Whether a template that wants user and assistant in turns takes `next` for the second message in
// a row of one of them. It does not count calls and their results.
bool IsOneTurn(const Message& message, const Message& next) {
  if (next.role == "user") return TakesText(message);
  return next.role == "assistant" && message.role == "assistant" && message.tool_calls.empty();
}

std::vector<Message> WithTurns(std::vector<Message> messages) {
  std::vector<Message> out;
  for (size_t i = 0; i < messages.size(); ++i) {
    Message& message = messages[i];
    const bool is_answer = message.role == "assistant";
    if (is_answer && i + 1 < messages.size()) {
      if (messages[i + 1].role == "user") message.tool_calls.clear();  // without a result
      // One that was stopped before its first word, or while the model thought.
      if (message.content.empty() && message.tool_calls.empty()) continue;
    }
    const bool is_first = out.empty() || out.back().role == "system";
    if (is_first && (is_answer || message.role == "tool")) out.push_back(UserMessage(""));
    if (out.empty() || !IsOneTurn(out.back(), message)) {
      out.push_back(std::move(message));
      continue;
    }
    Message& turn = out.back();
    Append(message.content, &turn.content);
    Append(message.thinking, &turn.thinking);
    std::move(message.tool_calls.begin(), message.tool_calls.end(),
              std::back_inserter(turn.tool_calls));
  }
  return out;
}

Json& OrNew(Json* object, const char* key, Json value) {
  Json& member = (*object)[key];
  if (member.type() != value.type()) member = std::move(value);
  return member;
}

// With what a definition may leave out, as JSON Schema reads one without.
Tool InFull(Tool tool) {
  const auto function = tool.definition.find("function");
  if (function == tool.definition.end() || !function->is_object()) return tool;
  OrNew(&*function, "description", "");
  Json& schema = OrNew(&*function, "parameters", Json::object());
  if (!schema.contains("type")) schema["type"] = "object";
  for (auto& [name, property] : OrNew(&schema, "properties", Json::object()).items()) {
    if (property.is_boolean() && property.get<bool>()) property = Json::object();
    if (!property.is_object()) continue;
    OrNew(&property, "description", "");
    if (property.value("type", Json()) == "object") property.emplace("additionalProperties", true);
  }
  return tool;
}

bool IsInPart(const Tool& tool) { return InFull(tool).definition != tool.definition; }

// Templates that name types as Python does take the letters of one that they do not know for
// types, and these again.
void DropNullTypes(Json* schema) {
  if (schema->is_array()) std::erase(schema->get_ref<Json::array_t&>(), Json{{"type", "null"}});
  if (schema->is_object()) {
    const auto type = schema->find("type");
    if (type != schema->end() && type->is_array()) {
      std::erase(type->get_ref<Json::array_t&>(), "null");
      if (type->size() == 1) *type = Json(type->front());
    }
    if (type != schema->end() && (*type == "null" || *type == Json::array())) schema->erase(type);
  }
  if (!schema->is_structured()) return;
  for (Json& part : *schema) DropNullTypes(&part);
}

Tool WithoutNullTypes(Tool tool) {
  DropNullTypes(&tool.definition);
  return tool;
}

bool HasNullTypes(const Tool& tool) { return WithoutNullTypes(tool).definition != tool.definition; }

bool IsFullCall(const Message& message) {
  return !message.tool_calls.empty() && !message.thinking.empty() && !message.content.empty();
}

// Those that may make a difference to the request, the one that changes least first. All but
// `arguments_as_text` are meant to do no template harm that renders without them, so that all of
// them together serve where some do.
std::vector<bool JinjaForm::*> HabitsFor(const PromptRequest& request) {
  const std::vector<Message>& messages = request.messages;
  const auto is_system = [](const Message& m) { return m.role == "system"; };
  const auto any = [&](auto holds) { return std::any_of(messages.begin(), messages.end(), holds); };
  const bool has_calls = any([](const Message& m) { return !m.tool_calls.empty(); });
  const bool has_results = any([](const Message& m) { return m.role == "tool"; });
  const bool has_thinking = any([](const Message& m) { return !m.thinking.empty(); });
  const bool has_tools = !request.tools.empty();
  const bool has_first = !messages.empty() && is_system(messages[0]);
  const std::pair<bool, bool JinjaForm::*> all[] = {
      {has_calls, &JinjaForm::arguments_as_text},
      {has_calls || has_results, &JinjaForm::short_call_ids},
      {!has_tools, &JinjaForm::no_tools_as_list},
      {true, &JinjaForm::tools_as_functions},
      {std::any_of(request.tools.begin(), request.tools.end(), IsInPart),
       &JinjaForm::tools_in_full},
      {std::any_of(request.tools.begin(), request.tools.end(), HasNullTypes),
       &JinjaForm::types_without_null},
      {std::count_if(messages.begin(), messages.end(), is_system) > has_first,
       &JinjaForm::later_system_in_user},
      {any([](const Message& m) { return m.tool_calls.size() > 1; }), &JinjaForm::one_call_a_turn},
      {has_calls && has_thinking, &JinjaForm::calls_without_content},
      {true, &JinjaForm::turns},
      {has_first, &JinjaForm::system_in_user}};
  std::vector<bool JinjaForm::*> habits;
  for (const auto& [may_differ, habit] : all) {
    if (may_differ) habits.push_back(habit);
  }
  return habits;
}

}  // namespace

Result<std::string> RenderInForms(
    const PromptRequest& request,
    const std::function<Result<std::string>(const JinjaForm&)>& render) {
  Result<std::string> plain = render({});
  if (plain || plain.error().code != ErrorCode::kInvalidArgument) return plain;
  const std::vector<bool JinjaForm::*> habits = HabitsFor(request);
  JinjaForm form;
  for (const auto habit : habits) {
    JinjaForm one;
    one.*habit = form.*habit = true;
    if (Result<std::string> text = render(one)) return text;
  }
  if (habits.size() == 1) return plain;
  Result<std::string> text = render(form);
  if (!text && std::exchange(form.arguments_as_text, false)) text = render(form);
  if (!text) return plain;
  for (size_t i = habits.size(); i-- > 0;) {
    bool& follows = form.*habits[i];
    if (!std::exchange(follows, false)) continue;
    Result<std::string> closer = render(form);
    follows = !closer;
    if (closer) text = std::move(closer);
  }
  return text;
}

std::vector<Message> InForm(std::vector<Message> messages, const JinjaForm& form) {
  if (form.system_in_user || form.later_system_in_user)
    messages = WithSystemInUser(std::move(messages), /*keep_first=*/!form.system_in_user);
  if (form.turns) messages = WithTurns(std::move(messages));
  if (form.short_call_ids) messages = WithShortIds(std::move(messages));
  if (form.one_call_a_turn) messages = WithOneCallATurn(std::move(messages));
  if (form.calls_without_content) {
    for (Message& message : messages) {
      if (IsFullCall(message)) message.content.clear();
    }
  }
  return messages;
}

std::vector<Tool> InForm(std::vector<Tool> tools, const JinjaForm& form) {
  if (form.tools_in_full) std::transform(tools.begin(), tools.end(), tools.begin(), InFull);
  if (form.types_without_null)
    std::transform(tools.begin(), tools.end(), tools.begin(), WithoutNullTypes);
  return tools;
}

}  // namespace puna::chat
