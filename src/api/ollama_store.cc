// Changing the store over the native API: create, pull, push, copy, delete, blobs.
#include <algorithm>
#include <charconv>

#include "api/errors.h"
#include "api/ollama_types.h"
#include "api/progress_stream.h"
#include "api/routes.h"
#include "chat/chat.h"

namespace puna::api {
namespace {

using store::ModelName;

Error Invalid(std::string message) { return {ErrorCode::kInvalidArgument, std::move(message)}; }
Error NotFound(std::string message) { return {ErrorCode::kNotFound, std::move(message)}; }

// "model", or "name" as older clients say.
Result<std::string> ReadModelField(const Json& json, std::string_view owner) {
  Fields fields(json, owner);
  std::string model, name;
  fields.Read("model", &model);
  fields.Read("name", &name);
  PUNA_RETURN_IF_ERROR(fields.status());
  return model.empty() ? name : model;
}

Status ReadFileMap(Fields* fields, std::string_view name,
                   std::vector<std::pair<std::string, std::string>>* out) {
  const Json* files = fields->Find(name);
  if (files == nullptr) return {};
  if (!files->is_object()) {
    fields->Mismatch(name, *files, "map[string]string");
    return fields->status();
  }
  for (const auto& [file, digest] : files->items()) {
    if (!digest.is_string()) {
      fields->Mismatch(name, digest, "string");
      return fields->status();
    }
    out->emplace_back(file, digest.get<std::string>());
  }
  return {};
}

// "info": what the model's config shall say instead of what the files say.
Result<Json> ReadInfo(Fields* fields) {
  Json config = Json::object();
  PUNA_ASSIGN_OR_RETURN(const Json* info, fields->FindObject("info", "map[string]any"));
  if (info == nullptr) return config;
  for (const auto& [field, key] : {std::pair{"model_family", "model_family"},
                                   {"base_name", "base_name"},
                                   {"quantization_level", "file_type"},
                                   {"parameter_size", "model_type"}}) {
    const Json value = info->value(field, Json());
    if (value.is_null()) continue;
    if (!value.is_string())
      return tl::unexpected(Invalid(fmt::format("info field \"{}\" must be a string", field)));
    config[key] = value;
  }
  if (config.contains("model_family"))
    config["model_families"] = Json::array({config["model_family"]});
  for (const char* field : {"context_length", "embedding_length"}) {
    const Json value = info->value(field, Json());
    if (value.is_null()) continue;
    if (!value.is_number())
      return tl::unexpected(Invalid(fmt::format("info field \"{}\" must be a number", field)));
    if (!value.is_number_integer() || value < 0 || value > INT32_MAX) {
      return tl::unexpected(
          Invalid(fmt::format("info field \"{}\" must be a non-negative integer", field)));
    }
    config[field] = value;
  }
  const Json capabilities = info->value("capabilities", Json());
  if (capabilities.is_null()) return config;
  const auto is_text = [](const Json& one) { return one.is_string(); };
  if (!capabilities.is_array() || !std::all_of(capabilities.begin(), capabilities.end(), is_text))
    return tl::unexpected(Invalid("info field \"capabilities\" must be a list of strings"));
  config["capabilities"] = capabilities;
  return config;
}

// What Ollama makes of remote_host needs ollama.com.
Status ReadDraft(Fields* fields, store::CreateRequest* out) {
  std::string remote_host;
  fields->Read("remote_host", &remote_host);
  fields->Read("draft_quantize", &out->draft_quantize);
  PUNA_RETURN_IF_ERROR(ReadFileMap(fields, "draft_files", &out->drafts));
  PUNA_RETURN_IF_ERROR(fields->status());
  if (!out->draft_quantize.empty() && out->drafts.empty())
    return MakeError(ErrorCode::kInvalidArgument, "--draft-quantize requires a DRAFT model");
  if (remote_host.empty()) return {};
  if (!out->drafts.empty())
    return MakeError(ErrorCode::kInvalidArgument, "DRAFT cannot be used with remote models");
  return MakeError(ErrorCode::kPermissionDenied,
                   "ollama cloud is disabled: a model at \"{}\" is not on this machine, and puna "
                   "works on this machine only",
                   remote_host);
}

Result<store::CreateRequest> ReadCreateRequest(const Json& json) {
  store::CreateRequest out;
  PUNA_ASSIGN_OR_RETURN(const std::string model, ReadModelField(json, "CreateRequest"));
  const auto name = ModelName::Parse(model);
  if (!name) return MakeError(ErrorCode::kInvalidArgument, "invalid model name");
  out.name = *name;
  Fields fields(json, "CreateRequest");
  fields.Read("from", &out.from);
  fields.Read("template", &out.template_text);
  fields.Read("system", &out.system);
  fields.ReadStrings("license", &out.licenses);
  fields.Read("renderer", &out.renderer);
  fields.Read("parser", &out.parser);
  fields.Read("requires", &out.requires_version);
  PUNA_RETURN_IF_ERROR(fields.status());
  PUNA_RETURN_IF_ERROR(chat::CheckPromptParts(out.renderer, out.parser, out.template_text));
  fields.Read("quantization", &out.quantize);
  fields.Read("quantize", &out.quantize);
  PUNA_RETURN_IF_ERROR(fields.status());
  PUNA_RETURN_IF_ERROR(ReadFileMap(&fields, "files", &out.files));
  PUNA_RETURN_IF_ERROR(ReadFileMap(&fields, "adapters", &out.adapters));
  PUNA_RETURN_IF_ERROR(ReadFileMap(&fields, "imatrix", &out.imatrix));
  PUNA_RETURN_IF_ERROR(ReadDraft(&fields, &out));
  std::vector<chat::Message> messages;
  PUNA_RETURN_IF_ERROR(ReadMessages(&fields, &messages));
  for (const chat::Message& message : messages) out.messages.push_back(MessageJson(message));
  PUNA_ASSIGN_OR_RETURN(out.config, ReadInfo(&fields));
  if (const Json* parameters = fields.Find("parameters"); parameters != nullptr) {
    if (!parameters->is_object()) fields.Mismatch("parameters", *parameters, "map[string]any");
    PUNA_RETURN_IF_ERROR(fields.status());
    out.parameters = *parameters;
  }
  return out;
}

}  // namespace

http::Task<void> HandleCreate(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  Result<store::CreateRequest> request = ReadCreateRequest(*json);
  if (!request) co_return co_await SendError(call, request.error());
  const Result<bool> stream = ReadStreamField(*json, "CreateRequest");
  if (!stream) co_return co_await SendError(call, stream.error());
  // Named before the co_await, which GCC 12 would make destroy the captures twice.
  ProgressWork work = [store = call.services.store, registry = call.services.registry,
                       request = *std::move(request)](const store::ProgressFunction& progress) {
    return store->Create(request, progress, [&](const ModelName& name, const auto& pulling) {
      return registry->Pull(name, /*insecure=*/false, pulling);
    });
  };
  co_await RunWithProgress(call, *stream, std::move(work));
}

namespace {

// What pull and push are asked for.
struct RegistryRequest {
  std::string url;  // of a GGUF file; empty: the model is at a registry
  ModelName name;
  bool insecure = false;
};

// The model to pull may be the URL of a file; "name", else the file's name, is then what it will be
// called.
Result<RegistryRequest> ReadRegistryRequest(const Json& json, const char* owner, bool pull) {
  RegistryRequest out;
  PUNA_ASSIGN_OR_RETURN(std::string model, ReadModelField(json, owner));
  if (model.empty()) return tl::unexpected(Invalid("model is required"));
  Fields fields(json, owner);
  fields.Read("insecure", &out.insecure);
  if (pull && model.starts_with("file:")) {
    return tl::unexpected(
        Invalid("a server pulls no files of its own: 'puna pull file://...' sends the file"));
  }
  if (pull && registry::IsFileUrl(model)) {
    out.url = model;
    std::string name;
    if (json.contains("model")) fields.Read("name", &name);
    const std::string path = model.substr(0, model.find_first_of("?#"));
    model = name.empty() ? store::ModelNameOfFile(path) : name;
  }
  PUNA_RETURN_IF_ERROR(fields.status());
  const auto name = ModelName::Parse(model);
  if (!name) return tl::unexpected(Invalid("invalid model name"));
  out.name = *name;
  return out;
}

http::Task<void> HandleRegistry(Call& call, const char* owner, bool pull) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  const Result<RegistryRequest> request = ReadRegistryRequest(*json, owner, pull);
  if (!request) co_return co_await SendError(call, request.error());
  const Result<bool> stream = ReadStreamField(*json, owner);
  if (!stream) co_return co_await SendError(call, stream.error());
  ProgressWork work = [registry = call.services.registry, r = *request,
                       pull](const store::ProgressFunction& progress) {
    if (!pull) return registry->Push(r.name, r.insecure, progress);
    if (!r.url.empty()) return registry->PullFile(r.url, r.name, r.insecure, progress);
    return registry->Pull(r.name, r.insecure, progress);
  };
  co_await RunWithProgress(call, *stream, std::move(work));
}

}  // namespace

http::Task<void> HandlePull(Call& call) { return HandleRegistry(call, "PullRequest", true); }

http::Task<void> HandlePush(Call& call) { return HandleRegistry(call, "PushRequest", false); }

http::Task<void> HandleCopy(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  std::string source, destination;
  Fields fields(*json, "CopyRequest");
  fields.Read("source", &source);
  fields.Read("destination", &destination);
  if (!fields.status()) co_return co_await SendError(call, fields.status().error());
  const auto from = ModelName::Parse(source);
  if (!from)
    co_return co_await SendError(call, Invalid(fmt::format("source \"{}\" is invalid", source)));
  const auto to = ModelName::Parse(destination);
  if (!to) {
    co_return co_await SendError(
        call, Invalid(fmt::format("destination \"{}\" is invalid", destination)));
  }
  const Status done =
      co_await OnBlockingPool(call.services, [&] { return call.services.store->Copy(*from, *to); });
  if (!done && done.error().code == ErrorCode::kNotFound) {
    co_return co_await SendError(call, NotFound(fmt::format("model \"{}\" not found", source)));
  }
  if (!done) co_return co_await SendError(call, done.error());
  co_await call.writer.Send(200, "", "");
}

http::Task<void> HandleDelete(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  const Result<std::string> model = ReadModelField(*json, "DeleteRequest");
  if (!model) co_return co_await SendError(call, model.error());
  const auto name = ModelName::Parse(*model);
  if (!name)
    co_return co_await SendError(call, Invalid(fmt::format("name \"{}\" is invalid", *model)));
  const Status done =
      co_await OnBlockingPool(call.services, [&] { return call.services.store->Delete(*name); });
  if (!done && done.error().code == ErrorCode::kNotFound) {
    co_return co_await SendError(call, NotFound(fmt::format("model '{}' not found", *model)));
  }
  if (!done) co_return co_await SendError(call, done.error());
  co_await call.writer.Send(200, "", "");
}

http::Task<void> HandleBlobHead(Call& call) {
  const auto present = call.services.store->HasBlob(call.captures[0]);
  if (!present) co_return co_await SendError(call, present.error());
  co_await call.writer.Send(*present ? 200 : 404, "", "");
}

http::Task<void> HandleBlobPost(Call& call) {
  const auto present = call.services.store->HasBlob(call.captures[0]);
  if (!present) co_return co_await SendError(call, present.error());
  if (*present) {
    // A client that is still sending would see a broken connection instead of the answer.
    for (Result<std::string> piece = co_await call.body.Read(); piece && !piece->empty();) {
      piece = co_await call.body.Read();
    }
    co_return co_await call.writer.Send(200, "", "");
  }
  // Of a body in chunks nobody knows how long it will be.
  uint64_t size_bytes = 0;
  const std::string_view length = call.request.Header("content-length");
  std::from_chars(length.data(), length.data() + length.size(), size_bytes);
  auto writer = call.services.store->WriteBlob(call.captures[0], size_bytes);
  if (!writer) co_return co_await SendError(call, writer.error());
  while (true) {
    Result<std::string> piece = co_await call.body.Read();
    if (!piece) co_return co_await SendError(call, piece.error());
    if (piece->empty()) break;
    const Status written =
        co_await OnBlockingPool(call.services, [&] { return writer->Write(*piece); });
    if (!written) co_return co_await SendError(call, written.error());
  }
  const Status done = co_await OnBlockingPool(call.services, [&] { return writer->Finish(); });
  if (!done) co_return co_await SendError(call, done.error());
  co_await call.writer.Send(201, "", "");
}

}  // namespace puna::api
