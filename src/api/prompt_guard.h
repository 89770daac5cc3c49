// Keeps text of users from becoming control tokens.
//
// A template mixes its own control tokens with what users wrote, and the result is one text. So
// before rendering, every control token's text inside a user's text is broken by a mark: a Unicode
// noncharacter that occurs nowhere in the request. When the rendered prompt is encoded, control
// tokens are recognized everywhere but in the marked places, and the marks are taken out again: the
// model sees the user's characters, as characters.
#ifndef PUNA_API_PROMPT_GUARD_H_
#define PUNA_API_PROMPT_GUARD_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat.h"
#include "tokenizer/tokenizer.h"

namespace puna::api {

// The texts of a vocabulary's control tokens, by first byte. Immutable and thread safe.
class ControlTexts {
 public:
  explicit ControlTexts(const tokenizer::Tokenizer& tokenizer);
  // The length of the longest control token that `text` begins with; 0 if none.
  size_t MatchAt(std::string_view text) const;
  // Of all of them, in bytes.
  size_t longest() const { return longest_; }

 private:
  std::vector<std::vector<std::string>> by_first_byte_;  // 256 lists, longest first
  size_t longest_ = 0;
};

// For one request. Not thread safe.
class PromptGuard {
 public:
  // REQUIRES: `controls` outlives the guard.
  PromptGuard(const ControlTexts& controls, const std::vector<chat::Message>& messages);
  // Marks the texts of the messages (content, thinking, names; strings in tool arguments).
  void Protect(std::vector<chat::Message>* messages) const;
  // Appends the ids of a rendered prompt.
  void Encode(const tokenizer::Tokenizer& tokenizer, std::string_view rendered, bool add_special,
              std::vector<tokenizer::TokenId>* ids) const;
  // The prompt without marks.
  std::string Unmarked(std::string_view rendered) const;
  // Stands in no text of the request, marked ones included.
  std::string Placeholder() const { return mark_ + mark_; }

 private:
  std::string Marked(std::string_view text) const;
  void ProtectJson(Json* json) const;
  const ControlTexts& controls_;
  std::string mark_;
};

}  // namespace puna::api

#endif  // PUNA_API_PROMPT_GUARD_H_
