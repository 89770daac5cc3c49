// puna pull and push: models from and to a registry. The server does the work.
#include "cli/registry_commands.h"

#include "cli/commands.h"
#include "cli/terminal.h"

namespace puna::cli {
namespace {

Status Transfer(const ApiClient& client, const char* path, const std::string& model,
                bool insecure) {
  ProgressLines progress;
  const InterruptScope interrupt;
  const auto interrupted = [&] { return interrupt.interrupted(); };
  Json request = {{"model", model}};
  if (insecure) request["insecure"] = true;
  return client.PostStream(
      path, request,
      [&](const Json& line) {
        progress.Show(JsonString(line, "status"), line.value("completed", int64_t{0}),
                      line.value("total", int64_t{0}));
        return !interrupted();
      },
      interrupted);
}

struct TransferOptions {
  std::string model;
  bool insecure = false;
};

void AddTransfer(CLI::App& app, Context& context, Action* chosen, const char* name,
                 const char* description) {
  CLI::App* command = app.add_subcommand(name, description);
  auto options = std::make_shared<TransferOptions>();
  command->add_option("MODEL", options->model, "[host/][namespace/]model[:tag]")->required();
  command->add_flag("--insecure", options->insecure,
                    "Use plain http and do not verify certificates");
  const std::string path = std::string("/api/") + name;
  command->callback([&context, options, path, chosen] {
    *chosen = [&context, options, path] {
      return Transfer(ApiClient(context.settings), path.c_str(), options->model, options->insecure);
    };
  });
}

}  // namespace

Status PullModel(const ApiClient& client, const std::string& model, bool insecure) {
  return Transfer(client, "/api/pull", model, insecure);
}

void AddPull(CLI::App& app, Context& context, Action* chosen) {
  AddTransfer(app, context, chosen, "pull", "Fetch a model from a registry");
}

void AddPush(CLI::App& app, Context& context, Action* chosen) {
  AddTransfer(app, context, chosen, "push", "Send a model to a registry");
}

}  // namespace puna::cli
