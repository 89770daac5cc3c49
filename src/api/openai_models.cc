// /v1/models and /v1/models/{model}; a model's name may have slashes and a tag.
#include "api/errors.h"
#include "api/routes.h"

namespace puna::api {
namespace {

Json OpenAiModelJson(const store::InstalledModel& model) {
  return {{"id", model.name.ShortName()},
          {"object", "model"},
          {"created",
           std::chrono::duration_cast<std::chrono::seconds>(model.modified_at.time_since_epoch())
               .count()},
          {"owned_by", model.name.name_space}};
}

}  // namespace

http::Task<void> HandleOpenAiModels(Call& call) {
  Json body = co_await OnBlockingPool(call.services, [&] {
    Json data = Json::array();
    for (const store::InstalledModel& model : call.services.store->List())
      data.push_back(OpenAiModelJson(model));
    return Json{{"object", "list"}, {"data", std::move(data)}};
  });
  co_await SendJson(call, 200, std::move(body));
}

http::Task<void> HandleOpenAiModel(Call& call) {
  const std::string& wanted = call.captures[0];
  Result<Json> found = co_await OnBlockingPool(call.services, [&]() -> Result<Json> {
    const auto name = store::ModelName::Parse(wanted);
    const auto model = name ? call.services.store->Find(*name) : tl::unexpected(name.error());
    if (!model) return MakeError(ErrorCode::kNotFound, "model '{}' not found", wanted);
    return OpenAiModelJson(*model);
  });
  if (!found) {
    Json body = OpenAiError(found.error());
    co_return co_await SendJson(call, HttpStatus(found.error().code), std::move(body));
  }
  co_await SendJson(call, 200, *std::move(found));
}

}  // namespace puna::api
