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

struct ClientRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::filesystem::path body_file;  // sent instead of `body` if not empty
  std::chrono::seconds connect_timeout{10};
  std::chrono::seconds total_timeout{0};  // 0: none
  // Called with (bytes sent, bytes in all) of the body; false cancels.
  std::function<bool(uint64_t, uint64_t)> on_upload;
  // If set, the answer is passed here piece by piece instead of being collected; false cancels.
  std::function<bool(std::string_view)> on_data;
};

struct ClientResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
};

// Nobody listening is kUnavailable; cancelled by a callback is kCancelled. A status of 400 or more
// is no error here.
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
