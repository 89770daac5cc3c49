// puna pull and push: models from and to a registry. The server does the work.
#include "cli/registry_commands.h"

#include <cstdio>

#include "base/hex.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "registry/registry.h"
#include "store/model_name.h"

namespace puna::cli {
namespace {

struct TransferOptions {
  std::string model, as;
  bool insecure = false;
};

Status Transfer(const ApiClient& client, const char* path, const TransferOptions& options) {
  Json request = {{"model", options.model}};
  if (!options.as.empty()) request["name"] = options.as;
  if (options.insecure) request["insecure"] = true;
  ProgressLines progress;
  return PostWithProgress(client, path, request, &progress);
}

Status Pull(const Context& context, const TransferOptions& options) {
  constexpr std::string_view kFile = "file://";
  const ApiClient client(context.settings);
  if (options.model.starts_with(kFile)) {
    const std::string path = PercentDecoded(options.model.substr(kFile.size()));
    return ImportModel(context, path, options.as);
  }
  return Transfer(client, "/api/pull", options);
}

Status Push(const Context& context, const TransferOptions& options) {
  const Status sent = Transfer(ApiClient(context.settings), "/api/push", options);
  if (!sent && sent.error().message.find("access denied") != std::string::npos) {
    return MakeError(ErrorCode::kPermissionDenied,
                     "you are not authorized to push to this namespace, create the model under a "
                     "namespace you own");
  }
  PUNA_RETURN_IF_ERROR(sent);
  const auto name = store::ModelName::Parse(options.model);
  if (name && name->host == store::ModelName().host) {
    std::printf("You can find your model at:\n\n\thttps://ollama.com/%s/%s\n",
                name->name_space.c_str(), name->model.c_str());
  }
  return {};
}

Status SignIn() {
  const std::string file = registry::DefaultKeyFile().string();
  PUNA_ASSIGN_OR_RETURN(const std::string key, registry::PublicKeyLine(file));
  std::printf(
      "This is who you are to a registry:\n\n\t%s\n\nAdd it at https://ollama.com/settings/keys to "
      "push under your name, and at\nhttps://huggingface.co/settings/keys to pull private "
      "models. The private half is %s\nand signs what registries ask to be signed; puna keeps no "
      "other login.\n",
      key.c_str(), file.c_str());
  return {};
}

Status SignOut() {
  const std::string file = registry::DefaultKeyFile().string();
  std::error_code error;
  if (!std::filesystem::exists(file, error)) {
    std::printf("You are not signed in: there is no key %s\n", file.c_str());
    return {};
  }
  PUNA_ASSIGN_OR_RETURN(const std::string key, registry::PublicKeyLine(file));
  std::printf(
      "puna keeps no login that could be ended here: a registry knows you by a key. Remove\n\n\t%s"
      "\n\nat https://ollama.com/settings/keys and https://huggingface.co/settings/keys, where you "
      "added it. To be\nsomebody else from now on, move %s and its .pub away; the next pull or "
      "push "
      "makes new ones.\n",
      key.c_str(), file.c_str());
  return {};
}

std::shared_ptr<TransferOptions> AddOptions(CLI::App* command, const char* model) {
  auto options = std::make_shared<TransferOptions>();
  command->add_option("MODEL", options->model, model)->required();
  command->add_flag("--insecure", options->insecure,
                    "Use plain http and do not verify certificates");
  return options;
}

}  // namespace

Status PostWithProgress(const ApiClient& client, const char* path, const Json& request,
                        ProgressLines* progress) {
  const InterruptScope interrupt;
  const auto interrupted = [&] { return interrupt.interrupted(); };
  return client.PostStream(
      path, request,
      [&](const Json& line) {
        progress->Show(JsonString(line, "status"), line.value("completed", int64_t{0}),
                       line.value("total", int64_t{0}));
        return !interrupted();
      },
      interrupted);
}

Status PullModel(const ApiClient& client, const std::string& model, bool insecure) {
  return Transfer(client, "/api/pull", {.model = model, .as = "", .insecure = insecure});
}

void AddPull(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("pull", "Fetch a model from a registry, or a GGUF file");
  const auto options = AddOptions(
      command, "[host/][namespace/]model[:tag], or the URL (https:, file:) of a GGUF file");
  command->add_option("--as", options->as, "Name of the model that a URL becomes");
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] { return Pull(context, *options); };
  });
}

void AddSignIn(CLI::App& app, Context&, Action* chosen) {
  CLI::App* command = app.add_subcommand(
      "signin", "Print the key that a registry knows you by, and where to add it");
  command->alias("login");
  command->callback([chosen] { *chosen = SignIn; });
}

void AddSignOut(CLI::App& app, Context&, Action* chosen) {
  CLI::App* command =
      app.add_subcommand("signout", "Tell where the key of signin has to be removed");
  command->alias("logout");
  command->callback([chosen] { *chosen = SignOut; });
}

void AddPush(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("push", "Send a model to a registry");
  const auto options = AddOptions(command, "[host/][namespace/]model[:tag]");
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] { return Push(context, *options); };
  });
}

}  // namespace puna::cli
