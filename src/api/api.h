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
  // How long a pass that is under way when a drain is over is waited for.
  std::chrono::nanoseconds last_pass = std::chrono::seconds(10);
  // For tests: who computes, instead of the backend in the settings.
  std::function<std::unique_ptr<backend::Backend>()> make_backend;
};

// Thread safe.
class ApiServer {
 public:
  // Listens and answers on threads of its own. An address in use is kUnavailable.
  static Result<std::unique_ptr<ApiServer>> Start(const ServerConfig& config);
  // Waits for passes that are under way, however long they take.
  ~ApiServer();
  // "http://127.0.0.1:11434"
  std::string url() const;
  // Takes the keys that the file of API keys has by now; the log says which, or what is wrong with
  // it: then they stay as they were.
  void ReadKeysAgain();
  // Refuses new work, lets running answers end, at most until `deadline`, cuts off the others with
  // an error, and stops. False if something goes on even ServerConfig::last_pass later (the log has
  // the names of the models); whoever cannot wait for it ends the process.
  [[nodiscard]] bool Shutdown(std::chrono::steady_clock::time_point deadline);

 private:
  struct State;
  explicit ApiServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace puna::api

#endif  // PUNA_API_API_H_
