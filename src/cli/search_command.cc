// puna search WORD...: which installed models have all the words in their name or in what is known
// of them.
#include <algorithm>
#include <cstdio>

#include "base/text.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/json_output.h"

namespace puna::cli {
namespace {

// Everything that a search looks through, in lower case.
std::string TextOf(const Json& tag, const Json& show) {
  std::string text = JsonString(tag, "name");
  const Json details = tag.value("details", Json::object());  // outlives items()
  for (const auto& [key, value] : details.items())
    text += "\n" + (value.is_string() ? value.get<std::string>() : DumpJson(value));
  text += "\n" + DumpJson(show.value("capabilities", Json::array()));
  for (const char* key : {"system", "license", "parameters"}) text += "\n" + JsonString(show, key);
  const Json info = show.value("model_info", Json::object());
  for (const char* key : {"general.name", "general.basename", "general.description"})
    text += "\n" + JsonString(info, key);
  return LowerCase(std::move(text));
}

struct SearchOptions {
  std::vector<std::string> words;
  bool json = false;
};

Status Search(const Context& context, const SearchOptions& options) {
  const ApiClient client(context.settings);
  PUNA_ASSIGN_OR_RETURN(const Json tags, client.Get("/api/tags"));
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "SIZE", "FAMILY", "PARAMETERS", "TYPE", "CAPABILITIES"}};
  for (const Json& tag : tags.value("models", Json::array())) {
    const std::string name = JsonString(tag, "name");
    const auto show = client.Post("/api/show", {{"model", name}});
    const Json about = show ? *show : Json::object();
    const std::string text = TextOf(tag, about);
    const bool all = std::all_of(options.words.begin(), options.words.end(), [&](const auto& word) {
      return text.find(LowerCase(word)) != std::string::npos;
    });
    if (!all) continue;
    if (options.json) {
      Json line = tag;
      line["capabilities"] = about.value("capabilities", Json::array());
      PrintJsonLine(line);
      continue;
    }
    std::string capabilities;
    const Json offered = about.value("capabilities", Json::array());
    for (const Json& one : offered)
      capabilities += (capabilities.empty() ? "" : ", ") + one.get<std::string>();
    const Json details = tag.value("details", Json::object());
    rows.push_back({name, HumanBytes(tag.value("size", int64_t{0})), JsonString(details, "family"),
                    JsonString(details, "parameter_size"),
                    JsonString(details, "quantization_level"), capabilities});
  }
  if (!options.json) std::fputs(FormatTable(rows).c_str(), stdout);
  return {};
}

}  // namespace

void AddSearch(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand(
      "search", "Find installed models by words of their name, family, type, capabilities, ...");
  auto options = std::make_shared<SearchOptions>();
  command->add_option("WORDS", options->words, "What the models must all have")->required();
  AddJsonFlag(command, &options->json);
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] { return Search(context, *options); };
  });
}

}  // namespace puna::cli
