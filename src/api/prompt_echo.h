// The prompt as it stands before the answer of /v1/completions with `echo`, and which of the
// model's tokens are its own: not those of the template around it. No state.
#ifndef PUNA_API_PROMPT_ECHO_H_
#define PUNA_API_PROMPT_ECHO_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace puna::api {

struct PromptEcho {
  std::string text;        // well-formed UTF-8
  size_t characters = 0;   // of `text`
  size_t first_token = 0;  // of the prompt's tokens: so many of the template are before it
  // Where each token from there on begins in `text`, in characters. Of a character that is made of
  // several tokens the first one counts, and of a token that is partly the template's what is not.
  std::vector<size_t> offsets;
};

// A part of a text, in bytes.
struct TextRange {
  size_t begin = 0, end = 0;
};

// Of a prompt that is known by its tokens: all of them, and their text as Tokenizer::Decode says
// it.
PromptEcho EchoOfTokens(const tokenizer::Tokenizer& tokenizer,
                        const std::vector<tokenizer::TokenId>& tokens);

// Of `prompt`, which stands in `place` of the text that became `tokens`; white space around it may
// be missing there. Nothing where the template or the tokenizer changed more, so that it is not
// known what a token stands for.
std::optional<PromptEcho> EchoOfText(const tokenizer::Tokenizer& tokenizer,
                                     const std::vector<tokenizer::TokenId>& tokens,
                                     std::string_view text, TextRange place,
                                     std::string_view prompt);

}  // namespace puna::api

#endif  // PUNA_API_PROMPT_ECHO_H_
