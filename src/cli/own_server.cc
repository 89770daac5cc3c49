#include "cli/own_server.h"

#include "base/log.h"

namespace puna::cli {
namespace {

bool IsThisMachine(const Address& address) {
  return address.scheme == "http" &&
         (address.host.starts_with("127.") || address.host == "localhost" ||
          address.host == "::1" || address.host == "0.0.0.0" || address.host == "::");
}

}  // namespace

bool IsModelFile(const std::string& argument) {
  std::error_code error;
  return (argument.ends_with(".gguf") || argument.find('/') != std::string::npos) &&
         std::filesystem::is_regular_file(argument, error);
}

Result<ServerAccess> ServerAccess::Connect(const Settings& settings) {
  ServerAccess access{ApiClient(settings)};
  if (access.client_.Alive()) return access;
  if (!IsThisMachine(ParseAddress(settings.host))) {
    return MakeError(ErrorCode::kUnavailable, "could not connect to a puna server at {}",
                     access.client_.base_url());
  }
  return StartOwn({.settings = settings, .private_port = true});
}

Result<ServerAccess> ServerAccess::ForFile(const Settings& settings, const std::string& name,
                                           const std::filesystem::path& file) {
  return StartOwn({.settings = settings,
                   .private_port = true,
                   .local_model = std::pair(name, std::filesystem::absolute(file))});
}

Result<ServerAccess> ServerAccess::StartOwn(api::ServerConfig config) {
  if (config.settings.debug == 0) InitLog(LogLevel::kWarning);
  PUNA_ASSIGN_OR_RETURN(auto server, api::ApiServer::Start(config));
  ServerAccess access{ApiClient(server->url())};
  access.own_ = std::move(server);
  return access;
}

}  // namespace puna::cli
