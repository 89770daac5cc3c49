// puna list (ls) [PREFIX]
#include <cstdio>

#include "base/text.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/json_output.h"
#include "cli/list_view.h"

namespace puna::cli {

Result<std::string> ListText(const ApiClient& client, const std::string& prefix) {
  PUNA_ASSIGN_OR_RETURN(const Json answer, client.Get("/api/tags"));
  std::vector<std::vector<std::string>> rows = {{"NAME", "ID", "SIZE", "MODIFIED"}};
  const auto now = std::chrono::system_clock::now();
  for (const Json& model : answer.value("models", Json::array())) {
    const std::string name = JsonString(model, "name");
    if (!StartsWithIgnoringCase(name, prefix)) continue;
    rows.push_back({name, JsonString(model, "digest").substr(0, 12),
                    HumanBytes(model.value("size", int64_t{0})),
                    HumanTime(ParseRfc3339(JsonString(model, "modified_at")), now)});
  }
  std::string text = FormatTable(rows);
  text.pop_back();
  return text;
}

namespace {

Status PrintJson(const ApiClient& client, const std::string& prefix) {
  PUNA_ASSIGN_OR_RETURN(const Json answer, client.Get("/api/tags"));
  for (const Json& model : answer.value("models", Json::array())) {
    if (StartsWithIgnoringCase(JsonString(model, "name"), prefix)) PrintJsonLine(model);
  }
  return {};
}

}  // namespace

void AddList(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("list", "List the models in the store")->alias("ls");
  auto prefix = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  command->add_option("PREFIX", *prefix, "Only models whose name begins with this");
  AddJsonFlag(command, json.get());
  command->callback([&context, prefix, json, chosen] {
    *chosen = [&context, prefix, json]() -> Status {
      if (*json) return PrintJson(ApiClient(context.settings), *prefix);
      PUNA_ASSIGN_OR_RETURN(const std::string text, ListText(ApiClient(context.settings), *prefix));
      std::puts(text.c_str());
      return {};
    };
  });
}

}  // namespace puna::cli
