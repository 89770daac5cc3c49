// puna run MODEL [PROMPT...]: one answer, or a chat.
#include <cstdio>

#include "cli/answer_view.h"
#include "cli/chat_session.h"
#include "cli/commands.h"
#include "cli/own_server.h"
#include "cli/registry_commands.h"
#include "cli/run_options.h"
#include "cli/terminal.h"
#include "store/model_name.h"
#include "store/modelfile.h"

namespace puna::cli {
namespace {

// Fields as they are on the command line, before they are checked.
struct RunArguments {
  RunOptions options;
  std::string format, keep_alive;
  std::vector<std::string> pairs;  // key=value
  std::optional<int64_t> num_ctx, seed, num_predict, top_k;
  std::optional<double> temperature, top_p;
  bool no_word_wrap = false;
};

Status AddParameter(const std::string& name, const std::string& value, Json* parameters) {
  bool deprecated = false;
  PUNA_RETURN_IF_ERROR(store::SetParameter(name, value, parameters, &deprecated));
  if (deprecated) std::fprintf(stderr, "Warning: parameter %s is ignored\n", name.c_str());
  return {};
}

Result<RunOptions> CheckArguments(const RunArguments& arguments) {
  RunOptions options = arguments.options;
  options.word_wrap = !arguments.no_word_wrap;
  if (!arguments.format.empty()) {
    PUNA_ASSIGN_OR_RETURN(options.format, ParseFormat(arguments.format));
  }
  if (!arguments.keep_alive.empty()) {
    auto parsed = ParseKeepAliveOption(arguments.keep_alive);
    if (!parsed) return WithContext(std::move(parsed).error(), "--keepalive");
    options.keep_alive = *std::move(parsed);
  }
  for (const std::string& pair : arguments.pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return MakeError(ErrorCode::kInvalidArgument, "--option {}: expected key=value", pair);
    }
    PUNA_RETURN_IF_ERROR(
        AddParameter(pair.substr(0, equals), pair.substr(equals + 1), &options.parameters));
  }
  if (arguments.num_ctx) options.parameters["num_ctx"] = *arguments.num_ctx;
  if (arguments.seed) options.parameters["seed"] = *arguments.seed;
  if (arguments.temperature) options.parameters["temperature"] = *arguments.temperature;
  if (arguments.num_predict) options.parameters["num_predict"] = *arguments.num_predict;
  if (arguments.top_k) options.parameters["top_k"] = *arguments.top_k;
  if (arguments.top_p) options.parameters["top_p"] = *arguments.top_p;
  return options;
}

// A model that is not there is pulled.
Result<Json> ShowModel(const ApiClient& client, const std::string& model, bool insecure) {
  auto shown = client.Post("/api/show", {{"model", model}});
  if (shown || shown.error().code != ErrorCode::kNotFound) return shown;
  if (const Status pulled = PullModel(client, model, insecure); !pulled) {
    return MakeError(pulled.error().code,
                     "{}, and it could not be pulled: {} ('puna list' shows what is there, 'puna "
                     "run ./file.gguf' runs a file in place)",
                     shown.error().message, pulled.error().message);
  }
  return client.Post("/api/show", {{"model", model}});
}

Status PrintEmbedding(const ApiClient& client, const RunOptions& options,
                      const std::string& prompt) {
  Json request = {{"model", options.model}, {"input", prompt}};
  if (!options.parameters.empty()) request["options"] = options.parameters;
  if (!options.keep_alive.is_null()) request["keep_alive"] = options.keep_alive;
  if (options.truncate) request["truncate"] = *options.truncate;
  if (options.dimensions > 0) request["dimensions"] = options.dimensions;
  PUNA_ASSIGN_OR_RETURN(const Json answer, client.Post("/api/embed", request));
  const Json vectors = answer.value("embeddings", Json::array());
  if (vectors.empty()) return MakeError(ErrorCode::kInternal, "the server sent no embedding");
  std::printf("%s\n", DumpJson(vectors[0]).c_str());
  return {};
}

Status PrintOneAnswer(const ApiClient& client, const RunOptions& options,
                      const std::string& prompt) {
  Json request = RequestOf(options);
  request["prompt"] = prompt;
  if (!options.system.empty()) request["system"] = options.system;
  const bool terminal = StdoutIsTerminal();
  AnswerView view({.terminal = terminal,
                   .word_wrap = terminal && options.word_wrap,
                   .hide_thinking = options.hide_thinking});
  const InterruptScope interrupt;
  Spinner spinner("");
  Json last;
  Status written;
  Status done = client.PostStream(
      "/api/generate", request,
      [&](const Json& line) {
        spinner.Stop();
        view.Thinking(JsonString(line, "thinking"));
        view.Content(JsonString(line, "response"));
        if (line.value("done", false)) last = line;
        written = CheckThatOutputIsWritten();
        return written.has_value();  // nobody needs the rest
      },
      [&] { return interrupt.interrupted(); });
  spinner.Stop();
  view.Finish();
  PUNA_RETURN_IF_ERROR(written);
  if (!done && !interrupt.interrupted()) return done;
  if (options.verbose && !last.is_null()) std::fputs(FormatTimings(last).c_str(), stderr);
  return {};
}

Status Run(const Settings& settings, RunOptions options) {
  std::string prompt;
  for (const std::string& word : options.prompt_words) prompt += (prompt.empty() ? "" : " ") + word;
  if (!StdinIsTerminal()) {
    PUNA_ASSIGN_OR_RETURN(const std::string input, ReadStandardInput());
    prompt = input + (input.empty() || prompt.empty() ? "" : " ") + prompt;
    if (prompt.find_first_not_of(" \t\r\n") == std::string::npos) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "no prompt: give one as arguments or on standard input, or run this in a "
                       "terminal to chat");
    }
  }
  const bool in_place = IsModelFile(options.model);
  if (!in_place && (options.model.ends_with(".gguf") || options.model.starts_with("./") ||
                    options.model.starts_with("/"))) {
    return MakeError(ErrorCode::kNotFound, "there is no file {}", options.model);
  }
  const std::string file = options.model;
  if (in_place) options.model = store::ModelNameOfFile(file);
  PUNA_ASSIGN_OR_RETURN(const ServerAccess server,
                        in_place ? ServerAccess::ForFile(settings, options.model, file)
                                 : ServerAccess::Connect(settings));
  const ApiClient& client = server.client();
  PUNA_ASSIGN_OR_RETURN(const Json show, ShowModel(client, options.model, options.insecure));
  options.model_thinks = HasCapability(show, "thinking");
  if (HasCapability(show, "embedding") && !HasCapability(show, "completion")) {
    if (prompt.empty()) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "embedding models require input text. Usage: puna run {} \"your text here\"",
                       options.model);
    }
    return PrintEmbedding(client, options, prompt);
  }
  if (!prompt.empty() || !StdoutIsTerminal()) {
    if (prompt.empty()) return MakeError(ErrorCode::kInvalidArgument, "no prompt");
    return PrintOneAnswer(client, options, prompt);
  }
  options.history = !settings.no_history;
  return ChatSession(client, settings, std::move(options), show).Loop();
}

void AddSamplingOptions(CLI::App* command, RunArguments* arguments) {
  command->add_option("--system", arguments->options.system, "System message");
  command->add_option("--num-ctx", arguments->num_ctx, "Context in tokens");
  command->add_option("--temperature", arguments->temperature, "0: always the most likely token");
  command->add_option("--top-k", arguments->top_k, "Choose among the k most likely tokens");
  command->add_option("--top-p", arguments->top_p,
                      "Choose among the likeliest tokens that together reach this probability");
  command->add_option("--seed", arguments->seed, "Same seed, same answer");
  command->add_option("--num-predict", arguments->num_predict, "Most tokens of an answer");
  command
      ->add_option("--option", arguments->pairs,
                   "key=value, any parameter of a Modelfile (top_k=20); may be repeated")
      ->allow_extra_args(false);
}

}  // namespace

void AddRun(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command =
      app.add_subcommand("run", "Answer a prompt or chat; starts a server for itself if none runs");
  auto arguments = std::make_shared<RunArguments>();
  RunOptions& options = arguments->options;
  command
      ->add_option("MODEL", options.model,
                   "Model (pulled if it is not installed), or a GGUF file to run in place")
      ->required();
  command->add_option("PROMPT", options.prompt_words,
                      "The prompt; standard input, if it is no terminal, is put before it");
  AddSamplingOptions(command, arguments.get());
  command->add_option("--format", arguments->format, "json, or a JSON Schema");
  command->add_flag("--think{true}", options.think,
                    "Whether the model thinks first: --think, --think=false, or a level "
                    "(--think=high)");
  command->add_flag("--hidethinking", options.hide_thinking, "Do not print the thinking");
  command->add_option("--keepalive", arguments->keep_alive,
                      "How long the model stays loaded afterwards (5m, -1)");
  command->add_flag("--verbose", options.verbose, "Print times and token counts");
  command->add_flag("--nowordwrap", arguments->no_word_wrap,
                    "Do not break lines at the width of the terminal");
  command->add_flag("--truncate{true}", options.truncate,
                    "Embedding models: cut input that is too long (--truncate=false: an error)");
  command->add_option("--dimensions", options.dimensions, "Embedding models: length of the vector");
  command->add_flag("--insecure", options.insecure,
                    "Pull over plain http and do not verify certificates");
  command->callback([&context, arguments, chosen] {
    *chosen = [&context, arguments]() -> Status {
      PUNA_ASSIGN_OR_RETURN(RunOptions checked, CheckArguments(*arguments));
      return Run(context.settings, std::move(checked));
    };
  });
}

}  // namespace puna::cli
