// puna stop, cp and rm: one request each.
#include <cstdio>

#include "cli/api_client.h"
#include "cli/commands.h"

namespace puna::cli {
namespace {

Status Unload(const ApiClient& client, const std::string& model) {
  PUNA_RETURN_IF_ERROR(client.Post("/api/generate", {{"model", model}, {"keep_alive", 0}}));
  return {};
}

Status Stop(const Context& context, const std::string& model) {
  Status stopped = Unload(ApiClient(context.settings), model);
  if (!stopped && stopped.error().code == ErrorCode::kNotFound) {
    return MakeError(ErrorCode::kNotFound, "couldn't find model \"{}\" to stop", model);
  }
  return stopped;
}

Status Copy(const Context& context, const std::string& source, const std::string& destination) {
  PUNA_RETURN_IF_ERROR(ApiClient(context.settings)
                           .Post("/api/copy", {{"source", source}, {"destination", destination}}));
  std::printf("copied '%s' to '%s'\n", source.c_str(), destination.c_str());
  return {};
}

Status Remove(const Context& context, const std::vector<std::string>& models) {
  const ApiClient client(context.settings);
  for (const std::string& model : models) {
    PUNA_RETURN_IF_ERROR(client.Delete("/api/delete", {{"model", model}}));
    std::printf("deleted '%s'\n", model.c_str());
  }
  return {};
}

}  // namespace

void AddStop(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("stop", "Unload a model");
  auto model = std::make_shared<std::string>();
  command->add_option("MODEL", *model, "The model")->required();
  command->callback(
      [&context, model, chosen] { *chosen = [&context, model] { return Stop(context, *model); }; });
}

void AddCopy(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("cp", "Copy a model under another name");
  auto names = std::make_shared<std::pair<std::string, std::string>>();
  command->add_option("SOURCE", names->first, "The model")->required();
  command->add_option("DESTINATION", names->second, "The new name")->required();
  command->callback([&context, names, chosen] {
    *chosen = [&context, names] { return Copy(context, names->first, names->second); };
  });
}

void AddRemove(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("rm", "Delete models");
  auto models = std::make_shared<std::vector<std::string>>();
  command->add_option("MODELS", *models, "The models")->required();
  command->callback([&context, models, chosen] {
    *chosen = [&context, models] { return Remove(context, *models); };
  });
}

}  // namespace puna::cli
