// What Ollama does with the help of ollama.com. puna runs models on this machine only and says so,
// in the forms that clients of these routes read.
#include "api/errors.h"
#include "api/routes.h"

namespace puna::api {
namespace {

http::Task<void> SendCloudDisabled(Call& call, std::string_view operation) {
  co_await SendErrorStatus(
      call, 403,
      fmt::format("ollama cloud is disabled: {} needs ollama.com, puna works on this machine only",
                  operation));
}

}  // namespace

http::Task<void> HandleCloudStatus(Call& call) {
  Json body = Json::object();
  body["cloud"]["disabled"] = true;
  body["cloud"]["source"] = "config";
  co_await SendJson(call, 200, std::move(body));
}

http::Task<void> HandleMe(Call& call) { co_await SendCloudDisabled(call, "an account"); }

http::Task<void> HandleSignout(Call& call) {
  co_await SendErrorStatus(call, 401, "you are not currently signed in");
}

http::Task<void> HandleWebSearch(Call& call) { co_await SendCloudDisabled(call, "web search"); }

http::Task<void> HandleRecommendations(Call& call) {
  Json body = Json::object();
  body["recommendations"] = Json::array();
  co_await SendJson(call, 200, std::move(body));
}

http::Task<void> HandleTranscriptions(Call& call) {
  co_await SendErrorStatus(call, 400, "audio transcription is not supported");
}

}  // namespace puna::api
