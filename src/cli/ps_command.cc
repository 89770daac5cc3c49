// puna ps [PREFIX]
#include <cmath>
#include <cstdio>

#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/human.h"

namespace puna::cli {
namespace {

std::string Processor(int64_t size, int64_t vram) {
  if (vram == 0) return "100% CPU";
  if (vram >= size) return "100% GPU";
  const auto gpu =
      static_cast<int>(std::lround(100.0 * static_cast<double>(vram) / static_cast<double>(size)));
  return fmt::format("{}%/{}% CPU/GPU", 100 - gpu, gpu);
}

Status Ps(const Context& context, const std::string& prefix) {
  PUNA_ASSIGN_OR_RETURN(const Json answer, ApiClient(context.settings).Get("/api/ps"));
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"}};
  const auto now = std::chrono::system_clock::now();
  for (const Json& model : answer.value("models", Json::array())) {
    const std::string name = JsonString(model, "name");
    if (!name.starts_with(prefix)) continue;
    const auto expires = ParseRfc3339(JsonString(model, "expires_at"));
    const std::string until = model.value("loading", false) ? "Loading..."
                              : expires && *expires < now   ? "Stopping..."
                                                            : HumanTime(expires, now);
    const int64_t size = model.value("size", int64_t{0});
    rows.push_back({name, JsonString(model, "digest").substr(0, 12), HumanBytes(size),
                    Processor(size, model.value("size_vram", int64_t{0})),
                    fmt::format("{}", model.value("context_length", int64_t{0})), until});
  }
  std::fputs(FormatTable(rows).c_str(), stdout);
  return {};
}

}  // namespace

void AddPs(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("ps", "List the models in memory");
  auto prefix = std::make_shared<std::string>();
  command->add_option("prefix", *prefix, "Only models whose name begins with this");
  command->callback([&context, prefix, chosen] {
    *chosen = [&context, prefix] { return Ps(context, *prefix); };
  });
}

}  // namespace puna::cli
