// The route table: one line per endpoint. A pattern matches a whole path; * is one segment, ** one
// or more.
#ifndef PUNA_API_ROUTES_H_
#define PUNA_API_ROUTES_H_

#include <span>
#include <string_view>

#include "api/call.h"

namespace puna::api {

using RouteHandler = http::Task<void> (*)(Call&);

struct RouteAccess {
  bool needs_key = true;      // not for those who ask whether a server is there and well
  bool while_ending = false;  // answered also while the server ends
};

struct Route {
  std::string_view method;  // GET also answers HEAD unless there is a HEAD of its own
  std::string_view pattern;
  RouteHandler handler;
  RouteAccess access{};
};

std::span<const Route> Routes();

// Fills `captures`. False if `path` does not match.
bool MatchPath(std::string_view pattern, std::string_view path, std::vector<std::string>* captures);

// Fills the call's route, pattern and captures; a slash behind the path is none of it.
void FindRoute(Call* call);

// Runs the route that was found; unknown paths are 404 and wrong methods 405, as text.
http::Task<void> Dispatch(Call& call);

// --- handlers, by file
// health.cc
http::Task<void> HandleHealth(Call& call);
http::Task<void> HandleReady(Call& call);
http::Task<void> HandleMetrics(Call& call);
// ollama_info.cc
http::Task<void> HandleRoot(Call& call);
http::Task<void> HandleVersion(Call& call);
http::Task<void> HandleTags(Call& call);
http::Task<void> HandleShow(Call& call);
http::Task<void> HandlePs(Call& call);
// ollama_store.cc
http::Task<void> HandleCreate(Call& call);
http::Task<void> HandlePull(Call& call);
http::Task<void> HandlePush(Call& call);
http::Task<void> HandleCopy(Call& call);
http::Task<void> HandleDelete(Call& call);
http::Task<void> HandleBlobHead(Call& call);
http::Task<void> HandleBlobPost(Call& call);
// ollama_generate.cc
http::Task<void> HandleGenerate(Call& call);
// ollama_chat.cc
http::Task<void> HandleChat(Call& call);
// ollama_embed.cc
http::Task<void> HandleEmbed(Call& call);
http::Task<void> HandleEmbeddings(Call& call);
// ollama_cloud.cc
http::Task<void> HandleCloudStatus(Call& call);
http::Task<void> HandleMe(Call& call);
http::Task<void> HandleSignout(Call& call);
http::Task<void> HandleWebSearch(Call& call);
http::Task<void> HandleRecommendations(Call& call);
http::Task<void> HandleTranscriptions(Call& call);
// openai_chat.cc
http::Task<void> HandleChatCompletions(Call& call);
// openai_completions.cc
http::Task<void> HandleCompletions(Call& call);
// openai_responses_route.cc
http::Task<void> HandleResponses(Call& call);
// openai_embeddings.cc
http::Task<void> HandleOpenAiEmbeddings(Call& call);
// anthropic_route.cc
http::Task<void> HandleMessages(Call& call);
http::Task<void> HandleCountTokens(Call& call);
// rerank.cc
http::Task<void> HandleRerank(Call& call);
// tokenize.cc
http::Task<void> HandleTokenize(Call& call);
http::Task<void> HandleDetokenize(Call& call);
// openai_models.cc
http::Task<void> HandleOpenAiModels(Call& call);
http::Task<void> HandleOpenAiModel(Call& call);

}  // namespace puna::api

#endif  // PUNA_API_ROUTES_H_
