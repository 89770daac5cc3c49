// POST /v1/completions: texts or tokens in, text out. As in Ollama the model's template is applied
// to texts ("raw": true leaves it out); tokens are the whole prompt.
#include <algorithm>

#include "api/generation.h"
#include "api/openai_stream.h"
#include "api/openai_types.h"
#include "api/routes.h"

namespace puna::api {
namespace {

constexpr std::string_view kCompletionRequest = "CompletionRequest";
constexpr size_t kMaxPrompts = 256;

struct CompletionsRequest {
  std::vector<GenerationRequest> prompts;
  bool include_usage = false;
  int64_t choices = 1;  // that the client gets, of the generated ones of each prompt
  bool echo = false;
  bool logprobs = false;
};

Result<std::vector<tokenizer::TokenId>> ReadPromptTokens(const Json& list) {
  std::vector<tokenizer::TokenId> ids;
  for (const Json& id : list) {
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX) {
      return MakeError(ErrorCode::kInvalidArgument, "prompt holds {}, expected a token id",
                       DumpJson(id));
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

// A text, texts, tokens or lists of tokens; each becomes a request like `common`.
Result<std::vector<GenerationRequest>> ReadPrompts(const Json& prompt,
                                                   const GenerationRequest& common) {
  std::vector<GenerationRequest> out;
  const bool tokens = prompt.is_array() && !prompt.empty() && prompt[0].is_number();
  const Json list = prompt.is_array() && !tokens ? prompt : Json::array({prompt});
  if (list.empty() || list.size() > kMaxPrompts) {
    return MakeError(ErrorCode::kInvalidArgument, "prompt has {} entries, expected 1 to {}",
                     list.size(), kMaxPrompts);
  }
  for (const Json& one : list) {
    GenerationRequest& request = out.emplace_back(common);
    if (one.is_string()) {
      request.prompt = one.get<std::string>();
    } else if (one.is_array() && !one.empty()) {
      PUNA_ASSIGN_OR_RETURN(request.prompt_tokens, ReadPromptTokens(one));
    } else if (!one.is_null()) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "prompt must be a string, a list of strings, a list of token ids or a list "
                       "of such lists");
    }
  }
  return out;
}

Result<CompletionsRequest> ReadCompletion(const Json& json) {
  CompletionsRequest out;
  GenerationRequest common;
  Fields fields(json, kCompletionRequest);
  fields.Read("model", &common.model);
  fields.Read("suffix", &common.suffix);
  fields.Read("raw", &common.raw);
  fields.Read("echo", &out.echo);
  fields.Read("_debug_render_only", &common.render_only);
  std::optional<int64_t> top_logprobs, best_of;
  fields.Read("logprobs", &top_logprobs);
  fields.Read("best_of", &best_of);
  PUNA_RETURN_IF_ERROR(
      ReadStreamFields(&fields, kCompletionRequest, &common.stream, &out.include_usage));
  PUNA_RETURN_IF_ERROR(ReadChoices(&fields, &out.choices));
  PUNA_RETURN_IF_ERROR(ReadOpenAiSampling(json, &fields, {"max_tokens"}, &common));
  common.choices = best_of.value_or(out.choices);
  if (common.choices < out.choices || common.choices > 128) {
    return MakeError(ErrorCode::kInvalidArgument, "best_of is {}, expected n ({}) to 128",
                     common.choices, out.choices);
  }
  if (common.stream && common.choices > out.choices) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "best_of is {} and n is {}, they must be the same in a stream", common.choices,
                     out.choices);
  }
  if (top_logprobs && (*top_logprobs < 0 || *top_logprobs > 20))
    return MakeError(ErrorCode::kInvalidArgument, "logprobs must be between 0 and 20");
  out.logprobs = top_logprobs.has_value();
  common.top_logprobs = top_logprobs.value_or(0);
  common.logprobs = out.logprobs || common.choices > out.choices;
  common.prompt_logprobs = out.echo && out.logprobs;
  PUNA_ASSIGN_OR_RETURN(out.prompts, ReadPrompts(json.value("prompt", Json()), common));
  return out;
}

// The prompt as the client knows it. It is told whole: a token may end inside a character.
std::string PromptText(const CompletionsRequest& request, const Generation& generation,
                       size_t choice) {
  if (request.logprobs) return generation.prompt_echo(choice).text;
  const GenerationRequest& prompt =
      request.prompts[choice / static_cast<size_t>(request.prompts[0].choices)];
  return prompt.prompt_tokens.empty() ? prompt.prompt : generation.rendered_prompt(choice);
}

// The old form of logprobs: parallel lists.
struct LogprobLists {
  Json tokens = Json::array(), logprobs = Json::array(), top = Json::array(),
       offsets = Json::array();

  // `offset` is where the token begins in the text, in characters.
  void Add(const LogprobEntry& entry, size_t offset) {
    Json best = Json::object();
    for (const auto& [token, logprob] : entry.top) best[token] = logprob;
    AddToken(entry.token, entry.logprob, std::move(best), offset);
  }
  void AddToken(const std::string& token, Json logprob, Json best, size_t offset) {
    tokens.push_back(token);
    logprobs.push_back(std::move(logprob));
    top.push_back(std::move(best));
    offsets.push_back(offset);
  }
  Json ToJson() && {
    if (tokens.empty()) return nullptr;
    return {{"tokens", std::move(tokens)},
            {"token_logprobs", std::move(logprobs)},
            {"top_logprobs", std::move(top)},
            {"text_offset", std::move(offsets)}};
  }
};

// Of a character that is made of several tokens the first one counts.
size_t CharactersBegunIn(std::string_view token) {
  return static_cast<size_t>(std::count_if(token.begin(), token.end(), [](char byte) {
    return (static_cast<uint8_t>(byte) & 0xC0) != 0x80;
  }));
}

// What a choice, or a part of one, says.
struct TextPart {
  std::string text;
  Json logprobs;
};
// How far the parts of a choice have come.
struct Told {
  bool begun = false;
  size_t prompt_tokens = 0;
  size_t characters = 0;  // of the prompt, if it is told, and of the answer's tokens
};

// The prompt's own tokens among those whose logprobs came with this part.
void AddPrompt(const Generation& generation, const GenerationDelta& delta, Told* told,
               LogprobLists* lists) {
  const PromptEcho& echo = generation.prompt_echo(delta.choice);
  if (!told->begun) {
    told->characters = echo.characters;
    told->prompt_tokens = 1;
    if (echo.first_token == 0 && !echo.offsets.empty()) {  // nothing precedes it
      const tokenizer::TokenId token = generation.prompt_tokens(delta.choice)[0];
      lists->AddToken(std::string(generation.model().tokenizer->PieceOf(token, true)), nullptr,
                      nullptr, echo.offsets[0]);
    }
  }
  for (const LogprobEntry& entry : delta.prompt_logprobs) {
    const size_t token = told->prompt_tokens++;
    if (token < echo.first_token || token >= echo.first_token + echo.offsets.size()) continue;
    lists->Add(entry, echo.offsets[token - echo.first_token]);
  }
}

TextPart PartOf(const CompletionsRequest& request, const Generation& generation,
                const GenerationDelta& delta, Told* told) {
  TextPart part;
  LogprobLists lists;
  if (request.echo && !told->begun) part.text = PromptText(request, generation, delta.choice);
  if (request.echo && request.logprobs) AddPrompt(generation, delta, told, &lists);
  told->begun = true;
  part.text += delta.content;
  if (request.logprobs) {
    for (const LogprobEntry& entry : delta.logprobs) {
      lists.Add(entry, told->characters);
      told->characters += CharactersBegunIn(entry.token);
    }
  }
  part.logprobs = std::move(lists).ToJson();
  return part;
}

Json TextChoice(size_t index, TextPart part, Json finish_reason) {
  Json choice = {{"text", std::move(part.text)}, {"index", index}};
  choice["logprobs"] = std::move(part.logprobs);
  choice["finish_reason"] = std::move(finish_reason);
  return choice;
}

std::string TextFinishReason(const Generation& generation, size_t choice) {
  return OpenAiFinishReason(generation.stats(choice).reason, /*tool_calls=*/false);
}

http::Task<void> AnswerStream(Call& call, Generation& generation, AnswerHead head,
                              const CompletionsRequest& request) {
  std::vector<Told> told(generation.choices());
  const ChunksOf chunks_of = [&](const GenerationDelta& delta) {
    std::vector<Json> chunks;
    TextPart part = PartOf(request, generation, delta, &told[delta.choice]);
    Json finish_reason;
    if (delta.finished) finish_reason = TextFinishReason(generation, delta.choice);
    if (part.text.empty() && part.logprobs.is_null() && finish_reason.is_null()) return chunks;
    Json choices = Json::array();
    choices.push_back(TextChoice(delta.choice, std::move(part), std::move(finish_reason)));
    Json& chunk = chunks.emplace_back(head.Envelope(std::move(choices)));
    if (request.include_usage) chunk["usage"] = OpenAiUsage({});
    return chunks;
  };
  co_await SendChunks(call, generation, head, request.include_usage,
                      static_cast<size_t>(request.prompts[0].choices), chunks_of);
}

double MeanLogprob(const GenerationDelta& answer) {
  double sum = 0;
  for (const LogprobEntry& entry : answer.logprobs) sum += entry.logprob;
  return answer.logprobs.empty() ? 0 : sum / static_cast<double>(answer.logprobs.size());
}

http::Task<void> AnswerWhole(Call& call, Generation& generation, AnswerHead head,
                             const CompletionsRequest& request) {
  Result<std::vector<GenerationDelta>> all = co_await generation.Collect();
  if (!all) co_return co_await SendError(call, all.error());
  const auto generated = static_cast<size_t>(request.prompts[0].choices);
  const auto wanted = static_cast<size_t>(request.choices);
  Json choices = Json::array();
  for (size_t prompt = 0; prompt < request.prompts.size(); ++prompt) {
    // The likeliest of the generated ones, a token's mean counted.
    const auto begin = all->begin() + static_cast<std::ptrdiff_t>(prompt * generated);
    if (generated > wanted) {
      std::stable_sort(
          begin, begin + static_cast<std::ptrdiff_t>(generated),
          [](const auto& a, const auto& b) { return MeanLogprob(a) > MeanLogprob(b); });
    }
    for (size_t i = 0; i < wanted; ++i) {
      const GenerationDelta& answer = *(begin + static_cast<std::ptrdiff_t>(i));
      Told told;
      choices.push_back(TextChoice(prompt * wanted + i, PartOf(request, generation, answer, &told),
                                   TextFinishReason(generation, answer.choice)));
    }
  }
  Json body = head.Envelope(std::move(choices));
  body["usage"] = OpenAiUsage(CountUsage(generation, generated));
  TellTruncation(call, generation);
  co_await SendJson(call, 200, std::move(body));
}

}  // namespace

http::Task<void> HandleCompletions(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  Result<CompletionsRequest> request = ReadCompletion(*json);
  if (!request) co_return co_await SendError(call, request.error());
  AnswerHead head = MakeAnswerHead("cmpl-", "text_completion", request->prompts[0].model);
  auto generation = co_await Generation::Start(call, request->prompts);
  if (!generation) co_return co_await SendError(call, generation.error());
  call.writer.OnClientGone((*generation)->Canceller());
  if (request->prompts[0].render_only) {
    Json body = head.Envelope(Json::array());
    body["_debug_info"]["rendered_template"] = (*generation)->rendered_prompt();
    co_await SendJson(call, 200, std::move(body));
  } else if (request->prompts[0].stream) {
    co_await AnswerStream(call, **generation, std::move(head), *request);
  } else {
    co_await AnswerWhole(call, **generation, std::move(head), *request);
  }
}

}  // namespace puna::api
