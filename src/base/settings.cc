// The table of settings. A row names the variable, says whether Ollama has it too, its default as
// the user reads it, what it means, and how its text becomes a field. A new setting is a field in
// Settings and a row here.
#include "base/settings.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "base/duration.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

namespace puna {
namespace {

using Setter = Status (*)(const std::string& text, Settings* settings);

struct Row {
  const char* name;
  bool ollama;
  const char* default_value;
  const char* description;
  Setter set;
};

Status SetInteger(const std::string& text, int64_t* field) {
  int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < 0) {
    return MakeError(ErrorCode::kInvalidArgument, "\"{}\" is not a whole number of at least 0",
                     text);
  }
  *field = value;
  return {};
}

// -1 stands for no limit, or no choice.
Status SetIntegerOrNone(const std::string& text, int64_t* field) {
  if (text != "-1") return SetInteger(text, field);
  *field = -1;
  return {};
}

// Go's ParseBool, where any other non-empty text counts as true.
bool ParseBool(const std::string& text) {
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return true;
}

// Who names a format that puna does not have wants less memory than f16 takes.
Status SetKvCacheType(const std::string& text, Settings* settings) {
  const std::string type = LowerCase(text);  // as Ollama reads it
  for (const char* smaller : {"q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl"}) {
    if (type != smaller) continue;
    LogWarning("no key/value cache is kept as {}; using q8_0, the smallest that there is", type);
    settings->kv_cache_type = "q8_0";
    return {};
  }
  if (type != "f32" && type != "f16" && type != "q8_0") {
    return MakeError(ErrorCode::kInvalidArgument, "\"{}\" is not one of f32, f16, q8_0", text);
  }
  settings->kv_cache_type = type;
  return {};
}

struct HostParts {
  std::string_view scheme, host, port;  // each empty if it is not there
};

HostParts SplitHost(std::string_view text) {
  HostParts parts;
  if (const size_t at = text.find("://"); at != std::string_view::npos) {
    parts.scheme = text.substr(0, at);
    text.remove_prefix(at + 3);
  }
  text = text.substr(0, text.find('/'));
  parts.host = text;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return parts;
    if (text.substr(close + 1).starts_with(':')) parts.port = text.substr(close + 2);
    parts.host = text.substr(1, close - 1);
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    parts.port = text.substr(text.find(':') + 1);
    parts.host = text.substr(0, text.find(':'));
  }
  return parts;
}

std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

Status CheckPort(std::string_view host) {
  const std::string_view port = SplitHost(host).port;
  if (port.empty() || ParsePort(port)) return {};
  return MakeError(ErrorCode::kInvalidArgument, "invalid port \"{}\"", port);
}

constexpr Row kRows[] = {
    {"HOST", true, "127.0.0.1:11434", "Address the server listens on and the commands talk to",
     [](const std::string& text, Settings* s) -> Status {
       s->host = text;
       return CheckPort(text);
     }},
    {"MODELS", true, "~/.ollama/models if it exists, else ~/.puna/models",
     "Folder of the model store",
     [](const std::string& text, Settings* s) -> Status {
       s->models = text;
       return {};
     }},
    {"KEEP_ALIVE", true, "5m",
     "How long a model stays loaded after its last request; negative: forever, 0: not at all",
     [](const std::string& text, Settings* s) -> Status {
       PUNA_ASSIGN_OR_RETURN(s->keep_alive, ParseKeepAlive(text));
       return {};
     }},
    {"CONTEXT_LENGTH", true, "0",
     "Context in tokens where a request names none; 0: what the model was trained for, as far as "
     "memory allows",
     [](const std::string& text, Settings* s) { return SetInteger(text, &s->context_length); }},
    {"NUM_PARALLEL", true, "0",
     "Most requests that one model computes at the same time; 0: as many as memory allows",
     [](const std::string& text, Settings* s) { return SetInteger(text, &s->num_parallel); }},
    {"MAX_LOADED_MODELS", true, "0", "Most models in memory at the same time; 0: as many as fit",
     [](const std::string& text, Settings* s) { return SetInteger(text, &s->max_loaded_models); }},
    {"MAX_QUEUE", true, "512", "Most requests that may wait; further ones are answered 503",
     [](const std::string& text, Settings* s) { return SetInteger(text, &s->max_queue); }},
    {"REQUEST_TIMEOUT", false, "0",
     "Longest time of one request, waiting included, such as 90s or 10m; 0: no limit",
     [](const std::string& text, Settings* s) -> Status {
       PUNA_ASSIGN_OR_RETURN(s->request_timeout, ParseKeepAlive(text));
       return {};
     }},
    {"IDLE_TIMEOUT", false, "5m",
     "How long a connection stays open without a request, such as 90s or 10m; 0: no limit",
     [](const std::string& text, Settings* s) -> Status {
       PUNA_ASSIGN_OR_RETURN(s->idle_timeout, ParseKeepAlive(text));
       return {};
     }},
    {"DRAIN_TIMEOUT", false, "30s",
     "How long running answers may go on after SIGTERM or SIGINT, such as 10s or 5m; then they are "
     "cut off",
     [](const std::string& text, Settings* s) -> Status {
       PUNA_ASSIGN_OR_RETURN(s->drain_timeout, ParseKeepAlive(text));
       return {};
     }},
    {"STUCK_AFTER", false, "2m",
     "A pass through a model that takes longer is reported by /health with status 503",
     [](const std::string& text, Settings* s) -> Status {
       PUNA_ASSIGN_OR_RETURN(s->stuck_after, ParseKeepAlive(text));
       return {};
     }},
    {"PREFIX_CACHE_TOKENS", false, "0",
     "Most tokens of earlier requests that one model keeps computed; 0: as many as its cache has "
     "room for",
     [](const std::string& text, Settings* s) {
       return SetInteger(text, &s->prefix_cache_tokens);
     }},
    {"PREFIX_CACHE_DIR", false, "",
     "Folder that keeps long prompts that several requests began with computed across restarts; "
     "empty: nothing is kept",
     [](const std::string& text, Settings* s) -> Status {
       s->prefix_cache_dir = text;
       return {};
     }},
    {"PREFIX_CACHE_DIR_MB", false, "4096",
     "Most MiB that PREFIX_CACHE_DIR holds; what was not used for longest goes first",
     [](const std::string& text, Settings* s) {
       return SetInteger(text, &s->prefix_cache_dir_mb);
     }},
    {"PREPARE", false, "true",
     "While nobody asks for anything, compute what the next turn of a conversation begins with",
     [](const std::string& text, Settings* s) -> Status {
       s->prepare = ParseBool(text);
       return {};
     }},
    {"SPECULATE", false, "true",
     "Verify guesses from the prompt several tokens at a time where that is faster; outputs are "
     "the "
     "same without",
     [](const std::string& text, Settings* s) -> Status {
       s->speculate = ParseBool(text);
       return {};
     }},
    {"KV_CACHE_TYPE", true, "f16",
     "Number format of the key/value cache: f32, f16, or q8_0, which Ollama's smaller ones "
     "become",
     SetKvCacheType},
    {"ORIGINS", true, "", "Further origins that browsers may call from, separated by commas",
     [](const std::string& text, Settings* s) -> Status {
       s->origins = text;
       return {};
     }},
    {"API_KEYS", false, "",
     "File of the keys that callers must show, a line each: name, SHA-256 of the key, limits; "
     "docs/serving.md has an example; empty: no key is asked for",
     [](const std::string& text, Settings* s) -> Status {
       s->api_keys = text;
       return {};
     }},
    {"API_KEY", true, "", "Key that the commands show to a server that asks for one",
     [](const std::string& text, Settings* s) -> Status {
       s->api_key = text;
       return {};
     }},
    {"TLS_CERT", false, "",
     "PEM file of the certificate chain; with TLS_KEY the server speaks HTTPS",
     [](const std::string& text, Settings* s) -> Status {
       s->tls_cert = text;
       return {};
     }},
    {"TLS_KEY", false, "", "PEM file of the private key of TLS_CERT",
     [](const std::string& text, Settings* s) -> Status {
       s->tls_key = text;
       return {};
     }},
    {"MAX_REQUEST_MB", false, "256",
     "Largest body of a request in MiB; larger ones are answered 413, uploads of blobs have no "
     "limit; 0: no limit",
     [](const std::string& text, Settings* s) { return SetInteger(text, &s->max_request_mb); }},
    {"DEBUG", true, "0", "1: debug log, 2: trace log",
     [](const std::string& text, Settings* s) -> Status {
       s->debug = text == "2" ? 2 : (ParseBool(text) ? 1 : 0);
       return {};
     }},
    {"NOPRUNE", true, "false",
     "Keep blobs that no model needs any more, at start and when a model is replaced",
     [](const std::string& text, Settings* s) -> Status {
       s->no_prune = ParseBool(text);
       return {};
     }},
    {"NOHISTORY", true, "false", "Keep no history of typed lines",
     [](const std::string& text, Settings* s) -> Status {
       s->no_history = ParseBool(text);
       return {};
     }},
    {"EDITOR", true, "$VISUAL, $EDITOR, vi", "Editor that Ctrl-G opens",
     [](const std::string& text, Settings* s) -> Status {
       s->editor = text;
       return {};
     }},
    {"THREADS", false, "0", "Compute threads; 0: the cores that this process may use",
     [](const std::string& text, Settings* s) { return SetInteger(text, &s->threads); }},
    {"ISA", false, "",
     "Forces the kernels of one instruction set: scalar, avx2, avxvnni, avx512vnni, avx512bf16, "
     "amx, neon, dotprod or i8mm",
     [](const std::string& text, Settings* s) -> Status {
       s->isa = text;
       return {};
     }},
    {"DEVICE", false, "auto",
     "What computes: auto (discrete GPUs with a Vulkan driver, and the CPU), cpu, vulkan (the "
     "first GPU), vulkan:N (`puna doctor` lists them), several of these two with commas between, "
     "or reference (slow and exact)",
     [](const std::string& text, Settings* s) -> Status {
       if (text != "auto" && text != "cpu" && text != "reference" && text != "vulkan" &&
           !text.starts_with("vulkan:") && !text.starts_with("vulkan,")) {
         return MakeError(ErrorCode::kInvalidArgument,
                          "\"{}\" is not one of auto, cpu, vulkan, vulkan:N, reference", text);
       }
       s->device = text;
       return {};
     }},
    {"NUM_GPU", false, "-1",
     "Layers of a model that GPUs compute at most, the others stay on the CPU; -1: as many as fit. "
     "A model's or request's `num_gpu` wins",
     [](const std::string& text, Settings* s) { return SetIntegerOrNone(text, &s->num_gpu); }},
    {"MAIN_GPU", false, "-1",
     "Which of the GPUs of `PUNA_DEVICE`, from 0, is used alone; -1: all of them. A model's or "
     "request's `main_gpu` wins",
     [](const std::string& text, Settings* s) { return SetIntegerOrNone(text, &s->main_gpu); }},
    {"CACHE_DIR", false, "$XDG_CACHE_HOME/puna, ~/.cache/puna",
     "Folder for what can be made again: a GPU's compiled shaders",
     [](const std::string& text, Settings* s) -> Status {
       s->cache_dir = text;
       return {};
     }},
};

// Ollama trims spaces and quotes around values.
std::string Trim(std::string text) {
  const auto strip = [](char c) { return c == ' ' || c == '\t' || c == '"' || c == '\''; };
  while (!text.empty() && strip(text.back())) text.pop_back();
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), strip));
  return text;
}

std::filesystem::path DefaultModels() {
  const std::filesystem::path ollama = HomeDirectory() / ".ollama" / "models";
  std::error_code error;
  if (std::filesystem::is_directory(ollama, error)) return ollama;
  return HomeDirectory() / ".puna" / "models";
}

// Empty where there is no home.
std::filesystem::path DefaultCacheDir(
    const std::function<std::string(const std::string&)>& lookup) {
  const std::string folder = lookup("XDG_CACHE_HOME"), home = lookup("HOME");
  if (!folder.empty()) return std::filesystem::path(folder) / "puna";
  return home.empty() ? std::filesystem::path() : std::filesystem::path(home) / ".cache" / "puna";
}

}  // namespace

Settings Settings::Read(const std::function<std::string(const std::string&)>& lookup) {
  Settings settings;
  for (const Row& row : kRows) {
    std::string variable = std::string("PUNA_") + row.name;
    std::string text = Trim(lookup(variable));
    if (text.empty() && row.ollama) {
      variable = std::string("OLLAMA_") + row.name;
      text = Trim(lookup(variable));
    }
    if (text.empty()) continue;
    if (const Status status = row.set(text, &settings); !status) {
      LogWarning("{}: {}; using the default", variable, status.error().message);
    }
  }
  if (settings.models.empty()) settings.models = DefaultModels();
  if (settings.cache_dir.empty()) settings.cache_dir = DefaultCacheDir(lookup);
  return settings;
}

Settings Settings::FromEnvironment() {
  return Read([](const std::string& name) -> std::string {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? "" : value;
  });
}

Address ParseAddress(std::string_view host) {
  const HostParts parts = SplitHost(host);
  Address address;
  if (!parts.scheme.empty()) address.scheme = parts.scheme;
  if (address.scheme == "https") address.port = 443;
  if (parts.scheme == "http") address.port = 80;
  if (!parts.host.empty()) address.host = parts.host;
  if (const std::optional<uint16_t> port = ParsePort(parts.port)) address.port = *port;
  return address;
}

std::vector<SettingDescription> DescribeSettings() {
  std::vector<SettingDescription> rows;
  for (const Row& row : kRows)
    rows.push_back({row.name, row.ollama, row.default_value, row.description});
  return rows;
}

}  // namespace puna
