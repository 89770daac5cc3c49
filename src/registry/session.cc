#include "registry/session.h"

#include <openssl/rand.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/base64.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "http/url.h"
#include "registry/identity.h"
#include "store/manifest.h"

namespace puna::registry {
namespace {

constexpr int kMaxRedirects = 10;
constexpr uint64_t kMaxAnswerBytes = 4 << 20;
constexpr auto kSilence = std::chrono::milliseconds(500);

// Where a redirect leads; "" if the answer is none.
std::string RedirectOf(const http::ClientResponse& response) {
  for (const int status : {301, 302, 303, 307, 308}) {
    if (response.status == status) return std::string(response.Header("location"));
  }
  return "";
}

// The value of key="..." in a WWW-Authenticate header.
std::string ChallengeField(std::string_view challenge, std::string_view key) {
  const std::string pattern = std::string(key) + "=\"";
  const size_t at = challenge.find(pattern);
  if (at == std::string_view::npos) return "";
  challenge.remove_prefix(at + pattern.size());
  return std::string(challenge.substr(0, challenge.find('"')));
}

// The query of a token request: what the challenge wants, and a time and a random number that make
// its signature good for one use.
std::string TokenQuery(std::string_view challenge) {
  unsigned char random[16];
  RAND_bytes(random, sizeof(random));
  std::string nonce = EncodeBase64({reinterpret_cast<const char*>(random), sizeof(random)});
  std::replace(nonce.begin(), nonce.end(), '+', '-');
  std::replace(nonce.begin(), nonce.end(), '/', '_');
  nonce.erase(nonce.find('='));
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::system_clock::now().time_since_epoch());
  std::string query = "nonce=" + nonce;
  std::string scopes = ChallengeField(challenge, "scope");
  while (!scopes.empty()) {
    const size_t end = std::min(scopes.find(' '), scopes.size());
    query += "&scope=" + http::EncodeComponent(scopes.substr(0, end));
    scopes.erase(0, end + 1);
  }
  query += "&service=" + http::EncodeComponent(ChallengeField(challenge, "service"));
  return query + fmt::format("&ts={}", now.count());
}

// A whole number, as headers have it.
std::optional<int64_t> ParseSize(std::string_view text) {
  if (text.empty()) return std::nullopt;
  int64_t size = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || size > (int64_t{1} << 58)) return std::nullopt;
    size = size * 10 + (c - '0');
  }
  return size;
}

// What the header "Content-Range: bytes 0-0/123" says of the whole.
std::optional<int64_t> WholeSize(std::string_view content_range) {
  const size_t slash = content_range.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  return ParseSize(content_range.substr(slash + 1));
}

// What http tells apart no further is a connection that broke, and the next one may hold.
Result<http::ClientResponse> Exchange(const http::ClientRequest& request) {
  auto response = http::Fetch(request);
  if (!response && response.error().code == ErrorCode::kInternal)
    response.error().code = ErrorCode::kUnavailable;
  return response;
}

// What OpenSSL says of a server that answers without TLS tells nobody what to do.
Error ExplainPlainHttp(Error error) {
  if (error.message.find("wrong version number") != std::string::npos)
    error.message += " (the server does not speak https; insecure, --insecure, permits plain http)";
  return error;
}

}  // namespace

tl::unexpected<Error> StatusError(const std::string& what, const http::ClientResponse& response) {
  const ErrorCode code = response.status == 404 ? ErrorCode::kNotFound
                         : response.status >= 500 || response.status == 429
                             ? ErrorCode::kUnavailable
                             : ErrorCode::kInternal;
  std::string body = response.body.substr(0, 300);
  while (!body.empty() && (body.back() == '\n' || body.back() == ' ')) body.pop_back();
  return MakeError(code, "{}: {}: {}", what, response.status, body);
}

Listener::Listener(const store::ProgressFunction& progress) {
  if (!progress) return;
  told_ = [this, &progress](const store::Progress& report) {
    last_ = report;
    told_at_ = std::chrono::steady_clock::now();
    return progress(report);
  };
}

bool Listener::Cancelled() {
  if (!told_ || std::chrono::steady_clock::now() - told_at_ < kSilence) return false;
  return !told_(store::Progress(last_));
}

Session::Session(const store::ModelName& name, bool insecure, const RegistryOptions& options,
                 CancelFunction cancelled)
    : options_(options),
      insecure_(insecure),
      cancelled_(std::move(cancelled)),
      repository_(name.name_space + "/" + name.model),
      host_(LowerCase(name.host)) {
  SetScheme(insecure ? "http" : "https");
}

void Session::SetScheme(const char* scheme) {
  origin_ = fmt::format("{}://{}", scheme, host_);
  base_ = fmt::format("{}/v2/{}/", origin_, repository_);
}

void Session::FindScheme() {
  if (!insecure_) return;
  const auto ask = [this](const char* scheme) {
    http::ClientRequest request;
    request.url = fmt::format("{}://{}/v2/", scheme, host_);
    request.on_head = [](const http::ClientResponse&) { return false; };
    Prepare(&request);
    return Exchange(request);
  };
  // A port of https hangs up on plain http, or answers it with 400; some lead to it.
  const auto plain = ask("http");
  const bool led = plain && RedirectOf(*plain).starts_with("https://" + host_ + "/");
  if (plain && plain->status != 400 && !led) return;
  if (ask("https")) SetScheme("https");
}

void Session::Prepare(http::ClientRequest* request) const {
  request->headers.emplace_back("User-Agent", options_.user_agent);
  request->verify_tls = !insecure_;
  request->stall_timeout = options_.stall_timeout;
  if (!request->cancelled) request->cancelled = cancelled_;
  if (!request->on_data && request->max_body_bytes == 0) request->max_body_bytes = kMaxAnswerBytes;
}

Result<http::ClientResponse> Session::Send(http::ClientRequest request) {
  Prepare(&request);
  const auto with_token = [&] {
    http::ClientRequest copy = request;
    const std::lock_guard lock(mutex_);
    if (!token_.empty()) copy.headers.emplace_back("Authorization", "Bearer " + token_);
    return copy;
  };
  // A challenge must not reach the callbacks that wait for a blob.
  http::ClientRequest first = with_token();
  if (request.on_head) {
    first.on_head = [&](const http::ClientResponse& head) {
      return head.status != 401 && request.on_head(head);
    };
  }
  auto answer = Exchange(first);
  if (!answer) return tl::unexpected(ExplainPlainHttp(std::move(answer).error()));
  http::ClientResponse response = *std::move(answer);
  if (response.status != 401) return response;
  PUNA_RETURN_IF_ERROR(
      Authorize(std::string(response.Header("www-authenticate")), request.cancelled));
  PUNA_ASSIGN_OR_RETURN(response, Exchange(with_token()));
  if (response.status == 401)
    return MakeError(ErrorCode::kPermissionDenied, "unauthorized: access denied");
  return response;
}

Status Session::Authorize(const std::string& challenge, const CancelFunction& cancelled) {
  const std::string realm = ChallengeField(challenge, "realm");
  if (!challenge.starts_with("Bearer ") || realm.empty())
    return MakeError(ErrorCode::kPermissionDenied, "unauthorized: access denied");
  // Whoever gets a signed request could use it, so it goes only to the registry itself.
  PUNA_ASSIGN_OR_RETURN(const http::UrlParts parts, http::SplitUrl(realm));
  if (parts.host != host_) {
    return MakeError(ErrorCode::kPermissionDenied,
                     "the registry {} sends its users to another host, {}, for a token", host_,
                     parts.host);
  }
  PUNA_ASSIGN_OR_RETURN(const Identity identity, Identity::LoadOrCreate(options_.key_file));
  const std::string url =
      realm + (realm.find('?') == std::string::npos ? "?" : "&") + TokenQuery(challenge);
  PUNA_ASSIGN_OR_RETURN(const std::string signature,
                        identity.Sign("GET," + url + "," + EncodeBase64(Sha256Hex(""))));
  http::ClientRequest request;
  request.url = url;
  request.headers = {{"Authorization", identity.PublicKey() + ":" + signature}};
  request.cancelled = cancelled;
  Prepare(&request);
  PUNA_ASSIGN_OR_RETURN(const http::ClientResponse response, Exchange(request));
  if (response.status != 200) return StatusError("token of " + host_, response);
  const Json json = ParseJson(response.body);
  const std::string token = json.is_object() ? JsonString(json, "token") : "";
  // A line break would add headers of the registry's choice to our requests.
  if (token.empty() || token.find_first_of("\r\n") != std::string::npos)
    return MakeError(ErrorCode::kPermissionDenied, "the registry {} sent no usable token", host_);
  const std::lock_guard lock(mutex_);
  token_ = token;
  return {};
}

bool Session::AllowsRedirect(const std::string& url) const {
  const auto parts = http::SplitUrl(url);
  return parts && (insecure_ || parts->scheme == "https");
}

http::ClientRequest Session::RangeRequest(const BlobSource& source, int64_t begin,
                                          int64_t end) const {
  http::ClientRequest request;
  request.url = source.url;
  if (source.ranges) request.headers = {{"Range", fmt::format("bytes={}-{}", begin, end - 1)}};
  return request;
}

Result<http::ClientResponse> Session::SendTo(const BlobSource& source,
                                             http::ClientRequest request) {
  if (source.at_registry) return Send(std::move(request));
  Prepare(&request);
  request.peers = insecure_ ? http::Peers::kNotLinkLocal : http::Peers::kPublic;
  return Exchange(request);
}

Result<BlobSource> Session::SourceAt(const std::string& url) const {
  BlobSource source;
  source.url = url;
  PUNA_ASSIGN_OR_RETURN(const http::UrlParts parts, http::SplitUrl(url));
  source.at_registry = parts.host == host_;
  return source;
}

Status Session::FollowRedirect(const std::string& location, BlobSource* source) const {
  PUNA_ASSIGN_OR_RETURN(source->url, http::ResolveUrl(source->url, location));
  if (!AllowsRedirect(source->url)) {
    return MakeError(ErrorCode::kCorrupt, "{} redirects to {}, which is not https: refused", host_,
                     source->url);
  }
  PUNA_ASSIGN_OR_RETURN(const http::UrlParts parts, http::SplitUrl(source->url));
  source->at_registry = source->at_registry && parts.host == host_;
  return {};
}

Result<http::ClientResponse> Session::Get(http::ClientRequest request) {
  PUNA_ASSIGN_OR_RETURN(BlobSource source, SourceAt(request.url));
  for (int i = 0; i < kMaxRedirects; ++i) {
    request.url = source.url;
    auto response = SendTo(source, request);
    const std::string location = response ? RedirectOf(*response) : "";
    if (location.empty()) return response;
    PUNA_RETURN_IF_ERROR(FollowRedirect(location, &source));
  }
  return MakeError(ErrorCode::kCorrupt, "more than {} redirects", kMaxRedirects);
}

Result<BlobSource> Session::Find(const std::string& url, const std::string& what,
                                 const CancelFunction& cancelled) {
  PUNA_ASSIGN_OR_RETURN(BlobSource source, SourceAt(url));
  for (int i = 0; i < kMaxRedirects; ++i) {
    // One byte tells where the blob is, how long it is, and whether parts can be asked for.
    http::ClientRequest request = RangeRequest(source, 0, 1);
    request.cancelled = cancelled;
    request.on_head = [](const http::ClientResponse&) { return false; };
    PUNA_ASSIGN_OR_RETURN(const http::ClientResponse response, SendTo(source, std::move(request)));
    source.etag = response.Header("etag");
    if (response.status == 200 || response.status == 206) {
      source.ranges = response.status == 206;
      source.size_bytes = source.ranges ? WholeSize(response.Header("content-range"))
                                        : ParseSize(response.Header("content-length"));
      return source;
    }
    // The range of an empty blob cannot be satisfied.
    if (response.status == 416) {
      source.size_bytes = 0;
      return source;
    }
    const std::string location = RedirectOf(response);
    if (location.empty()) return StatusError(what, response);
    std::string linked(response.Header("x-linked-etag"));
    std::erase(linked, '"');
    if (const auto hex = store::DigestHex("sha256:" + linked)) source.digest = "sha256:" + *hex;
    PUNA_RETURN_IF_ERROR(FollowRedirect(location, &source));
  }
  return MakeError(ErrorCode::kCorrupt, "{}: more than {} redirects", what, kMaxRedirects);
}

}  // namespace puna::registry
