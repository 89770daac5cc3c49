// The variables, flags and fields are those that the agents' own documentation names.
#include "cli/agents.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "base/json.h"

namespace puna::cli {
namespace {

namespace fs = std::filesystem;

// Under this name a server appears in files that may list several.
constexpr const char* kProvider = "puna";

std::string OpenAiUrl(const AgentTarget& target) { return target.base_url + "/v1"; }

// Changes an object in JSON and leaves the rest of it as it was.
Result<std::string> EditJson(const std::string& before, void (*edit)(Json&, const AgentTarget&),
                             const AgentTarget& target) {
  Json config = before.empty() ? Json::object() : ParseJson(before);
  if (!config.is_object())
    return MakeError(ErrorCode::kCorrupt, "it is not an object in JSON without comments");
  edit(config, target);
  return DumpJson(config, 2) + "\n";
}

// The object at `key`, made if there is none or something else.
Json& Object(Json& parent, const char* key) {
  Json& child = parent[key];
  if (!child.is_object()) child = Json::object();
  return child;
}

// The elements of the array at `key` that `is_ours` is false for, after `ours`.
void PutFirst(Json& parent, const char* key, Json ours, bool (*is_ours)(const Json&)) {
  Json list = Json::array({std::move(ours)});
  if (parent.contains(key) && parent[key].is_array()) {
    for (const Json& one : parent[key]) {
      if (!is_ours(one)) list.push_back(one);
    }
  }
  parent[key] = std::move(list);
}

// ---- Claude Code: Anthropic's messages

std::vector<std::pair<std::string, std::string>> ClaudeEnvironment(const AgentTarget& target) {
  std::vector<std::pair<std::string, std::string>> environment = {
      {"ANTHROPIC_BASE_URL", target.base_url},
      {"ANTHROPIC_API_KEY", ""},  // an own key would win over the token, and go to this server
      {"ANTHROPIC_AUTH_TOKEN", target.key},
      {"ANTHROPIC_DEFAULT_OPUS_MODEL", target.model},
      {"ANTHROPIC_DEFAULT_SONNET_MODEL", target.model},
      {"ANTHROPIC_DEFAULT_HAIKU_MODEL", target.model},
      {"CLAUDE_CODE_SUBAGENT_MODEL", target.model},
      // Both change the beginning of every prompt, which then could not be reused.
      {"CLAUDE_CODE_ATTRIBUTION_HEADER", "0"},
      {"CLAUDE_CODE_TOTAL_TOKENS_REMINDER", "off"},
      {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"},
  };
  if (target.context > 0)
    environment.emplace_back("CLAUDE_CODE_AUTO_COMPACT_WINDOW", std::to_string(target.context));
  return environment;
}

AgentCall CallClaude(const AgentTarget& target) {
  return {ClaudeEnvironment(target), {"--model", target.model}};
}

Result<std::string> EditClaude(const std::string& before, const AgentTarget& target) {
  return EditJson(
      before,
      [](Json& config, const AgentTarget& to) {
        config["model"] = to.model;
        Json& environment = Object(config, "env");
        for (const auto& [name, value] : ClaudeEnvironment(to)) environment[name] = value;
      },
      target);
}

// ---- Codex: OpenAI's responses

// JSON's strings are strings of TOML, too.
std::string Quoted(const std::string& text) { return DumpJson(Json(text)); }

AgentCall CallCodex(const AgentTarget& target) {
  const std::string provider = fmt::format("model_providers.{}.", kProvider);
  AgentCall call;
  call.environment = {{"OPENAI_API_KEY", target.key}};
  const auto set = [&](const std::string& key, const std::string& value) {
    call.arguments.insert(call.arguments.end(), {"-c", key + "=" + value});
  };
  set("model_provider", Quoted(kProvider));
  set(provider + "name", Quoted(kProvider));
  set(provider + "base_url", Quoted(OpenAiUrl(target)));
  set(provider + "wire_api", Quoted("responses"));
  set(provider + "env_key", Quoted("OPENAI_API_KEY"));
  if (target.context > 0) set("model_context_window", std::to_string(target.context));
  call.arguments.insert(call.arguments.end(), {"-m", target.model});
  return call;
}

// A profile of its own beside the user's configuration, which stays as it is.
Result<std::string> EditCodex(const std::string&, const AgentTarget& target) {
  std::string text = fmt::format(
      "# Written by puna launch codex --config.\nmodel = {}\n"
      "model_provider = {}\n",
      Quoted(target.model), Quoted(kProvider));
  if (target.context > 0) text += fmt::format("model_context_window = {}\n", target.context);
  return text + fmt::format(
                    "\n[model_providers.{0}]\nname = {1}\nbase_url = {2}\n"
                    "wire_api = \"responses\"\n",
                    kProvider, Quoted(kProvider), Quoted(OpenAiUrl(target)));
}

// ---- OpenCode: OpenAI's chat completions

void SetOpenCode(Json& config, const AgentTarget& target) {
  Json& provider = Object(Object(config, "provider"), kProvider);
  provider["npm"] = "@ai-sdk/openai-compatible";
  provider["name"] = kProvider;
  Object(provider, "options")["baseURL"] = OpenAiUrl(target);
  Object(provider, "options")["apiKey"] = target.key;
  Json& model = Object(Object(provider, "models"), target.model.c_str());
  model["name"] = target.model;
  if (target.context > 0)
    model["limit"] = {{"context", target.context}, {"output", target.context / 2}};
  config["model"] = std::string(kProvider) + "/" + target.model;
}

Result<std::string> EditOpenCode(const std::string& before, const AgentTarget& target) {
  return EditJson(before, SetOpenCode, target);
}

AgentCall CallOpenCode(const AgentTarget& target) {
  Json config = Json::object();
  SetOpenCode(config, target);
  return {{{"OPENCODE_CONFIG_CONTENT", DumpJson(config)}}, {}};
}

// ---- Copilot CLI: OpenAI's responses

AgentCall CallCopilot(const AgentTarget& target) {
  return {{{"COPILOT_PROVIDER_BASE_URL", OpenAiUrl(target)},
           {"COPILOT_PROVIDER_API_KEY", target.key},
           {"COPILOT_PROVIDER_WIRE_API", "responses"},
           {"COPILOT_MODEL", target.model}},
          {"--model", target.model}};
}

// ---- Droid: OpenAI's chat completions

AgentCall CallDroid(const AgentTarget&) { return {}; }

Result<std::string> EditDroid(const std::string& before, const AgentTarget& target) {
  return EditJson(
      before,
      [](Json& config, const AgentTarget& to) {
        const std::string id = "custom:puna-" + to.model;
        const int64_t output = to.context > 0 ? to.context / 2 : 32768;
        PutFirst(config, "customModels",
                 {{"id", id},
                  {"model", to.model},
                  {"displayName", to.model + " (puna)"},
                  {"baseUrl", OpenAiUrl(to)},
                  {"apiKey", to.key},
                  {"provider", "generic-chat-completion-api"},
                  {"maxOutputTokens", output}},
                 [](const Json& one) { return JsonString(one, "id").starts_with("custom:puna-"); });
        Object(config, "sessionDefaultSettings")["model"] = id;
      },
      target);
}

// ---- Qwen Code: OpenAI's chat completions

AgentCall CallQwen(const AgentTarget& target) {
  return {{{"OPENAI_API_KEY", target.key},
           {"OPENAI_BASE_URL", OpenAiUrl(target)},
           {"OPENAI_MODEL", target.model}},
          {"--model", target.model, "--auth-type", "openai"}};
}

Result<std::string> EditQwen(const std::string& before, const AgentTarget& target) {
  return EditJson(
      before,
      [](Json& config, const AgentTarget& to) {
        Object(config, "env")["PUNA_LAUNCH_KEY"] = to.key;
        PutFirst(Object(config, "modelProviders"), "openai",
                 {{"id", to.model},
                  {"name", to.model + " (puna)"},
                  {"baseUrl", OpenAiUrl(to)},
                  {"envKey", "PUNA_LAUNCH_KEY"}},
                 [](const Json& one) { return JsonString(one, "envKey") == "PUNA_LAUNCH_KEY"; });
        Json& login = Object(Object(config, "security"), "auth");
        login["selectedType"] = "openai";
        login["baseUrl"] = OpenAiUrl(to);
        Object(config, "model")["name"] = to.model;
      },
      target);
}

const Agent kAgents[] = {
    {.name = "claude",
     .title = "Claude Code",
     .how_to_install = "https://code.claude.com/docs/en/quickstart",
     .places = {".local/bin", ".claude/local"},
     .call = CallClaude,
     .folder_variable = "CLAUDE_CONFIG_DIR",
     .folder = ".claude",
     .file = "settings.json",
     .edit = EditClaude},
    {.name = "codex",
     .title = "Codex",
     .how_to_install = "npm install -g @openai/codex",
     .call = CallCodex,
     .folder_variable = "CODEX_HOME",
     .folder = ".codex",
     .file = "puna.config.toml",
     .edit = EditCodex},
    {.name = "opencode",
     .title = "OpenCode",
     .how_to_install = "https://opencode.ai",
     .places = {".opencode/bin"},
     .call = CallOpenCode,
     .folder_variable = "XDG_CONFIG_HOME",
     .folder = ".config",
     .file = "opencode/opencode.json",
     .edit = EditOpenCode},
    {.name = "copilot",
     .title = "Copilot CLI",
     .alias = "copilot-cli",
     .how_to_install = "https://github.com/features/copilot/cli/",
     .places = {".local/bin"},
     .call = CallCopilot},
    {.name = "droid",
     .title = "Droid",
     .how_to_install = "https://docs.factory.ai/cli/getting-started/quickstart",
     .places = {".local/bin"},
     .call = CallDroid,
     .folder = ".factory",
     .file = "settings.json",
     .edit = EditDroid,
     .needs_file = true},
    {.name = "qwen",
     .title = "Qwen Code",
     .how_to_install = "npm install -g @qwen-code/qwen-code",
     .places = {".npm-global/bin", ".local/bin"},
     .call = CallQwen,
     .folder = ".qwen",
     .file = "settings.json",
     .edit = EditQwen,
     .needs_file = true},
};

// What Ollama launches and puna does not: programs with windows, and those with several files or
// services of their own.
constexpr const char* kOthers[] = {
    "chatgpt", "codex-app", "codex-desktop",    "codex-gui", "claude-desktop", "claude-app",
    "hermes",  "openclaw",  "clawdbot",         "moltbot",   "hermes-desktop", "omp",
    "dsh",     "pi",        "deepseek-harness", "kimi",      "muse",           "muse-code",
    "pool",    "cline",     "vscode",           "code"};

}  // namespace

std::span<const Agent> Agents() { return kAgents; }

Result<const Agent*> FindAgent(const std::string& name, const std::string& base_url) {
  std::string names;
  for (const Agent& agent : kAgents) {
    if (name == agent.name || (*agent.alias != '\0' && name == agent.alias)) return &agent;
    names += (names.empty() ? "" : ", ") + std::string(agent.name);
  }
  if (std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers)) {
    return MakeError(ErrorCode::kUnsupported,
                     "puna does not configure {}: give it the address {} (Ollama's API) or {}/v1 "
                     "(OpenAI's), with any key, in its own settings; launched are {}",
                     name, base_url, base_url, names);
  }
  return MakeError(ErrorCode::kNotFound, "unknown agent \"{}\", expected one of {}", name, names);
}

fs::path FindProgram(const Agent& agent) {
  const char* variable = std::getenv("PATH");
  std::string_view path = variable == nullptr ? "" : variable;
  std::vector<fs::path> folders;
  while (!path.empty()) {
    const size_t end = std::min(path.find(':'), path.size());
    if (end > 0) folders.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  for (const char* place : agent.places) folders.push_back(HomeDirectory() / place);
  std::error_code error;
  for (const fs::path& folder : folders) {
    const fs::path program = folder / agent.name;
    if (fs::is_regular_file(program, error) && ::access(program.c_str(), X_OK) == 0) return program;
  }
  return {};
}

fs::path ConfigFile(const Agent& agent) {
  if (agent.edit == nullptr) return {};
  const char* folder =
      *agent.folder_variable == '\0' ? nullptr : std::getenv(agent.folder_variable);
  if (folder != nullptr && *folder != '\0') return fs::path(folder) / agent.file;
  return HomeDirectory() / agent.folder / agent.file;
}

}  // namespace puna::cli
