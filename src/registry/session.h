// Requests to one repository of one registry, with the token exchange behind them. Internal to
// registry. Thread safe.
#ifndef PUNA_REGISTRY_SESSION_H_
#define PUNA_REGISTRY_SESSION_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "http/client.h"
#include "registry/registry.h"
#include "store/model_name.h"

namespace puna::registry {

// Where the bytes of a blob are.
struct BlobSource {
  std::string url;
  bool at_registry = true;            // requests carry the registry's token
  bool ranges = true;                 // parts of it can be asked for
  std::optional<int64_t> size_bytes;  // what the server says of it
  std::string etag;                   // of the last answer; may be empty
  std::string
      digest;  // "sha256:...", where a redirect on the way told (Hugging Face); may be empty
};

using CancelFunction = std::function<bool()>;

// Asks whoever hears of the progress whether to go on where a server keeps silent for a while: what
// was said last is said again. On one thread.
class Listener {
 public:
  explicit Listener(const store::ProgressFunction& progress);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  // Passes on, and remembers.
  const store::ProgressFunction& progress() const { return told_; }
  bool Cancelled();

 private:
  store::Progress last_;
  std::chrono::steady_clock::time_point told_at_;
  store::ProgressFunction told_;  // empty where nobody listens
};

class Session {
 public:
  // `cancelled` is asked, on their thread, by requests that have no such function of their own.
  Session(const store::ModelName& name, bool insecure, const RegistryOptions& options,
          CancelFunction cancelled);

  // Insecure registries speak http, or https with a certificate that nobody vouches for: finds out
  // which. Before the first request; the other sessions speak https.
  void FindScheme();

  // "https://host/v2/namespace/model/<rest>"
  std::string Url(const std::string& rest) const { return base_ + rest; }
  // "https://host<path>"
  std::string HostUrl(const std::string& path) const { return origin_ + path; }
  // Sends with the token; a 401 with a challenge is answered once. A status of 400 or more is no
  // error here; a connection that broke is kUnavailable.
  Result<http::ClientResponse> Send(http::ClientRequest request);
  // The same, but redirects are followed: of repositories that have another name now.
  Result<http::ClientResponse> Get(http::ClientRequest request);
  // Follows the redirects from `url` to the bytes. A redirect may leave the registry, but not for
  // another protocol, nor for a link-local address, nor (unless insecure) for this host or a
  // private network. `what` names the thing in errors.
  Result<BlobSource> Find(const std::string& url, const std::string& what,
                          const CancelFunction& cancelled);
  // GET of the bytes [begin, end) of a source.
  http::ClientRequest RangeRequest(const BlobSource& source, int64_t begin, int64_t end) const;
  Result<http::ClientResponse> SendTo(const BlobSource& source, http::ClientRequest request);

 private:
  Status Authorize(const std::string& challenge, const CancelFunction& cancelled);
  void Prepare(http::ClientRequest* request) const;
  void SetScheme(const char* scheme);
  bool AllowsRedirect(const std::string& url) const;
  Result<BlobSource> SourceAt(const std::string& url) const;
  Status FollowRedirect(const std::string& location, BlobSource* source) const;

  const RegistryOptions options_;
  const bool insecure_;
  const CancelFunction cancelled_;
  const std::string repository_;  // "namespace/model"
  std::string host_, origin_, base_;
  std::mutex mutex_;
  std::string token_;
};

// "<what>: <status>: <the beginning of the body>".
tl::unexpected<Error> StatusError(const std::string& what, const http::ClientResponse& response);

}  // namespace puna::registry

#endif  // PUNA_REGISTRY_SESSION_H_
