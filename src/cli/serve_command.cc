// puna serve: the server, until somebody asks it to end.
//
// SIGINT and SIGTERM are blocked before any thread exists and waited for here, so that no handler
// runs in the middle of anything. Then running answers may end; a second signal ends the process at
// once.
#include <signal.h>

#include <chrono>
#include <cstdio>

#include "api/api.h"
#include "api/version.h"
#include "base/log.h"
#include "base/settings.h"
#include "cli/commands.h"

namespace puna::cli {
namespace {

constexpr auto kDrain = std::chrono::seconds(30);

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

Status Serve(const Settings& settings) {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a file at its limit is an error of whoever writes it

  auto server = api::ApiServer::Start({.settings = settings});
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
  int signal = 0;
  ::sigwait(&signals, &signal);
  LogInfo("{}: no new requests, running ones may take {} s more",
          signal == SIGINT ? "interrupted" : "asked to end", kDrain.count());
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  (*server)->Shutdown(std::chrono::steady_clock::now() + kDrain);
  LogInfo("stopped");
  return {};
}

}  // namespace

void AddServe(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("serve", "Start the server")->alias("start");
  command->footer(SettingsHelp());
  auto markdown = std::make_shared<bool>(false);
  command->add_flag("--settings-markdown", *markdown)->group("");  // for docs/settings.md
  command->callback([&context, markdown, chosen] {
    *chosen = [&context, markdown]() -> Status {
      if (!*markdown) return Serve(context.settings);
      std::fputs(SettingsMarkdown().c_str(), stdout);
      return {};
    };
  });
}

}  // namespace puna::cli
