// Looking at models over the native API: tags, show, ps, and the server's own version.
#include <algorithm>

#include "api/model_catalog.h"
#include "api/routes.h"
#include "api/version.h"
#include "base/duration.h"

namespace puna::api {
namespace {

using std::chrono::system_clock;

// What a model that never expires reports. Ollama reports some 292 years, which the clock's count
// of nanoseconds since 1970 cannot hold; clients say "Forever" from 20 years on.
constexpr std::chrono::hours kNever{24 * 365 * 200};

// Arrays longer than this are left out of model_info unless asked for.
constexpr int64_t kShortArray = 5;

Json ValueJson(const gguf::Value& value, bool verbose) {
  return std::visit(
      [&](const auto& v) -> Json {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string_view>) {
          return std::string(v);
        } else if constexpr (std::is_same_v<T, std::shared_ptr<const gguf::Array>>) {
          Json array = Json::array();
          if (v->size() > kShortArray && !verbose) return array;
          for (int64_t i = 0; i < v->size(); ++i) {
            switch (v->kind()) {
              case gguf::Array::Kind::kString:
                array.push_back(std::string(v->string_at(i)));
                break;
              case gguf::Array::Kind::kFloat:
                array.push_back(v->number_at(i));
                break;
              case gguf::Array::Kind::kBool:
                array.push_back(v->integer_at(i) != 0);
                break;
              default:
                array.push_back(v->integer_at(i));
                break;
            }
          }
          return array;
        } else {
          return v;
        }
      },
      value);
}

Json ModelInfo(const gguf::File& file, bool verbose) {
  Json info = Json::object();
  uint64_t parameters = 0;
  for (const gguf::Tensor& tensor : file.tensors())
    parameters += static_cast<uint64_t>(tensor.elements());
  info["general.parameter_count"] = parameters;
  for (const gguf::KeyValue& entry : file.metadata()) {
    if (entry.key == "general.name" || entry.key == "tokenizer.chat_template") continue;
    info[std::string(entry.key)] = ValueJson(entry.value, verbose);
  }
  return info;
}

Json TensorList(const gguf::File& file) {
  Json tensors = Json::array();
  for (const gguf::Tensor& tensor : file.tensors()) {
    Json shape = Json::array();
    for (int i = 0; i < tensor.n_dims; ++i) shape.push_back(tensor.dims[static_cast<size_t>(i)]);
    tensors.push_back({{"name", std::string(tensor.name)},
                       {"type", std::string(quant::TraitsOf(tensor.type).name)},
                       {"shape", std::move(shape)}});
  }
  return tensors;
}

// One line per value: key padded to 30 columns, strings quoted.
std::string ParameterLines(const Json& parameters) {
  std::string out;
  for (const auto& [key, value] : parameters.items()) {
    const Json values = value.is_array() ? value : Json::array({value});
    for (const Json& one : values) {
      if (!out.empty()) out += '\n';
      out += fmt::format("{:<30} {}", key, DumpJson(one));
    }
  }
  return out;
}

void AddRemote(const store::InstalledModel& model, Json* out) {
  for (const char* field : {"remote_model", "remote_host"}) {
    if (const std::string value = JsonString(model.config, field); !value.empty())
      (*out)[field] = value;
  }
}

// What the asker would have different: a system message, and options. The Modelfile is that of the
// model with them; the parameters are told without, as Ollama does.
struct ShowChanges {
  std::string system;
  Json options = Json::object();
};

std::string ModelfileText(store::InstalledModel model, const Json& options) {
  model.parameters.update(options);
  auto text = store::ModelfileOf(model);
  // A comment, of which nobody can make another model.
  return text ? *std::move(text) : "# " + text.error().message + "\n";
}

// What is said of a model without its weights.
Json ManifestJson(store::InstalledModel model, const ModelSummary& summary,
                  const ShowChanges& changes) {
  if (!changes.system.empty()) model.system = changes.system;
  Json out = Json::object();
  if (!model.licenses.empty()) {
    std::string all;
    for (const std::string& license : model.licenses) all += (all.empty() ? "" : "\n") + license;
    out["license"] = std::move(all);
  }
  out["modelfile"] = ModelfileText(model, changes.options);
  if (!model.parameters.empty()) out["parameters"] = ParameterLines(model.parameters);
  if (model.system) out["system"] = *model.system;
  out["details"] = ModelDetails(model, summary);
  if (!model.messages.empty()) out["messages"] = model.messages;
  AddRemote(model, &out);
  out["capabilities"] = summary.capabilities;
  out["modified_at"] = FormatRfc3339(model.modified_at);
  if (const std::string version = JsonString(model.config, "requires"); !version.empty())
    out["requires"] = version;
  return out;
}

Result<Json> ShowJson(const ModelEntry& entry, bool verbose, const ShowChanges& changes) {
  const store::InstalledModel& model = entry.installed;
  Json out = ManifestJson(model, entry.Summary(), changes);
  out["template"] = entry.prompt_template->source();
  out["model_info"] = ModelInfo(*entry.file, verbose);
  if (!model.projectors.empty()) {
    PUNA_ASSIGN_OR_RETURN(const auto projector, gguf::File::Open(model.projectors[0]));
    out["projector_info"] = ModelInfo(*projector, verbose);
  }
  out["tensors"] = TensorList(*entry.file);
  return out;
}

// A model at another host: its config is all that there is.
Json ShowRemoteJson(const store::InstalledModel& model, const ModelSummary& summary,
                    const ShowChanges& changes) {
  Json out = ManifestJson(model, summary, changes);
  out["template"] = model.template_text.value_or("");
  out["model_info"] = {{"general.architecture", JsonString(model.config, "model_family")}};
  return out;
}

Json TagJson(const store::InstalledModel& model, const ModelSummary& summary) {
  const std::string name = model.name.ShortName();
  Json tag = {{"name", name},
              {"model", name},
              {"modified_at", FormatRfc3339(model.modified_at)},
              {"size", model.size_bytes},
              {"digest", model.digest},
              {"details", ModelDetails(model, summary)}};
  AddRemote(model, &tag);
  if (!summary.capabilities.empty()) tag["capabilities"] = summary.capabilities;
  return tag;
}

Result<Json> ShowModel(Services& services, const std::string& model, bool verbose,
                       const ShowChanges& changes) {
  const auto name = store::ModelName::Parse(model);
  if (name) {
    const auto installed = services.store->Find(*name);
    if (installed && IsRemote(*installed))
      return ShowRemoteJson(*installed, services.catalog->SummaryOf(*installed), changes);
  }
  const auto entry = services.catalog->Get(model);
  if (!entry && entry.error().code == ErrorCode::kNotFound && name)
    return MakeError(ErrorCode::kNotFound, "model '{}' not found", name->ShortName());
  if (!entry) return tl::unexpected(entry.error());
  return ShowJson(**entry, verbose, changes);
}

}  // namespace

http::Task<void> HandleRoot(Call& call) {
  co_await call.writer.Send(200, "text/plain; charset=utf-8", "Ollama is running");
}

http::Task<void> HandleVersion(Call& call) {
  Json version = Json::object();
  version["version"] = std::string(kOllamaVersion);
  version["puna"] = std::string(kVersion);
  co_await SendJson(call, 200, std::move(version));
}

http::Task<void> HandleTags(Call& call) {
  Json body = co_await OnBlockingPool(call.services, [&] {
    Json models = Json::array();
    for (const store::InstalledModel& model : call.services.store->List())
      models.push_back(TagJson(model, call.services.catalog->SummaryOf(model)));
    return Json{{"models", std::move(models)}};
  });
  co_await SendJson(call, 200, std::move(body));
}

http::Task<void> HandleShow(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  std::string model, name;
  bool verbose = false;
  ShowChanges changes;
  Fields fields(*json, "ShowRequest");
  fields.Read("model", &model);
  fields.Read("name", &name);
  fields.Read("verbose", &verbose);
  fields.Read("system", &changes.system);
  if (const Json* shown = fields.Find("options"); shown != nullptr) {
    if (!shown->is_object()) fields.Mismatch("options", *shown, "map[string]interface {}");
    changes.options = *shown;
  }
  if (!fields.status()) co_return co_await SendError(call, fields.status().error());
  if (model.empty()) model = name;
  if (model.empty()) {
    Error missing = {ErrorCode::kInvalidArgument, "model is required"};
    co_return co_await SendError(call, std::move(missing));
  }
  Result<Json> shown = co_await OnBlockingPool(call.services, [&]() -> Result<Json> {
    PUNA_ASSIGN_OR_RETURN(Json out, ShowModel(call.services, model, verbose, changes));
    // That client looks here for the name to ask for.
    if (call.request.Header("user-agent").starts_with("GitHubCopilotChat/"))
      out["model_info"]["general.basename"] = model;
    return out;
  });
  if (!shown) co_return co_await SendError(call, shown.error());
  co_await SendJson(call, 200, *std::move(shown));
}

http::Task<void> HandlePs(Call& call) {
  Json body = co_await OnBlockingPool(call.services, [&] {
    Json models = Json::array();
    for (const scheduler::ResidentModel& resident : call.services.scheduler->List()) {
      Json model = {
          {"name", resident.name}, {"model", resident.name}, {"size", resident.size_bytes}};
      model["digest"] = resident.digest;
      model["details"] = resident.details != nullptr ? *resident.details : Json::object();
      const bool never = resident.expires_at == system_clock::time_point::max();
      const bool stopping = resident.state == scheduler::ModelState::kStopping;
      model["expires_at"] = FormatRfc3339(stopping ? system_clock::now() - std::chrono::seconds(1)
                                          : never  ? system_clock::now() + kNever
                                                   : resident.expires_at);
      model["size_vram"] = resident.size_vram_bytes;
      model["context_length"] = resident.context_length;
      model["weights_in_file"] = resident.weights_in_file;
      model["state"] = scheduler::ModelStateName(resident.state);
      model["requests_running"] = resident.running_requests;
      model["requests_waiting"] = resident.waiting_requests;
      model["cache_pages"] = resident.pages;
      model["cache_pages_in_use"] = resident.pages_in_use;
      models.push_back(std::move(model));
    }
    return Json{{"models", std::move(models)}};
  });
  co_await SendJson(call, 200, std::move(body));
}

}  // namespace puna::api
