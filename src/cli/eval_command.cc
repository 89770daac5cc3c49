// puna eval: what a model computes, for tests and comparisons with other programs.
#include <cstdio>

#include "cli/commands.h"
#include "cli/eval_tools.h"

namespace puna::cli {
namespace {

constexpr const char* kDescription =
    "Computes with a model file, for tests and comparisons. MODEL is a GGUF file or the name of an "
    "installed model. Outputs OUT are little-endian float32; \"-\" is standard output.";

void AddModelOptions(CLI::App* command, EvalModelOptions* options) {
  command->add_option("MODEL", options->model, "GGUF file or installed model")->required();
  command
      ->add_option("--backend", options->backend,
                   "cpu, auto, reference (slow and exact), vulkan or vulkan:N")
      ->capture_default_str();
  command->add_option("--kv-type", options->kv_type, "Numbers of the key/value cache")
      ->check(CLI::IsMember({"f32", "f16", "q8_0"}))
      ->capture_default_str();
  command->add_option("-t,--threads", options->threads, "Compute threads; 0: PUNA_THREADS or all");
  command->add_option("--chunk", options->chunk, "Tokens computed in one pass")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
}

void AddTokensAndOut(CLI::App* command, EvalLogitsOptions* options) {
  command
      ->add_option("--tokens-file", options->tokens_file,
                   "File of token ids, separated by white space; nothing is added to them")
      ->required();
  command->add_option("--out", options->out, "Where the result goes")->required();
}

void AddLogits(CLI::App* eval, Context& context, Action* chosen) {
  CLI::App* command =
      eval->add_subcommand("logits", "Logits of every position: row-major [tokens, vocabulary]");
  auto options = std::make_shared<EvalLogitsOptions>();
  AddModelOptions(command, &options->model);
  AddTokensAndOut(command, options.get());
  command->add_option("--adapter", options->adapters,
                      "LoRA adapter in GGUF, FILE or FILE=SCALE; may be given several times");
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] { return EvalLogits(context.settings, *options); };
  });
}

void AddEmbedding(CLI::App* eval, Context& context, Action* chosen) {
  CLI::App* command = eval->add_subcommand(
      "embedding", "The pooled vector (without pooling: the last token's), not normalized");
  auto options = std::make_shared<EvalLogitsOptions>();
  AddModelOptions(command, &options->model);
  AddTokensAndOut(command, options.get());
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] { return EvalEmbedding(context.settings, *options); };
  });
}

void AddTokenize(CLI::App* eval, Context& context, Action* chosen) {
  struct Options {
    std::string model;
    bool special = false;
  };
  CLI::App* command = eval->add_subcommand(
      "tokenize", "Standard input as token ids on one line, without BOS or EOS");
  auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "GGUF file or installed model")->required();
  command->add_flag("--special", options->special, "Recognize control tokens in the text");
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] {
      return EvalTokenize(context.settings, options->model, options->special);
    };
  });
}

void AddDequantize(CLI::App* eval, Context& context, Action* chosen) {
  struct Options {
    std::string model, tensor, out;
  };
  CLI::App* command = eval->add_subcommand("dequantize", "The exact values of a tensor");
  auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->model, "GGUF file or installed model")->required();
  command->add_option("--tensor", options->tensor, "Name of the tensor")->required();
  command->add_option("--out", options->out, "Where the result goes")->required();
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] {
      return EvalDequantize(context.settings, options->model, options->tensor, options->out);
    };
  });
}

void AddPerplexity(CLI::App* eval, Context& context, Action* chosen) {
  CLI::App* command = eval->add_subcommand(
      "perplexity",
      "Perplexity on a text: windows of N tokens, each beginning with BOS where the model has one, "
      "of which the second half counts (as llama.cpp measures)");
  auto options = std::make_shared<EvalPerplexityOptions>();
  AddModelOptions(command, &options->model);
  command->add_option("--text", options->text_file, "Text file")->required();
  command->add_option("--ctx", options->context, "Tokens of a window")->capture_default_str();
  command->add_option("--windows", options->max_windows, "At most so many windows; 0: all");
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] { return EvalPerplexity(context.settings, *options); };
  });
}

void AddArchitectures(CLI::App* eval, Action* chosen) {
  CLI::App* command =
      eval->add_subcommand("architectures", "The architectures that run, and what uses them");
  auto markdown = std::make_shared<bool>(false);
  command->add_flag("--markdown", *markdown, "As docs/architectures.md");
  command->callback(
      [markdown, chosen] { *chosen = [markdown] { return EvalArchitectures(*markdown); }; });
}

void AddTemplate(CLI::App* eval, Action* chosen) {
  struct Options {
    std::string jinja, go;
  };
  CLI::App* command = eval->add_subcommand(
      "template",
      "Renders a chat template with the variables of the JSON object on standard input");
  auto options = std::make_shared<Options>();
  auto* group = command->add_option_group("language");
  group->add_option("--jinja", options->jinja, "File of a Jinja template");
  group->add_option("--go", options->go, "File of a Go template");
  group->require_option(1);
  command->callback([options, chosen] {
    *chosen = [options] { return EvalTemplate(options->jinja, options->go); };
  });
}

// The exit codes are part of the command's contract.
void AddSchema(CLI::App* eval, Context& context, Action* chosen) {
  CLI::App* command = eval->add_subcommand("schema",
                                           "Whether the JSON on standard input obeys a JSON "
                                           "Schema, as the grammar made of it says: exit "
                                           "code 0 if it does, 1 if not, 2 if the schema is not "
                                           "supported or something is malformed. The "
                                           "properties of objects may stand in any order");
  auto file = std::make_shared<std::string>();
  command->add_option("SCHEMA", *file, "File of the schema")->required();
  command->callback([&context, file, chosen] {
    *chosen = [&context, file]() -> Status {
      context.error_exit_code = 2;
      PUNA_ASSIGN_OR_RETURN(const bool accepted, EvalSchema(*file));
      if (accepted) return {};
      context.error_exit_code = 1;
      return MakeError(ErrorCode::kInvalidArgument, "the value does not obey the schema");
    };
  });
}

}  // namespace

void AddEval(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* eval = app.add_subcommand("eval", kDescription);
  eval->require_subcommand(1);
  AddLogits(eval, context, chosen);
  AddEmbedding(eval, context, chosen);
  AddTokenize(eval, context, chosen);
  AddDequantize(eval, context, chosen);
  AddPerplexity(eval, context, chosen);
  AddArchitectures(eval, chosen);
  AddTemplate(eval, chosen);
  AddSchema(eval, context, chosen);
}

}  // namespace puna::cli
