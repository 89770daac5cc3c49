// What becomes of a prompt that is longer than its context. Who sets a context (num_ctx, or
// the server's OLLAMA_CONTEXT_LENGTH) counts, as with Ollama, on the oldest part being dropped; the
// limit of the model itself, or of the memory, is nobody's wish, and a prompt beyond it is an error
// unless the client asks for `truncate`. Whatever is dropped is told in the answer.
#ifndef PUNA_API_PROMPT_LIMIT_H_
#define PUNA_API_PROMPT_LIMIT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/result.h"
#include "chat/chat.h"
#include "tokenizer/tokenizer.h"

namespace puna::api {

struct PromptLimit {
  int64_t context = 0;    // tokens of prompt and answer together; 0: unknown
  bool chosen = false;    // by the request, the model's parameters or the server's settings
  bool truncate = false;  // drop what does not fit
  bool shift = false;     // the answer may go on when the context is full
};

// `num_ctx` as set by request or model (0: not at all), `server_context` the server's default (0:
// none), `trained` the model's own (0: unknown), which neither of them exceeds; `truncate` and
// `shift` as the client wrote them.
PromptLimit LimitOf(int64_t num_ctx, int64_t server_context, int64_t trained,
                    std::optional<bool> truncate, std::optional<bool> shift);

using CountTokens = std::function<Result<int64_t>(const std::vector<chat::Message>&)>;

// The conversation without as few of its oldest messages as makes it fit; system messages and the
// last message stay. Nothing if even these do not fit.
Result<std::optional<std::vector<chat::Message>>> DropOldest(
    const std::vector<chat::Message>& messages, int64_t context, const CountTokens& count);

// Drops tokens after the first `keep` so that about half of what follows them remains free for the
// answer, as Ollama does; returns how many.
int64_t DropMiddle(int64_t keep, int64_t context, std::vector<tokenizer::TokenId>* tokens);

}  // namespace puna::api

#endif  // PUNA_API_PROMPT_LIMIT_H_
