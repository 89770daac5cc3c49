#include "api/routes.h"

namespace puna::api {
namespace {

constexpr Route kRoutes[] = {
    {"GET", "/", HandleRoot, {.needs_key = false}},
    {"GET", "/health", HandleHealth, {.needs_key = false, .while_ending = true}},
    {"GET", "/ready", HandleReady, {.needs_key = false, .while_ending = true}},
    {"GET", "/metrics", HandleMetrics, {.while_ending = true}},
    {"GET", "/api/version", HandleVersion},
    {"GET", "/api/tags", HandleTags},
    {"GET", "/api/list", HandleTags},
    {"POST", "/api/show", HandleShow},
    {"GET", "/api/ps", HandlePs},
    {"POST", "/api/create", HandleCreate},
    {"POST", "/api/pull", HandlePull},
    {"POST", "/api/push", HandlePush},
    {"POST", "/api/copy", HandleCopy},
    {"DELETE", "/api/delete", HandleDelete},
    {"HEAD", "/api/blobs/*", HandleBlobHead},
    {"POST", "/api/blobs/*", HandleBlobPost},
    {"POST", "/api/generate", HandleGenerate},
    {"POST", "/api/chat", HandleChat},
    {"POST", "/api/embed", HandleEmbed},
    {"POST", "/api/embeddings", HandleEmbeddings},
    {"POST", "/api/tokenize", HandleTokenize},
    {"POST", "/api/detokenize", HandleDetokenize},
    {"POST", "/v1/chat/completions", HandleChatCompletions},
    {"POST", "/v1/completions", HandleCompletions},
    {"POST", "/v1/embeddings", HandleOpenAiEmbeddings},
    {"POST", "/v1/rerank", HandleRerank},
    {"POST", "/api/rerank", HandleRerank},
    {"POST", "/v1/responses", HandleResponses},
    {"POST", "/v1/audio/transcriptions", HandleTranscriptions},
    {"POST", "/v1/messages", HandleMessages},
    {"POST", "/v1/messages/count_tokens", HandleCountTokens},
    {"GET", "/v1/models", HandleOpenAiModels},
    {"GET", "/v1/models/**", HandleOpenAiModel},
    {"GET", "/api/status", HandleCloudStatus},
    {"POST", "/api/me", HandleMe},
    {"POST", "/api/signout", HandleSignout},
    {"DELETE", "/api/user/keys/*", HandleSignout},
    {"POST", "/api/experimental/web_search", HandleWebSearch},
    {"POST", "/api/experimental/web_fetch", HandleWebSearch},
    {"GET", "/api/experimental/model-recommendations", HandleRecommendations},
};

// Takes the next segment off `path`, which starts with '/'.
std::string_view TakeSegment(std::string_view* path) {
  path->remove_prefix(1);
  const size_t end = std::min(path->find('/'), path->size());
  const std::string_view segment = path->substr(0, end);
  path->remove_prefix(end);
  return segment;
}

}  // namespace

std::span<const Route> Routes() { return kRoutes; }

bool MatchPath(std::string_view pattern, std::string_view path,
               std::vector<std::string>* captures) {
  captures->clear();
  while (pattern.starts_with('/') && path.starts_with('/')) {
    const std::string_view expected = TakeSegment(&pattern);
    if (expected == "**") {
      captures->emplace_back(path.substr(1));
      return path.size() > 1;
    }
    const std::string_view segment = TakeSegment(&path);
    if (expected == "*") {
      if (segment.empty()) return false;
      captures->emplace_back(segment);
    } else if (expected != segment) {
      return false;
    }
  }
  return pattern.empty() && path.empty();
}

void FindRoute(Call* call) {
  const std::string& method = call->request.method;
  // Ollama sends clients on from a path with a slash behind it to the one without.
  std::string_view path = call->request.path;
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  for (const Route& route : kRoutes) {
    std::vector<std::string> captures;
    if (!MatchPath(route.pattern, path, &captures)) continue;
    call->pattern = route.pattern;
    const bool exact = route.method == method;
    if (!exact && (method != "HEAD" || route.method != "GET")) continue;
    call->route = &route;
    call->captures = std::move(captures);
    if (exact) return;
  }
}

http::Task<void> Dispatch(Call& call) {
  if (call.route != nullptr) {
    co_await call.route->handler(call);
  } else if (!call.pattern.empty()) {
    co_await call.writer.Send(405, "text/plain", "405 method not allowed");
  } else {
    co_await call.writer.Send(404, "text/plain", "404 page not found");
  }
}

}  // namespace puna::api
