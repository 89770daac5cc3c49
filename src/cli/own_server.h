// The server that `puna run` talks to: the one at the configured address, or one that the command
// starts for itself in its own process.
#ifndef PUNA_CLI_OWN_SERVER_H_
#define PUNA_CLI_OWN_SERVER_H_

#include <filesystem>
#include <memory>
#include <string>

#include "api/api.h"
#include "base/result.h"
#include "base/settings.h"
#include "cli/api_client.h"

namespace puna::cli {

// Is this argument a file to be run in place? Names of models have no such form, or no such file
// exists.
bool IsModelFile(const std::string& argument);

// An own server dies with the object. Not thread safe.
class ServerAccess {
 public:
  // The configured server if it answers; else an own one on a private port, unless the configured
  // address is that of another machine.
  static Result<ServerAccess> Connect(const Settings& settings);
  // An own server that serves the file under `name`.
  static Result<ServerAccess> ForFile(const Settings& settings, const std::string& name,
                                      const std::filesystem::path& file);
  const ApiClient& client() const { return client_; }

 private:
  explicit ServerAccess(ApiClient client) : client_(std::move(client)) {}
  static Result<ServerAccess> StartOwn(api::ServerConfig config);
  std::unique_ptr<api::ApiServer> own_;
  ApiClient client_;
};

}  // namespace puna::cli

#endif  // PUNA_CLI_OWN_SERVER_H_
