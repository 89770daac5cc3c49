// Changing the store over the native API: create, copy, delete, blobs.
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>

#include "api/errors.h"
#include "api/routes.h"

namespace puna::api {
namespace {

using store::ModelName;

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

Status ReadMessages(Fields* fields, std::vector<store::Message>* out) {
  const Json* messages = fields->Find("messages");
  if (messages == nullptr) return {};
  if (!messages->is_array()) {
    fields->Mismatch("messages", *messages, "[]api.Message");
    return fields->status();
  }
  for (const Json& message : *messages)
    out->push_back({JsonString(message, "role"), JsonString(message, "content")});
  return {};
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
  fields.Read("quantization", &out.quantize);
  fields.Read("quantize", &out.quantize);
  PUNA_RETURN_IF_ERROR(fields.status());
  PUNA_RETURN_IF_ERROR(ReadFileMap(&fields, "files", &out.files));
  PUNA_RETURN_IF_ERROR(ReadFileMap(&fields, "adapters", &out.adapters));
  PUNA_RETURN_IF_ERROR(ReadMessages(&fields, &out.messages));
  if (const Json* parameters = fields.Find("parameters"); parameters != nullptr) {
    if (!parameters->is_object()) fields.Mismatch("parameters", *parameters, "map[string]any");
    PUNA_RETURN_IF_ERROR(fields.status());
    out.parameters = *parameters;
  }
  return out;
}

Error Invalid(std::string message) { return {ErrorCode::kInvalidArgument, std::move(message)}; }
Error NotFound(std::string message) { return {ErrorCode::kNotFound, std::move(message)}; }

Json ProgressJson(const store::Progress& progress) {
  Json json = {{"status", progress.status}};
  if (!progress.digest.empty()) json["digest"] = progress.digest;
  if (progress.total_bytes > 0) {
    json["total"] = progress.total_bytes;
    json["completed"] = progress.completed_bytes;
  }
  return json;
}

// Lines that another thread produces and the connection writes.
class LineQueue {
 public:
  explicit LineQueue(boost::asio::any_io_executor executor) : notifier_(std::move(executor)) {}
  void Push(std::string line) {
    {
      const std::lock_guard lock(mutex_);
      lines_.push_back(std::move(line));
    }
    notifier_.Notify();
  }
  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    notifier_.Notify();
  }
  // The lines so far; nothing when closed and empty.
  http::Task<std::optional<std::string>> Next() {
    while (true) {
      {
        const std::lock_guard lock(mutex_);
        std::string all;
        for (const std::string& line : lines_) all += line;
        lines_.clear();
        if (!all.empty()) co_return all;
        if (closed_) co_return std::nullopt;
      }
      co_await notifier_.Wait(std::chrono::hours(1));
    }
  }

 private:
  http::Notifier notifier_;
  std::mutex mutex_;
  std::deque<std::string> lines_;
  bool closed_ = false;
};

}  // namespace

http::Task<void> HandleCreate(Call& call) {
  Result<Json> json = co_await ReadJson(call);
  if (!json) co_return co_await SendError(call, json.error());
  Result<store::CreateRequest> request = ReadCreateRequest(*json);
  if (!request) co_return co_await SendError(call, request.error());
  bool stream = true;
  Fields fields(*json, "CreateRequest");
  fields.Read("stream", &stream);
  if (!fields.status()) co_return co_await SendError(call, fields.status().error());

  if (!stream) {
    const Status done = co_await OnBlockingPool(
        call.services,
        [&store = *call.services.store, &request] { return store.Create(*request, nullptr); });
    if (!done) co_return co_await SendError(call, done.error());
    Json success = {{"status", "success"}};
    co_return co_await SendJson(call, 200, std::move(success));
  }
  // The work must go on touching only what it owns if the client goes away.
  auto queue = std::make_shared<LineQueue>(co_await boost::asio::this_coro::executor);
  auto outcome = std::make_shared<Status>();
  auto gone = std::make_shared<std::atomic<bool>>(false);
  boost::asio::post(
      call.services.blocking->get_executor(),
      [queue, outcome, gone, store = call.services.store, request = *std::move(request)] {
        *outcome = store->Create(request, [&](const store::Progress& progress) {
          queue->Push(DumpJson(ProgressJson(progress)) + "\n");
          return !gone->load();
        });
        queue->Close();
      });
  call.writer.OnClientGone([gone] { gone->store(true); });
  std::optional<std::string> lines = co_await queue->Next();
  // What fails before the first line has a status of its own.
  if (!lines && !*outcome) co_return co_await SendError(call, outcome->error());
  co_await call.writer.StartStream(200, "application/x-ndjson");
  for (; lines; lines = co_await queue->Next()) co_await call.writer.Write(*std::move(lines));
  if (!*outcome)
    co_await call.writer.Write(DumpJson(ErrorBody(Dialect::kOllama, outcome->error())) + "\n");
  co_await call.writer.Finish();
}

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
  const auto installed =
      co_await OnBlockingPool(call.services, [&] { return call.services.store->Find(*name); });
  const Status done =
      co_await OnBlockingPool(call.services, [&] { return call.services.store->Delete(*name); });
  if (!done && done.error().code == ErrorCode::kNotFound) {
    co_return co_await SendError(call, NotFound(fmt::format("model '{}' not found", *model)));
  }
  if (!done) co_return co_await SendError(call, done.error());
  // Deleted weights would otherwise keep their memory and disk space until the keep-alive ends.
  if (installed) (void)call.services.scheduler->Unload(installed->weights);
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
  auto writer = call.services.store->WriteBlob(call.captures[0]);
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
