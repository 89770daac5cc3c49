// An HTTP client on libcurl, for the command line and the registry. Blocking. Each call is
// independent; thread safe.
#ifndef PUNA_HTTP_CLIENT_H_
#define PUNA_HTTP_CLIENT_H_

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace puna::http {

// Where a URL that a stranger wrote may lead. Clouds tell their secrets at link-local addresses.
enum class Peers {
  kAny,
  kNotLinkLocal,
  kPublic,  // nor loopback, nor private networks
};

struct ClientRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::filesystem::path body_file;  // sent instead of `body` if not empty
  uint64_t body_file_offset = 0;    // of the first byte that is sent
  uint64_t body_file_bytes = 0;     // how many are sent; 0: all from the offset on
  std::chrono::seconds connect_timeout{10};
  std::chrono::seconds total_timeout{0};  // 0: none
  // Without any byte for so long the transfer is given up (kUnavailable); 0: never.
  std::chrono::seconds stall_timeout{0};
  bool verify_tls = true;
  // Others are refused (kPermissionDenied). Through a proxy, which alone knows the peer, only such
  // a host as the URL writes out.
  Peers peers = Peers::kAny;
  // A longer answer that is collected in `body` is kResourceExhausted; 0: any length.
  uint64_t max_body_bytes = 0;
  // Called with (bytes sent, bytes in all) of the body; false cancels.
  std::function<bool(uint64_t, uint64_t)> on_upload;
  // Called with status and headers before the first byte of the answer's body; false ends the
  // transfer there, and Fetch returns what is known without the body.
  std::function<bool(const struct ClientResponse&)> on_head;
  // If set, the answer is passed here piece by piece instead of being collected; false cancels.
  std::function<bool(std::string_view)> on_data;
  // Asked at least once a second, also while nothing comes; true ends the transfer.
  std::function<bool()> cancelled;
};

struct ClientResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;

  // The first header of that (lower-case) name, "" if absent.
  std::string_view Header(std::string_view name) const;
};

// Redirects are not followed. HTTP_PROXY, HTTPS_PROXY and NO_PROXY (or in lower case) are honoured;
// this host is never reached through a proxy. SSL_CERT_FILE and SSL_CERT_DIR are who vouches for
// certificates, as for OpenSSL. Nobody listening is kUnavailable; cancelled by a
// callback is kCancelled. A status of 400 or more is no error here. What a callback throws ends the
// transfer and is thrown again.
Result<ClientResponse> Fetch(const ClientRequest& request);

// Splits a stream into its lines, whatever the pieces it comes in.
class LineSplitter {
 public:
  explicit LineSplitter(std::function<bool(std::string_view line)> on_line);
  // False as soon as on_line was false.
  bool Push(std::string_view piece);
  bool Finish();

 private:
  std::function<bool(std::string_view)> on_line_;
  std::string pending_;
};

}  // namespace puna::http

#endif  // PUNA_HTTP_CLIENT_H_
