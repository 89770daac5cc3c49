// Which tokens the content of an answer is made of: not those of thinking, calls and marks. The
// text of a token may reach the content only with later ones, when it is clear that it begins no
// mark.
#ifndef PUNA_API_CONTENT_LOGPROBS_H_
#define PUNA_API_CONTENT_LOGPROBS_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/generation_request.h"

namespace puna::api {

// Not thread safe. Nothing is kept of answers without logprobs.
class ContentLogprobs {
 public:
  // A token and the text that came with it, before the parser reads that. The text is empty where
  // it is part of a character, or may begin a stop text: then it came with a later token, or with
  // none at the end.
  void Add(std::optional<LogprobEntry> entry, std::string_view text);
  // What the parser made of it: `content`, while the last `undecided` bytes of the text so far may
  // still become anything. Appends the tokens of `content` to `out`.
  void Take(std::string_view content, size_t undecided, std::vector<LogprobEntry>* out);

 private:
  struct Token {
    LogprobEntry entry;
    size_t begin = 0, end = 0;  // its text among all
    bool taken = false;         // for the part of it that is decided
  };
  std::deque<Token> tokens_;  // those with text that is undecided
  std::string text_;          // from begin_ on
  size_t begin_ = 0, end_ = 0;
};

}  // namespace puna::api

#endif  // PUNA_API_CONTENT_LOGPROBS_H_
