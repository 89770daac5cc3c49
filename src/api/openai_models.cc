// /v1/models and /v1/models/{model}; a model's name may have slashes and a tag.
#include "api/routes.h"
#include "base/duration.h"

namespace puna::api {
namespace {

Json OpenAiModelJson(const store::InstalledModel& model, const std::string& id) {
  return {{"id", id},
          {"object", "model"},
          {"created",
           std::chrono::duration_cast<std::chrono::seconds>(model.modified_at.time_since_epoch())
               .count()},
          {"owned_by", model.name.name_space},
          // Anthropic's clients ask the same address, and read these.
          {"type", "model"},
          {"display_name", model.name.ShortName()},
          {"created_at", FormatRfc3339(model.modified_at)}};
}

}  // namespace

http::Task<void> HandleOpenAiModels(Call& call) {
  Json body = co_await OnBlockingPool(call.services, [&] {
    Json data = Json::array();
    for (const store::InstalledModel& model : call.services.store->List())
      data.push_back(OpenAiModelJson(model, model.name.ShortName()));
    Json list = {{"object", "list"}, {"data", std::move(data)}, {"has_more", false}};
    const Json& models = list["data"];
    const Json none;
    const Json first = models.empty() ? none : models.front()["id"];
    const Json last = models.empty() ? none : models.back()["id"];
    list["first_id"] = first;
    list["last_id"] = last;
    return list;
  });
  co_await SendJson(call, 200, std::move(body));
}

http::Task<void> HandleOpenAiModel(Call& call) {
  const std::string& wanted = call.captures[0];
  Result<Json> found = co_await OnBlockingPool(call.services, [&]() -> Result<Json> {
    const auto name = store::ModelName::Parse(wanted);
    const auto model = name ? call.services.store->Find(*name) : tl::unexpected(name.error());
    if (!model) return MakeError(ErrorCode::kNotFound, "model '{}' not found", wanted);
    return OpenAiModelJson(*model, wanted);
  });
  if (!found) co_return co_await SendError(call, found.error());
  co_await SendJson(call, 200, *std::move(found));
}

}  // namespace puna::api
