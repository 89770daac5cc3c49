// puna show MODEL
#include <cstdio>

#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/show_view.h"

namespace puna::cli {
namespace {

constexpr const char* kParts[] = {"license", "modelfile", "parameters", "template", "system"};

struct ShowOptions {
  std::string model, part;
  bool verbose = false, json = false, several_parts = false;
};

Status Show(const Context& context, const ShowOptions& options) {
  if (options.several_parts) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "only one of '--license', '--modelfile', '--parameters', '--template' or "
                     "'--system' can be specified");
  }
  Json request = {{"model", options.model}};
  if (options.verbose) request["verbose"] = true;
  PUNA_ASSIGN_OR_RETURN(const Json shown, ApiClient(context.settings).Post("/api/show", request));
  if (options.json) {
    PrintJsonLine(shown);
    return {};
  }
  if (options.part.empty()) {
    std::fputs(FormatModelInfo(shown, options.verbose).c_str(), stdout);
    return {};
  }
  // A part that is not there prints nothing, as scripts expect of Ollama.
  if (const auto text = FormatModelPart(shown, options.part)) std::fputs(text->c_str(), stdout);
  return {};
}

}  // namespace

void AddShow(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("show", "Show what a model is");
  auto options = std::make_shared<ShowOptions>();
  command->add_option("MODEL", options->model, "The model")->required();
  auto* parts = command->add_option_group("parts", "Only one part, as it is");
  for (const char* part : kParts) {
    const auto choose = [options, part] {
      options->several_parts |= !options->part.empty();
      options->part = part;
    };
    parts->add_flag_callback(std::string("--") + part, choose, std::string("Only the ") + part);
  }
  command->add_flag("-v,--verbose", options->verbose, "Metadata and tensors too");
  AddJsonFlag(command, &options->json);
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] { return Show(context, *options); };
  });
}

}  // namespace puna::cli
