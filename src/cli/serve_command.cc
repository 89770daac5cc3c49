// puna serve: the server, until somebody asks it to end.
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "api/api.h"
#include "api/version.h"
#include "base/descriptor_limit.h"
#include "base/log.h"
#include "base/log_file.h"
#include "base/settings.h"
#include "cli/commands.h"
#include "cli/serve_until.h"

namespace puna::cli {
namespace {

std::string VariablesOf(const SettingDescription& setting, const char* quote) {
  std::string names = fmt::format("{}PUNA_{}{}", quote, setting.name, quote);
  if (setting.ollama) names += fmt::format(", {}OLLAMA_{}{}", quote, setting.name, quote);
  return names;
}

std::string SettingsHelp() {
  std::string text =
      "Settings are environment variables; of two names the first wins. OLLAMA_ names mean what "
      "they mean for Ollama.\n";
  for (const SettingDescription& setting : DescribeSettings()) {
    text += fmt::format(
        "  {}\n      {}{}\n", VariablesOf(setting, ""), setting.description,
        setting.default_value.empty() ? "" : fmt::format(" (default: {})", setting.default_value));
  }
  return text;
}

// The whole of docs/settings.md.
std::string SettingsMarkdown() {
  std::string text =
      "# Settings\n\n"
      "Environment variables, read once at the start of a command. Of two names the first wins.\n"
      "This page is what `puna serve --settings-markdown` prints; `puna serve --help` says the "
      "same.\n\n"
      "| variable | default | meaning |\n|---|---|---|\n";
  for (const SettingDescription& setting : DescribeSettings()) {
    text += fmt::format("| {} | {} | {} |\n", VariablesOf(setting, "`"),
                        setting.default_value.empty() ? "" : "`" + setting.default_value + "`",
                        setting.description);
  }
  return text;
}

// What Ollama's server reads and this one does not. OLLAMA_NO_CLOUD is not among them: what it asks
// for is always so.
constexpr const char* kSettingsOfOllamaAlone[] = {
    "CLOUD_BASE_URL", "DEBUG_LOG_REQUESTS",   "FLASH_ATTENTION",  "GO_TEMPLATE",
    "GPU_OVERHEAD",   "IGPU_ENABLE",          "LLAMA_CPP_COMPAT", "LLM_LIBRARY",
    "LOAD_TIMEOUT",   "MAX_TRANSFER_STREAMS", "REMOTES",          "SCHED_SPREAD",
    "VULKAN"};

void WarnOfSettingsWithoutEffect() {
  for (const char* setting : kSettingsOfOllamaAlone) {
    const std::string name = std::string("OLLAMA_") + setting;
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') continue;
    LogWarning("{} has no effect; puna serve --help lists those that there are", name);
  }
}

// The socket of systemd's socket activation (sd_listen_fds): LISTEN_FDS of them begin at descriptor
// 3, for the process LISTEN_PID. Its address becomes that of the settings. -1 if there is none.
Result<int> InheritedSocket(Settings* settings) {
  constexpr int kFirst = 3;
  const auto number = [](const char* name) -> long {
    const char* text = std::getenv(name);
    return text == nullptr ? 0 : std::strtol(text, nullptr, 10);
  };
  const long process = number("LISTEN_PID"), count = number("LISTEN_FDS");
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  if (process != ::getpid() || count < 1) return -1;
  if (count > 1) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "systemd passes {} sockets; a server listens on one", count);
  }
  sockaddr_storage address = {};
  socklen_t length = sizeof(address);
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (::getsockname(kFirst, reinterpret_cast<sockaddr*>(&address), &length) != 0 ||
      (address.ss_family != AF_INET && address.ss_family != AF_INET6) ||
      ::getnameinfo(reinterpret_cast<sockaddr*>(&address), length, host, sizeof(host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return MakeError(ErrorCode::kInvalidArgument, "the socket that was passed is not one of TCP");
  }
  ::fcntl(kFirst, F_SETFD, FD_CLOEXEC);
  settings->host =
      fmt::format(fmt::runtime(address.ss_family == AF_INET6 ? "[{}]:{}" : "{}:{}"), host, port);
  return kFirst;
}

Status Serve(Settings settings, const std::string& log_file) {
  if (log_file != "none") {
    // A server that cannot write its log can still serve.
    if (const Status added = AddLogFile(log_file); !added) LogWarning("{}", added.error().message);
  }
  WarnOfSettingsWithoutEffect();
  const sigset_t signals = BlockEndSignals();
  RaiseDescriptorLimit();
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a file at its limit is an error of whoever writes it

  PUNA_ASSIGN_OR_RETURN(const int inherited, InheritedSocket(&settings));
  auto server = api::ApiServer::Start({.settings = settings, .listening_descriptor = inherited});
  if (!server) {
    if (server.error().code != ErrorCode::kUnavailable)
      return tl::unexpected(std::move(server).error());
    const Address address = ParseAddress(settings.host);
    return MakeError(ErrorCode::kUnavailable,
                     "{} port {} cannot be listened on ({}); is a server running there? "
                     "PUNA_HOST sets another address",
                     address.host, address.port, server.error().message);
  }
  LogInfo("puna {} listens on {}, models in {}", api::kVersion, (*server)->url(),
          settings.models.string());
  ServeUntilSignal(server->get(), signals, settings.drain_timeout);
  return {};
}

}  // namespace

void AddServe(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("serve", "Start the server")->alias("start");
  command->footer(SettingsHelp());
  auto markdown = std::make_shared<bool>(false);
  auto log_file = std::make_shared<std::string>(DefaultLogFile());
  command->add_option("--log-file", *log_file,
                      "File that gets the log too, for puna logs; none: no file");
  command->add_flag("--settings-markdown", *markdown)->group("");  // for docs/settings.md
  command->callback([&context, markdown, log_file, chosen] {
    *chosen = [&context, markdown, log_file]() -> Status {
      if (!*markdown) return Serve(context.settings, *log_file);
      std::fputs(SettingsMarkdown().c_str(), stdout);
      return {};
    };
  });
}

}  // namespace puna::cli
