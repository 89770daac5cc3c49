#include "cli/api_client.h"

#include "base/json.h"
#include "base/text.h"
#include "store/model_name.h"

namespace puna::cli {
namespace {

ErrorCode CodeOfStatus(int status) {
  switch (status) {
    case 400:
      return ErrorCode::kInvalidArgument;
    case 401:
      return ErrorCode::kUnauthorized;
    case 403:
      return ErrorCode::kPermissionDenied;
    case 404:
      return ErrorCode::kNotFound;
    case 409:
      return ErrorCode::kAlreadyExists;
    case 499:
      return ErrorCode::kCancelled;
    case 503:
      return ErrorCode::kUnavailable;
    default:
      return ErrorCode::kInternal;
  }
}

// The API's words for a name that cannot be are fixed, and do not say which name it was.
Error NameTheName(Error error, const Json& request) {
  if (error.message != "invalid model name") return error;
  for (const char* field : {"model", "name"}) {
    const std::string written = JsonString(request, field);
    const auto name = store::ModelName::Parse(written);
    if (!written.empty() && !name) error.message = name.error().message;
  }
  return error;
}

// `request`: what was sent, if it was JSON.
tl::unexpected<Error> ServerError(int status, const std::string& body,
                                  const Json& request = Json()) {
  const Json json = ParseJson(body);
  std::string message = JsonString(json, "error");
  if (message.empty())
    message = fmt::format("the server answered {}{}{}", status, body.empty() ? "" : ": ",
                          body.substr(0, 500));
  return tl::unexpected(NameTheName({CodeOfStatus(status), std::move(message)}, request));
}

// What a route answers, or one line of it; nothing at all is an object without fields.
Result<Json> ParseObject(std::string_view text, const std::string& base_url) {
  Json json = text.empty() ? Json::object() : ParseJson(text);
  if (json.is_object()) return json;
  return MakeError(ErrorCode::kInternal, "{} answered \"{}\", which is no JSON object", base_url,
                   Shortened(OnOneLine(text)));
}

// What a refused connection means to somebody at a terminal.
Error Explain(Error error, const std::string& base_url) {
  if (error.code == ErrorCode::kUnavailable) {
    error.message = fmt::format(
        "could not connect to a puna server at {}, run 'puna serve' to start it", base_url);
  }
  return error;
}

}  // namespace

ApiClient::ApiClient(const Settings& settings) : key_(settings.api_key) {
  const Address address = ParseAddress(settings.host);
  // A server that listens everywhere is reached here.
  const std::string host = address.host == "0.0.0.0" ? "127.0.0.1"
                           : address.host == "::"    ? "::1"
                                                     : address.host;
  const bool ipv6 = host.find(':') != std::string::npos;
  base_url_ = fmt::format("{}://{}{}{}:{}", address.scheme, ipv6 ? "[" : "", host, ipv6 ? "]" : "",
                          address.port);
}

ApiClient::ApiClient(std::string base_url) : base_url_(std::move(base_url)) {}

http::ClientRequest ApiClient::RequestTo(std::string method, const std::string& path) const {
  http::ClientRequest request;
  request.method = std::move(method);
  request.url = base_url_ + path;
  if (!key_.empty()) request.headers.emplace_back("Authorization", "Bearer " + key_);
  return request;
}

bool ApiClient::Alive() const {
  const auto answer = http::Fetch(
      {.method = "HEAD", .url = base_url_ + "/", .connect_timeout = std::chrono::seconds(2)});
  return answer && answer->status == 200;
}

Result<Json> ApiClient::Get(const std::string& path) const {
  auto answer = http::Fetch(RequestTo("GET", path));
  if (!answer) return tl::unexpected(Explain(std::move(answer).error(), base_url_));
  if (answer->status >= 400) return ServerError(answer->status, answer->body);
  return ParseObject(answer->body, base_url_);
}

Result<Json> ApiClient::Post(const std::string& path, const Json& body) const {
  http::ClientRequest request = RequestTo("POST", path);
  request.body = DumpJson(body);
  auto answer = http::Fetch(request);
  if (!answer) return tl::unexpected(Explain(std::move(answer).error(), base_url_));
  if (answer->status >= 400) return ServerError(answer->status, answer->body, body);
  return ParseObject(answer->body, base_url_);
}

Status ApiClient::Delete(const std::string& path, const Json& body) const {
  http::ClientRequest request = RequestTo("DELETE", path);
  request.body = DumpJson(body);
  auto answer = http::Fetch(request);
  if (!answer) return tl::unexpected(Explain(std::move(answer).error(), base_url_));
  if (answer->status >= 400) return ServerError(answer->status, answer->body, body);
  return {};
}

Status ApiClient::PostStream(const std::string& path, const Json& body,
                             const std::function<bool(const Json&)>& on_object,
                             const std::function<bool()>& cancelled) const {
  std::string error;
  Status understood;
  http::LineSplitter splitter([&](std::string_view line) {
    const auto json = ParseObject(line, base_url_);
    if (!json) {
      understood = tl::unexpected(json.error());
      return false;
    }
    if (std::string text = JsonString(*json, "error"); !text.empty()) {
      error = std::move(text);
      return true;  // it is the last line; the status of the answer comes after it
    }
    return on_object(*json) && !(cancelled && cancelled());
  });
  http::ClientRequest request = RequestTo("POST", path);
  request.body = DumpJson(body);
  request.on_data = [&](std::string_view piece) { return splitter.Push(piece); };
  request.cancelled = cancelled;
  auto answer = http::Fetch(request);
  const bool finished = answer && splitter.Finish();
  PUNA_RETURN_IF_ERROR(understood);
  if (!answer) return tl::unexpected(Explain(std::move(answer).error(), base_url_));
  if (!finished) return MakeError(ErrorCode::kCancelled, "cancelled");
  if (!error.empty())
    return tl::unexpected(NameTheName({CodeOfStatus(answer->status), std::move(error)}, body));
  if (answer->status >= 400) return ServerError(answer->status, "");
  return {};
}

Result<bool> ApiClient::HasBlob(const std::string& digest) const {
  auto answer = http::Fetch(RequestTo("HEAD", "/api/blobs/" + digest));
  if (!answer) return tl::unexpected(Explain(std::move(answer).error(), base_url_));
  return answer->status == 200;
}

Status ApiClient::UploadBlob(const std::string& digest, const std::filesystem::path& file,
                             const std::function<bool(uint64_t, uint64_t)>& progress) const {
  http::ClientRequest request = RequestTo("POST", "/api/blobs/" + digest);
  request.body_file = file;
  request.on_upload = progress;
  auto answer = http::Fetch(request);
  if (!answer) return tl::unexpected(Explain(std::move(answer).error(), base_url_));
  if (answer->status >= 400) return ServerError(answer->status, answer->body);
  return {};
}

bool HasCapability(const Json& model, std::string_view capability) {
  for (const Json& one : model.value("capabilities", Json::array())) {
    if (one == capability) return true;
  }
  return false;
}

}  // namespace puna::cli
