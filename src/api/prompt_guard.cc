#include "api/prompt_guard.h"

#include <algorithm>

#include "base/utf8.h"

namespace puna::api {
namespace {

// Unicode keeps these 32 code points for such purposes: they are no characters and stand in no
// text.
constexpr char32_t kFirstNoncharacter = 0xFDD0;
constexpr char32_t kLastNoncharacter = 0xFDEF;

bool Occurs(const std::vector<chat::Message>& messages, const std::string& mark) {
  return std::any_of(messages.begin(), messages.end(), [&](const chat::Message& message) {
    return message.content.find(mark) != std::string::npos ||
           message.thinking.find(mark) != std::string::npos;
  });
}

}  // namespace

ControlTexts::ControlTexts(const tokenizer::Tokenizer& tokenizer) : by_first_byte_(256) {
  for (tokenizer::TokenId id = 0; id < tokenizer.vocabulary_size(); ++id) {
    if (tokenizer.KindOf(id) != tokenizer::TokenKind::kControl) continue;
    const std::string_view text = tokenizer.RawTextOf(id);
    if (!text.empty()) by_first_byte_[static_cast<uint8_t>(text[0])].emplace_back(text);
  }
  for (auto& list : by_first_byte_) {
    std::sort(list.begin(), list.end(),
              [](const auto& a, const auto& b) { return a.size() > b.size(); });
    if (!list.empty()) longest_ = std::max(longest_, list[0].size());
  }
}

size_t ControlTexts::MatchAt(std::string_view text) const {
  if (text.empty()) return 0;
  for (const std::string& control : by_first_byte_[static_cast<uint8_t>(text[0])]) {
    if (text.starts_with(control)) return control.size();
  }
  return 0;
}

PromptGuard::PromptGuard(const ControlTexts& controls, const std::vector<chat::Message>& messages)
    : controls_(controls) {
  for (char32_t mark = kFirstNoncharacter; mark <= kLastNoncharacter; ++mark) {
    mark_.clear();
    AppendUtf8(mark, &mark_);
    if (!Occurs(messages, mark_)) return;
  }
}

// The mark goes behind the first character of the token's text, so that the text does not match any
// more.
std::string PromptGuard::Marked(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    if (controls_.MatchAt(text.substr(i)) == 0) {
      out.push_back(text[i++]);
      continue;
    }
    const size_t first = DecodeUtf8(text.substr(i)).length_bytes;
    out.append(text.substr(i, first)).append(mark_);
    i += first;
  }
  return out;
}

void PromptGuard::ProtectJson(Json* json) const {
  if (json->is_string()) {
    *json = Marked(json->get_ref<const std::string&>());
  } else if (json->is_structured()) {
    for (Json& child : *json) ProtectJson(&child);
  }
}

void PromptGuard::Protect(std::vector<chat::Message>* messages) const {
  for (chat::Message& message : *messages) {
    message.role = Marked(message.role);
    message.content = Marked(message.content);
    message.thinking = Marked(message.thinking);
    message.tool_name = Marked(message.tool_name);
    message.tool_call_id = Marked(message.tool_call_id);
    for (chat::ToolCall& call : message.tool_calls) {
      call.id = Marked(call.id);
      call.name = Marked(call.name);
      ProtectJson(&call.arguments);
    }
  }
}

void PromptGuard::Encode(const tokenizer::Tokenizer& tokenizer, std::string_view rendered,
                         bool add_special, std::vector<tokenizer::TokenId>* ids) const {
  while (true) {
    const size_t mark = rendered.find(mark_);
    if (mark == std::string_view::npos) {
      tokenizer.Encode(rendered, {.parse_special = true, .add_special = add_special}, ids);
      return;
    }
    // The character before the mark begins a control token's text, which ends behind the mark.
    // Marks may overlap.
    size_t begin = mark;
    while (begin > 0 && (static_cast<uint8_t>(rendered[--begin]) & 0xC0) == 0x80) {
    }
    // No further than such a text can reach: a prompt may be full of marks.
    std::string literal;
    std::vector<size_t> ends = {begin};  // of its first bytes, in `rendered`
    for (size_t at = begin; at < rendered.size() && literal.size() < controls_.longest();) {
      if (rendered.substr(at).starts_with(mark_)) {
        at += mark_.size();
      } else {
        literal.push_back(rendered[at++]);
        ends.push_back(at);
      }
    }
    // Templates change texts, so it may be one no more.
    literal.resize(std::min(literal.size(), std::max(mark - begin, controls_.MatchAt(literal))));
    if (begin > 0 || add_special) {
      tokenizer.Encode(rendered.substr(0, begin),
                       {.parse_special = true, .add_special = add_special}, ids);
    }
    tokenizer.Encode(literal, {.parse_special = false, .add_special = false}, ids);
    add_special = false;
    rendered.remove_prefix(std::max(ends[literal.size()], mark + mark_.size()));
  }
}

std::string PromptGuard::Unmarked(std::string_view rendered) const {
  std::string out;
  for (size_t at = 0; at < rendered.size();) {
    const size_t mark = std::min(rendered.find(mark_, at), rendered.size());
    out.append(rendered.substr(at, mark - at));
    at = mark + mark_.size();
  }
  return out;
}

}  // namespace puna::api
