// puna ps [PREFIX]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <thread>

#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/json_output.h"
#include "cli/terminal.h"

namespace puna::cli {
namespace {

std::string Processor(int64_t size, int64_t vram) {
  if (vram == 0) return "100% CPU";
  if (vram >= size) return "100% GPU";
  const auto gpu =
      static_cast<int>(std::lround(100.0 * static_cast<double>(vram) / static_cast<double>(size)));
  return fmt::format("{}%/{}% CPU/GPU", 100 - gpu, gpu);
}

// `with_load`: also how busy they are.
Result<std::string> PsTable(const ApiClient& client, const std::string& prefix, bool with_load) {
  PUNA_ASSIGN_OR_RETURN(const Json answer, client.Get("/api/ps"));
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"}};
  if (with_load) rows[0].insert(rows[0].end(), {"RUNNING", "WAITING", "CACHE"});
  const auto now = std::chrono::system_clock::now();
  for (const Json& model : answer.value("models", Json::array())) {
    const std::string name = JsonString(model, "name");
    if (!name.starts_with(prefix)) continue;
    const auto expires = ParseRfc3339(JsonString(model, "expires_at"));
    const std::string state = JsonString(model, "state");
    const bool stopping = state == "stopping" || (expires && *expires < now);
    const std::string until = state == "loading" ? "Loading..."
                              : stopping         ? "Stopping..."
                                                 : HumanTime(expires, now);
    const int64_t size = model.value("size", int64_t{0});
    rows.push_back({name, JsonString(model, "digest").substr(0, 12), HumanBytes(size),
                    Processor(size, model.value("size_vram", int64_t{0})) +
                        (model.value("weights_in_file", false) ? ", from disk" : ""),
                    fmt::format("{}", model.value("context_length", int64_t{0})), until});
    if (!with_load) continue;
    rows.back().push_back(fmt::format("{}", model.value("requests_running", int64_t{0})));
    rows.back().push_back(fmt::format("{}", model.value("requests_waiting", int64_t{0})));
    const int64_t pages = std::max<int64_t>(1, model.value("cache_pages", int64_t{0}));
    rows.back().push_back(
        fmt::format("{}%", 100 * model.value("cache_pages_in_use", int64_t{0}) / pages));
  }
  return FormatTable(rows);
}

Status PrintRunningAsJson(const ApiClient& client, const std::string& prefix) {
  PUNA_ASSIGN_OR_RETURN(const Json answer, client.Get("/api/ps"));
  for (const Json& model : answer.value("models", Json::array())) {
    if (JsonString(model, "name").starts_with(prefix)) PrintJsonLine(model);
  }
  return {};
}

Status Watch(const Context& context, const std::string& prefix) {
  const ApiClient client(context.settings);
  const InterruptScope interrupt;
  while (!interrupt.interrupted()) {
    PUNA_ASSIGN_OR_RETURN(const std::string table, PsTable(client, prefix, /*with_load=*/true));
    if (StdoutIsTerminal()) std::fputs("\x1b[H\x1b[2J", stdout);  // the screen from its top, empty
    std::fputs(table.c_str(), stdout);
    std::fflush(stdout);
    for (int i = 0; i < 10 && !interrupt.interrupted(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return {};
}

}  // namespace

void AddPs(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("ps", "List the models in memory");
  auto prefix = std::make_shared<std::string>();
  command->add_option("PREFIX", *prefix, "Only models whose name begins with this");
  auto watch = std::make_shared<bool>(false);
  command->add_flag("-w,--watch", *watch,
                    "Go on until interrupted, with how busy the models are, every second");
  auto json = std::make_shared<bool>(false);
  AddJsonFlag(command, json.get());
  command->callback([&context, prefix, watch, json, chosen] {
    *chosen = [&context, prefix, watch, json]() -> Status {
      if (*json) return PrintRunningAsJson(ApiClient(context.settings), *prefix);
      if (*watch) return Watch(context, *prefix);
      PUNA_ASSIGN_OR_RETURN(const std::string table,
                            PsTable(ApiClient(context.settings), *prefix, /*with_load=*/false));
      std::fputs(table.c_str(), stdout);
      return {};
    };
  });
}

}  // namespace puna::cli
