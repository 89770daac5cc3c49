#include "http/client.h"

#include <arpa/inet.h>
#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <type_traits>

#include "base/text.h"
#include "http/close_on_exec.h"
#include "http/url.h"

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
  bool head_passed = false;    // on_head was called
  bool ended_at_head = false;  // and wanted no more
  bool body_too_long = false;
  std::string refused_peer;   // an address that is not public
  std::exception_ptr thrown;  // by a callback
  uint64_t upload_left = 0;   // bytes of the body file that are still to be sent
  FILE* upload = nullptr;
};

// What a callback of the transfer does. An exception must not pass through curl, which is C: it
// ends the transfer, for which curl wants to see `failed`, and goes on behind it.
template <typename Function>
auto CatchForLater(Transfer* transfer, std::invoke_result_t<Function> failed, Function function) {
  try {
    return function();
  } catch (...) {
    transfer->thrown = std::current_exception();
    return failed;
  }
}

// False if the request wants no body.
bool PassHead(Transfer* transfer) {
  if (transfer->head_passed) return !transfer->ended_at_head;
  transfer->head_passed = true;
  long status = 0;
  curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
  transfer->response->status = static_cast<int>(status);
  if (transfer->request->on_head)
    transfer->ended_at_head = !transfer->request->on_head(*transfer->response);
  return !transfer->ended_at_head;
}

size_t TakeData(Transfer* transfer, std::string_view piece) {
  if (!PassHead(transfer)) return 0;
  if (transfer->request->on_data) return transfer->request->on_data(piece) ? piece.size() : 0;
  const uint64_t limit = transfer->request->max_body_bytes;
  transfer->body_too_long = limit != 0 && transfer->response->body.size() + piece.size() > limit;
  if (transfer->body_too_long) return 0;
  transfer->response->body.append(piece);
  return piece.size();
}

size_t OnData(char* data, size_t size, size_t count, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  return CatchForLater(transfer, 0,
                       [&] { return TakeData(transfer, std::string_view(data, size * count)); });
}

size_t OnUploadRead(char* out, size_t size, size_t count, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  const size_t wanted =
      static_cast<size_t>(std::min<uint64_t>(size * count, transfer->upload_left));
  const size_t got = std::fread(out, 1, wanted, transfer->upload);
  if (got < wanted) return CURL_READFUNC_ABORT;
  transfer->upload_left -= got;
  return got;
}

// IPv4 also in its IPv6 forms.
bool IsAllowedAddress(const char* text, Peers peers) {
  if (peers == Peers::kAny) return true;
  const bool must_be_public = peers == Peers::kPublic;
  in6_addr v6 = {};
  in_addr v4 = {};
  if (inet_pton(AF_INET6, text, &v6) == 1) {
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
      std::copy_n(v6.s6_addr + 12, 4, reinterpret_cast<uint8_t*>(&v4.s_addr));
    } else {
      const bool is_private = IN6_IS_ADDR_LOOPBACK(&v6) || IN6_IS_ADDR_UNSPECIFIED(&v6) ||
                              IN6_IS_ADDR_SITELOCAL(&v6) || (v6.s6_addr[0] & 0xfe) == 0xfc;
      return !IN6_IS_ADDR_LINKLOCAL(&v6) && !(must_be_public && is_private);
    }
  } else if (inet_pton(AF_INET, text, &v4) != 1) {
    return false;
  }
  const uint32_t address = ntohl(v4.s_addr);
  const auto within = [&](uint32_t network, int bits) {
    return (address >> (32 - bits)) == (network >> (32 - bits));
  };
  const bool is_private = within(0x00000000, 8) || within(0x7f000000, 8) || within(0x0a000000, 8) ||
                          within(0xac100000, 12) || within(0xc0a80000, 16) ||
                          within(0x64400000, 10);
  return !within(0xa9fe0000, 16) && !(must_be_public && is_private);
}

int OnSocket(void*, curl_socket_t socket, curlsocktype) {
  CloseOnExec(socket);
  return CURL_SOCKOPT_OK;
}

// After the connection is made and before anything is sent: names may resolve to anything.
int OnConnected(void* user, char* peer, char*, int, int) {
  auto* transfer = static_cast<Transfer*>(user);
  if (IsAllowedAddress(peer, transfer->request->peers)) return CURL_PREREQFUNC_OK;
  transfer->refused_peer = peer;
  return CURL_PREREQFUNC_ABORT;
}

void TakeHeader(Transfer* transfer, std::string_view line) {
  const size_t colon = line.find(':');
  if (line.starts_with("HTTP/")) {
    transfer->response->headers.clear();
  } else if (colon != std::string_view::npos) {
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && std::isspace(static_cast<unsigned char>(value.front())) != 0)
      value.remove_prefix(1);
    while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back())) != 0)
      value.remove_suffix(1);
    transfer->response->headers.emplace_back(LowerCase(line.substr(0, colon)), std::string(value));
  }
}

size_t OnHeader(char* data, size_t size, size_t count, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  const std::string_view line(data, size * count);
  return CatchForLater(transfer, 0, [&] {
    TakeHeader(transfer, line);
    return line.size();
  });
}

// Whether the transfer goes on.
bool GoesOn(const ClientRequest& request, curl_off_t uploaded, curl_off_t upload_total) {
  if (request.cancelled && request.cancelled()) return false;
  return !request.on_upload || upload_total == 0 ||
         request.on_upload(static_cast<uint64_t>(uploaded), static_cast<uint64_t>(upload_total));
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t upload_total, curl_off_t uploaded) {
  auto* transfer = static_cast<Transfer*>(user);
  return CatchForLater(transfer, 1,
                       [&] { return GoesOn(*transfer->request, uploaded, upload_total) ? 0 : 1; });
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
    case CURLE_OUT_OF_MEMORY:
      // What curl says of a line that is longer than it takes.
      return {ErrorCode::kInternal, fmt::format("{}: a header of the answer is too long", url)};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {ErrorCode::kInvalidArgument, message};
    default:
      return {ErrorCode::kInternal, message};
  }
}

// Of the first of the variables that says something.
std::string Environment(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  }
  return "";
}

// curl itself reads HTTP_PROXY in lower case only, a caution that programs run by web servers need.
// True if the request goes through a proxy.
bool SetProxy(const ClientRequest& request, CURL* curl) {
  const bool tls = request.url.starts_with("https:");
  const std::string proxy =
      tls ? Environment({"https_proxy", "HTTPS_PROXY"}) : Environment({"http_proxy", "HTTP_PROXY"});
  const std::string exceptions =
      "localhost,127.0.0.0/8,::1," + Environment({"no_proxy", "NO_PROXY"});
  curl_easy_setopt(curl, CURLOPT_PROXY, proxy.c_str());
  curl_easy_setopt(curl, CURLOPT_NOPROXY, exceptions.c_str());
  return !proxy.empty();
}

// Who vouches for certificates, where somebody else does than the system's authorities. OpenSSL
// reads these variables for programs that choose no file, but curl comes with one.
void SetAuthorities(CURL* curl) {
  if (const std::string file = Environment({"SSL_CERT_FILE"}); !file.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, file.c_str());
    curl_easy_setopt(curl, CURLOPT_PROXY_CAINFO, file.c_str());
  }
  if (const std::string folders = Environment({"SSL_CERT_DIR"}); !folders.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAPATH, folders.c_str());
    curl_easy_setopt(curl, CURLOPT_PROXY_CAPATH, folders.c_str());
  }
}

// The host of a URL without its port and brackets.
std::string HostOf(const std::string& url) {
  const auto parts = SplitUrl(url);
  if (!parts) return "";
  const std::string& host = parts->host;
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.rfind(':'));
}

// Written out as an address that the request must not lead to.
bool IsRefusedHost(const std::string& host, Peers peers) {
  unsigned char bytes[16];
  const bool address =
      inet_pton(AF_INET, host.c_str(), bytes) == 1 || inet_pton(AF_INET6, host.c_str(), bytes) == 1;
  return (host == "localhost" && peers == Peers::kPublic) ||
         (address && !IsAllowedAddress(host.c_str(), peers));
}

tl::unexpected<Error> RefusedPeer(const std::string& url, std::string_view peer) {
  return MakeError(ErrorCode::kPermissionDenied,
                   "{} leads to {}, an address of this machine or its network: refused", url, peer);
}

void SetOptions(const ClientRequest& request, Transfer* transfer, char* detail) {
  const auto set = [&](CURLoption option, auto value) {
    curl_easy_setopt(transfer->curl, option, value);
  };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_ERRORBUFFER, detail);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(request.connect_timeout.count()));
  set(CURLOPT_TIMEOUT, static_cast<long>(request.total_timeout.count()));
  if (request.stall_timeout.count() > 0) {
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.stall_timeout.count()));
  }
  SetAuthorities(transfer->curl);
  if (!request.verify_tls) {
    set(CURLOPT_SSL_VERIFYPEER, 0L);
    set(CURLOPT_SSL_VERIFYHOST, 0L);
  }
  set(CURLOPT_SOCKOPTFUNCTION, OnSocket);
  const bool proxied = SetProxy(request, transfer->curl);
  if (request.peers != Peers::kAny && !proxied) {
    set(CURLOPT_PREREQFUNCTION, OnConnected);
    set(CURLOPT_PREREQDATA, transfer);
  }
  set(CURLOPT_BUFFERSIZE, 512L << 10);
  set(CURLOPT_WRITEFUNCTION, OnData);
  set(CURLOPT_WRITEDATA, transfer);
  set(CURLOPT_HEADERFUNCTION, OnHeader);
  set(CURLOPT_HEADERDATA, transfer);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, OnProgress);
  set(CURLOPT_XFERINFODATA, transfer);
}

// The part of `file` that the request sends becomes the body.
Status SetBodyFile(const ClientRequest& request, FILE* file, Transfer* transfer) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(request.body_file, error);
  const uint64_t offset = request.body_file_offset;
  if (error || offset > size || request.body_file_bytes > size - offset) {
    return MakeError(ErrorCode::kInternal, "{} has {} bytes, wanted are {} from {} on",
                     request.body_file.string(), size, request.body_file_bytes, offset);
  }
  transfer->upload = file;
  transfer->upload_left = request.body_file_bytes != 0 ? request.body_file_bytes : size - offset;
  std::fseek(file, static_cast<long>(offset), SEEK_SET);
  curl_easy_setopt(transfer->curl, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(transfer->curl, CURLOPT_READFUNCTION, OnUploadRead);
  curl_easy_setopt(transfer->curl, CURLOPT_READDATA, transfer);
  curl_easy_setopt(transfer->curl, CURLOPT_INFILESIZE_LARGE,
                   static_cast<curl_off_t>(transfer->upload_left));
  return {};
}

}  // namespace

namespace {

using Handle = std::unique_ptr<CURL, CurlDeleter>;

// Requests that a thread makes one after the other share their connections.
thread_local Handle idle_handle;

class BorrowedHandle {
 public:
  BorrowedHandle() : handle_(std::move(idle_handle)) {
    if (handle_) {
      curl_easy_reset(handle_.get());
    } else {
      handle_.reset(curl_easy_init());
    }
  }
  ~BorrowedHandle() { idle_handle = std::move(handle_); }
  CURL* get() const { return handle_.get(); }

 private:
  Handle handle_;
};

}  // namespace

Result<ClientResponse> Fetch(const ClientRequest& request) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const BorrowedHandle curl;
  if (curl.get() == nullptr) return MakeError(ErrorCode::kInternal, "curl could not be started");

  if (const std::string host = HostOf(request.url); IsRefusedHost(host, request.peers))
    return RefusedPeer(request.url, host);
  ClientResponse response;
  Transfer transfer{.request = &request, .response = &response, .curl = curl.get()};
  char detail[CURL_ERROR_SIZE] = "";
  SetOptions(request, &transfer, detail);
  std::unique_ptr<FILE, CurlDeleter> file;
  if (!request.body_file.empty()) {
    file.reset(std::fopen(request.body_file.c_str(), "rbe"));
    if (!file) return ErrnoError(errno, request.body_file.string());
    PUNA_RETURN_IF_ERROR(SetBodyFile(request, file.get(), &transfer));
  } else if (!request.body.empty() || request.method == "POST") {
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
  }
  if (request.method == "HEAD") {
    curl_easy_setopt(curl.get(), CURLOPT_NOBODY, 1L);
  } else {
    curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  curl_slist* lines = nullptr;
  for (const auto& [name, value] : request.headers)
    lines = curl_slist_append(lines, (name + ": " + value).c_str());
  const std::unique_ptr<curl_slist, CurlDeleter> header_lines(lines);
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, header_lines.get());

  const CURLcode code = curl_easy_perform(curl.get());
  if (transfer.thrown) std::rethrow_exception(transfer.thrown);
  if (transfer.ended_at_head) return response;
  if (transfer.body_too_long) {
    return MakeError(ErrorCode::kResourceExhausted, "{}: the answer is longer than {} bytes",
                     request.url, request.max_body_bytes);
  }
  if (!transfer.refused_peer.empty()) return RefusedPeer(request.url, transfer.refused_peer);
  if (code != CURLE_OK) return tl::unexpected(CurlError(code, request.url, detail));
  PassHead(&transfer);
  return response;
}

std::string_view ClientResponse::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
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
