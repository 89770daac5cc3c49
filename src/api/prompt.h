// From a conversation to the text and the tokens that a model is given.
//
// Text of users never becomes a control token although the template's own text does: see
// api/prompt_guard.h.
#ifndef PUNA_API_PROMPT_H_
#define PUNA_API_PROMPT_H_

#include <optional>
#include <string>
#include <vector>

#include "api/generation_request.h"
#include "api/model_catalog.h"
#include "api/prompt_echo.h"
#include "api/prompt_guard.h"
#include "base/result.h"
#include "chat/chat.h"
#include "tokenizer/tokenizer.h"

namespace puna::api {

struct Prompt {
  std::string text;
  std::vector<tokenizer::TokenId> tokens;
  std::optional<chat::OutputOptions> output;  // how the answer is to be read; nothing: raw
  // Where the request's own prompt stands in `text`, for requests with prompt_logprobs; nothing:
  // it is not known.
  std::optional<TextRange> place;
};

// Whether Ollama knows the model by its name or family as one that thinks: there were versions of
// these whose templates know nothing of it.
bool ThinksByName(const ModelEntry& model);

// The conversation as the template gets it: the model's own messages first, its system prompt
// unless the client has one.
std::vector<chat::Message> Conversation(const ModelEntry& model, const GenerationRequest& request);

// The prompt of `messages`, which are Conversation's or some of them, in the form that the request
// asks for. `guard` knows them all. The model has a tokenizer.
Result<Prompt> MakePrompt(const ModelEntry& model, const GenerationRequest& request,
                          const PromptGuard& guard, std::vector<chat::Message> messages);

// What is certain of the prompt of the next turn, when the model has said `answer` (nothing: it was
// not asked yet) and it is not known what the user says next, or the first tool that it called:
// everything up to their words, as the template will write it then, which may leave out of earlier
// answers what was thought. Empty where nothing is certain. Renders and encodes the conversation
// twice.
std::vector<tokenizer::TokenId> BeginningOfNextTurn(const ModelEntry& model,
                                                    const GenerationRequest& request,
                                                    std::optional<chat::Message> answer);

}  // namespace puna::api

#endif  // PUNA_API_PROMPT_H_
