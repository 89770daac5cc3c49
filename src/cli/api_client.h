// The native API as commands use it. Blocking; errors of the server come back with their text and a
// fitting code.
#ifndef PUNA_CLI_API_CLIENT_H_
#define PUNA_CLI_API_CLIENT_H_

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "base/settings.h"
#include "http/client.h"

namespace puna::cli {

class ApiClient {
 public:
  explicit ApiClient(const Settings& settings);  // the address of OLLAMA_HOST, and the key
  explicit ApiClient(std::string base_url);

  const std::string& base_url() const { return base_url_; }
  // Does a server answer?
  bool Alive() const;

  // Objects; an answer that is none is an error that names the address.
  Result<Json> Get(const std::string& path) const;
  Result<Json> Post(const std::string& path, const Json& body) const;
  Status Delete(const std::string& path, const Json& body) const;
  // Calls on_object for each line of the answer, an object, until it returns false (kCancelled). A
  // line {"error": ...} is an error. `cancelled`, if given, is asked about once a second while
  // nothing arrives, and ends the request when it is true (kCancelled).
  Status PostStream(const std::string& path, const Json& body,
                    const std::function<bool(const Json&)>& on_object,
                    const std::function<bool()>& cancelled = nullptr) const;
  // HEAD: is the blob there? POST: uploads the file.
  Result<bool> HasBlob(const std::string& digest) const;
  Status UploadBlob(const std::string& digest, const std::filesystem::path& file,
                    const std::function<bool(uint64_t, uint64_t)>& progress) const;

 private:
  http::ClientRequest RequestTo(std::string method, const std::string& path) const;
  std::string base_url_;
  std::string key_;  // shown to servers that ask for one; "": none
};

// Is `capability` ("completion", "vision", ...) among those that /api/show or /api/tags tell of a
// model?
bool HasCapability(const Json& model, std::string_view capability);

}  // namespace puna::cli

#endif  // PUNA_CLI_API_CLIENT_H_
