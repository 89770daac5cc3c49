// Every setting puna takes from the environment: one row each in the table of settings.cc, read
// once at start. PUNA_X wins over OLLAMA_X. `puna serve --help` and docs/settings.md are printed
// from the same table.
#ifndef PUNA_BASE_SETTINGS_H_
#define PUNA_BASE_SETTINGS_H_

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace puna {

struct Settings {
  std::string host = "127.0.0.1:11434";  // as written: [scheme://]host[:port]; see ListenAddress()
  std::filesystem::path models;          // the store; resolved, never empty
  std::chrono::nanoseconds keep_alive = std::chrono::minutes(5);  // kForever for negative
  int64_t context_length = 0;     // tokens; 0: the model's trained length as far as memory allows
  int64_t num_parallel = 0;       // sequences in a step; 0: no limit but memory
  int64_t max_loaded_models = 0;  // 0: as many as fit
  int64_t max_queue = 512;        // waiting requests; more are answered 503
  std::chrono::nanoseconds request_timeout{};  // of one request, waiting included; 0: none
  std::chrono::nanoseconds idle_timeout = std::chrono::minutes(5);    // of a connection; 0: none
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(30);  // of answers after SIGTERM
  std::chrono::nanoseconds stuck_after = std::chrono::minutes(2);     // /health reports such passes
  int64_t prefix_cache_tokens =
      0;  // most that the prefix cache keeps; 0: what the pool has room for
  std::filesystem::path prefix_cache_dir;  // keeps shared prompts across restarts; empty: nothing
  int64_t prefix_cache_dir_mb = 4096;      // most that it holds
  bool prepare = true;    // compute beginnings of next turns while nobody asks for anything
  bool speculate = true;  // verify guesses of the next tokens where that is faster
  int64_t threads = 0;    // compute threads; 0: the cores that this process may use
  std::string kv_cache_type = "f16";  // f32, f16 or q8_0
  std::string isa;                  // forces an instruction set of the cpu backend; empty: the best
  std::string device = "auto";      // backend::BackendOptions::name
  int64_t num_gpu = -1;             // most layers on devices; -1: as many as fit
  int64_t main_gpu = -1;            // the only one of them to use; -1: all
  std::filesystem::path cache_dir;  // for what can be made again; empty: nowhere
  std::string origins;              // further origins for CORS, comma separated
  std::filesystem::path api_keys;   // file of the keys that callers must show; empty: nobody must
  std::string api_key;              // the key that the commands show
  std::filesystem::path tls_cert;   // PEM files; empty: plain HTTP
  std::filesystem::path tls_key;
  int64_t max_request_mb = 256;  // most MiB of a body, but for uploads of blobs; 0: no limit
  int64_t debug = 0;             // 1: debug log, 2: trace log
  bool no_prune = false;         // keep blobs that no model needs any more
  bool no_history = false;       // the command line keeps no history
  std::string editor;            // for Ctrl-G; empty: VISUAL, EDITOR, vi

  // `lookup` returns the value of an environment variable, "" if unset. Bad values are a warning in
  // the log and leave the default, as in Ollama.
  static Settings Read(const std::function<std::string(const std::string&)>& lookup);
  static Settings FromEnvironment();
};

struct Address {
  std::string scheme = "http";
  std::string host = "127.0.0.1";  // an IPv6 address has no brackets here
  uint16_t port = 11434;
};

// Splits OLLAMA_HOST as Ollama does: "http" without a port means 80, "https" 443, a bad port the
// default.
Address ParseAddress(std::string_view host);

struct SettingDescription {
  std::string name;     // without prefix: "KEEP_ALIVE"
  bool ollama = false;  // is there an OLLAMA_<name> too?
  std::string default_value;
  std::string description;  // one sentence, no period
};

// The rows of the table, in the order of the documentation.
std::vector<SettingDescription> DescribeSettings();

}  // namespace puna

#endif  // PUNA_BASE_SETTINGS_H_
