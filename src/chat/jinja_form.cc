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

// Moves the text of system messages to the front of the user message that follows.
std::vector<Message> WithSystemInUser(const std::vector<Message>& messages) {
  std::vector<Message> out;
  std::string pending;
  for (const Message& message : messages) {
    if (message.role == "system") {
      pending += (pending.empty() ? "" : "\n\n") + message.content;
      continue;
    }
    out.push_back(message);
    if (!pending.empty() && message.role == "user") {
      out.back().content = pending + "\n\n" + message.content;
      pending.clear();
    }
  }
  if (!pending.empty()) {
    Message user;
    user.role = "user";
    user.content = pending;
    out.push_back(std::move(user));
  }
  return out;
}

bool IsFullCall(const Message& message) {
  return !message.tool_calls.empty() && !message.thinking.empty() && !message.content.empty();
}

}  // namespace

std::vector<JinjaForm> FormsFor(const PromptRequest& request) {
  const auto any = [&](auto holds) {
    return std::any_of(request.messages.begin(), request.messages.end(), holds);
  };
  const bool has_calls = any([](const Message& m) { return !m.tool_calls.empty(); });
  const bool has_results = any([](const Message& m) { return m.role == "tool"; });
  std::vector<bool JinjaForm::*> habits;
  if (has_calls) habits.push_back(&JinjaForm::arguments_as_text);
  if (has_calls || has_results) habits.push_back(&JinjaForm::short_call_ids);
  if (any([](const Message& m) { return m.tool_calls.size() > 1; }))
    habits.push_back(&JinjaForm::one_call_a_turn);
  if (any(IsFullCall)) habits.push_back(&JinjaForm::calls_without_content);
  if (any([](const Message& m) { return m.role == "system"; }))
    habits.push_back(&JinjaForm::system_in_user);
  if (!request.tools.empty()) habits.push_back(&JinjaForm::tools_as_functions);
  std::vector<JinjaForm> forms(1);
  for (const auto habit : habits) forms.emplace_back().*habit = true;
  for (size_t i = 0; i < habits.size(); ++i) {
    for (size_t j = i + 1; j < habits.size(); ++j) {
      forms.emplace_back().*habits[i] = true;
      forms.back().*habits[j] = true;
    }
  }
  return forms;
}

std::vector<Message> InForm(std::vector<Message> messages, const JinjaForm& form) {
  if (form.calls_without_content) {
    for (Message& message : messages) {
      if (IsFullCall(message)) message.content.clear();
    }
  }
  if (form.short_call_ids) messages = WithShortIds(std::move(messages));
  if (form.one_call_a_turn) messages = WithOneCallATurn(std::move(messages));
  if (form.system_in_user) messages = WithSystemInUser(messages);
  return messages;
}

}  // namespace puna::chat
