#include "http/client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <memory>
#include <mutex>

namespace puna::http {
namespace {

struct CurlDeleter {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  void operator()(FILE* file) const { std::fclose(file); }
};

// What the callbacks of one transfer share.
struct Transfer {
  const ClientRequest* request;
  ClientResponse* response;
  CURL* curl;
};

size_t OnData(char* data, size_t size, size_t count, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  const std::string_view piece(data, size * count);
  if (transfer->request->on_data) return transfer->request->on_data(piece) ? piece.size() : 0;
  transfer->response->body.append(piece);
  return piece.size();
}

size_t OnHeader(char* data, size_t size, size_t count, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  const std::string_view line(data, size * count);
  const size_t colon = line.find(':');
  if (line.starts_with("HTTP/")) {
    transfer->response->headers.clear();
  } else if (colon != std::string_view::npos) {
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && std::isspace(static_cast<unsigned char>(value.front())) != 0)
      value.remove_prefix(1);
    while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back())) != 0)
      value.remove_suffix(1);
    transfer->response->headers.emplace_back(std::move(name), std::string(value));
  }
  return line.size();
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t upload_total, curl_off_t uploaded) {
  const auto* request = static_cast<Transfer*>(user)->request;
  if (!request->on_upload || upload_total == 0) return 0;
  return request->on_upload(static_cast<uint64_t>(uploaded), static_cast<uint64_t>(upload_total))
             ? 0
             : 1;
}

Error CurlError(CURLcode code, const std::string& url, const char* detail) {
  const std::string message =
      fmt::format("{}: {}", url, *detail != '\0' ? detail : curl_easy_strerror(code));
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_OPERATION_TIMEDOUT:
      return {ErrorCode::kUnavailable, message};
    case CURLE_WRITE_ERROR:
    case CURLE_ABORTED_BY_CALLBACK:
      return {ErrorCode::kCancelled, "cancelled"};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {ErrorCode::kInvalidArgument, message};
    default:
      return {ErrorCode::kInternal, message};
  }
}

}  // namespace

Result<ClientResponse> Fetch(const ClientRequest& request) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const std::unique_ptr<CURL, CurlDeleter> curl(curl_easy_init());
  if (!curl) return MakeError(ErrorCode::kInternal, "curl could not be started");

  ClientResponse response;
  Transfer transfer{&request, &response, curl.get()};
  char detail[CURL_ERROR_SIZE] = "";
  const auto set = [&](CURLoption option, auto value) {
    curl_easy_setopt(curl.get(), option, value);
  };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_ERRORBUFFER, detail);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(request.connect_timeout.count()));
  set(CURLOPT_TIMEOUT, static_cast<long>(request.total_timeout.count()));
  set(CURLOPT_WRITEFUNCTION, OnData);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_HEADERFUNCTION, OnHeader);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, OnProgress);
  set(CURLOPT_XFERINFODATA, &transfer);
  // Ours is a local server most of the time; a proxy for it is never meant.
  set(CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");

  std::unique_ptr<FILE, CurlDeleter> file;
  if (!request.body_file.empty()) {
    file.reset(std::fopen(request.body_file.c_str(), "rb"));
    if (!file) return ErrnoError(errno, request.body_file.string());
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_READDATA, file.get());
    set(CURLOPT_INFILESIZE_LARGE,
        static_cast<curl_off_t>(std::filesystem::file_size(request.body_file)));
  } else if (!request.body.empty() || request.method == "POST") {
    set(CURLOPT_POSTFIELDS, request.body.data());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
  if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else {
    set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  curl_slist* lines = nullptr;
  for (const auto& [name, value] : request.headers)
    lines = curl_slist_append(lines, (name + ": " + value).c_str());
  const std::unique_ptr<curl_slist, CurlDeleter> header_lines(lines);
  set(CURLOPT_HTTPHEADER, header_lines.get());

  if (const CURLcode code = curl_easy_perform(curl.get()); code != CURLE_OK) {
    return tl::unexpected(CurlError(code, request.url, detail));
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  response.status = static_cast<int>(status);
  return response;
}

LineSplitter::LineSplitter(std::function<bool(std::string_view)> on_line)
    : on_line_(std::move(on_line)) {}

bool LineSplitter::Push(std::string_view piece) {
  while (true) {
    const size_t end = piece.find('\n');
    if (end == std::string_view::npos) break;
    pending_.append(piece.substr(0, end));
    piece.remove_prefix(end + 1);
    const std::string line = std::exchange(pending_, {});
    if (!line.empty() && !on_line_(line)) return false;
  }
  pending_.append(piece);
  return true;
}

bool LineSplitter::Finish() {
  const std::string line = std::exchange(pending_, {});
  return line.empty() || on_line_(line);
}

}  // namespace puna::http
