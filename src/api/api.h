// The server: HTTP in front, the dialects of the API behind it, one scheduler and one store below.
// This is all that the command line needs to know of it.
#ifndef PUNA_API_API_H_
#define PUNA_API_API_H_

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "backend/backend.h"
#include "base/result.h"
#include "base/settings.h"

namespace puna::api {

struct ServerConfig {
  Settings settings;
  // Instead of the address in the settings: a free port of the loopback interface, for a server
  // that one command starts for itself.
  bool private_port = false;
  // A socket that listens at the address of the settings already; -1: none.
  int listening_descriptor = -1;
  // A GGUF file that is served under this name beside the store, without being imported.
  std::optional<std::pair<std::string, std::filesystem::path>> local_model;
  // For tests: who computes, instead of the backend in the settings.
  std::function<std::unique_ptr<backend::Backend>()> make_backend;
};

// Thread safe.
class ApiServer {
 public:
  // Listens and answers on threads of its own. An address in use is kUnavailable.
  static Result<std::unique_ptr<ApiServer>> Start(const ServerConfig& config);
  ~ApiServer();
  // "http://127.0.0.1:11434"
  std::string url() const;
  // Refuses new work, lets running answers end, at most until `deadline`, and stops.
  void Shutdown(std::chrono::steady_clock::time_point deadline);

 private:
  struct State;
  explicit ApiServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace puna::api

#endif  // PUNA_API_API_H_
