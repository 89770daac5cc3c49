// Logits are written pass by pass: a vocabulary of 150,000 and a context of 32,000 tokens would be
// 20 GB at once. That is why these tools sit on ModelRunner and not on Engine::Evaluate.
#include "cli/eval_tools.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "base/json.h"
#include "chat/chat.h"
#include "cli/model_runner.h"
#include "cli/output_file.h"
#include "cli/terminal.h"
#include "cli/text_windows.h"
#include "engine/engine.h"
#include "gguf/gguf.h"
#include "grammar/grammar.h"
#include "tokenizer/tokenizer.h"

namespace puna::cli {
namespace {

// A GGUF stores a value of a row of at most this many at once when it is decoded.
constexpr int64_t kDecodeChunkValues = int64_t{1} << 20;

Result<RunnerOptions> RunnerOptionsOf(const Settings& settings, const EvalModelOptions& options) {
  RunnerOptions runner;
  runner.backend = {
      .name = options.backend,
      .threads = options.threads > 0 ? options.threads : static_cast<int>(settings.threads),
      .isa = settings.isa,
      .cache_folder = settings.cache_dir};
  runner.share = {settings.num_gpu, static_cast<int>(settings.main_gpu)};
  PUNA_ASSIGN_OR_RETURN(runner.kv_type, backend::ParseKvType(options.kv_type));
  runner.max_batch_tokens = std::max<int64_t>(1, options.chunk);
  return runner;
}

// "FILE" or "FILE=SCALE", by which the adapter counts. Joins `inputs`.
Status ApplyAdapter(const std::string& argument, ModelRunner* runner, InputFiles* inputs) {
  std::string path = argument;
  float scale = 1;
  std::error_code error;
  const size_t equals = argument.rfind('=');
  if (equals != std::string::npos && !std::filesystem::exists(argument, error)) {
    path = argument.substr(0, equals);
    const char* const begin = argument.data() + equals + 1;
    const char* const end = argument.data() + argument.size();
    const auto [stop, code] = std::from_chars(begin, end, scale);
    if (code != std::errc() || stop != end || !std::isfinite(scale)) {
      return MakeError(ErrorCode::kInvalidArgument, "\"{}\" is no scale of an adapter",
                       argument.substr(equals + 1));
    }
  }
  inputs->Add(path);
  PUNA_ASSIGN_OR_RETURN(const auto file, gguf::File::Open(path));
  if (Status status = runner->ApplyAdapter(*file, scale); !status)
    return WithContext(std::move(status).error(), path);
  return {};
}

}  // namespace

Result<std::vector<int32_t>> ParseTokenIds(std::string_view text) {
  std::vector<int32_t> ids;
  const auto is_space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  for (auto at = text.begin(); at != text.end();) {
    at = std::find_if_not(at, text.end(), is_space);
    const auto end = std::find_if(at, text.end(), is_space);
    if (at == end) break;
    int32_t id = 0;
    const auto [stop, code] = std::from_chars(&*at, &*at + (end - at), id);
    if (code != std::errc() || stop != &*at + (end - at)) {
      return MakeError(ErrorCode::kInvalidArgument, "\"{}\" is not a token id",
                       std::string(at, end));
    }
    ids.push_back(id);
    at = end;
  }
  return ids;
}

Result<std::vector<int32_t>> ReadTokenIds(const std::string& path) {
  PUNA_ASSIGN_OR_RETURN(const std::string text, ReadInputFile(path));
  auto ids = ParseTokenIds(text);
  if (!ids) return WithContext(std::move(ids).error(), path);
  if (ids->empty()) return MakeError(ErrorCode::kInvalidArgument, "{} has no token ids", path);
  return ids;
}

Status EvalLogits(const Settings& settings, const EvalLogitsOptions& options) {
  PUNA_ASSIGN_OR_RETURN(const auto ids, ReadTokenIds(options.tokens_file));
  PUNA_ASSIGN_OR_RETURN(const auto file, OpenModelArgument(settings, options.model.model));
  PUNA_ASSIGN_OR_RETURN(RunnerOptions runner_options, RunnerOptionsOf(settings, options.model));
  runner_options.kv_tokens = static_cast<int64_t>(ids.size());
  PUNA_ASSIGN_OR_RETURN(const auto runner, ModelRunner::Load(file, runner_options));
  PUNA_RETURN_IF_ERROR(runner->CheckTokens(ids));
  InputFiles inputs;
  inputs.Add(*file).Add(options.tokens_file);
  for (const std::string& adapter : options.adapters)
    PUNA_RETURN_IF_ERROR(ApplyAdapter(adapter, runner.get(), &inputs));
  PUNA_ASSIGN_OR_RETURN(OutputFile out, OutputFile::Create(options.out, inputs));
  model::PageTable sequence = runner->NewSequence();
  // As llama.cpp's recorder does: the decoder goes over the same tokens again.
  if (runner->config().encoder) PUNA_RETURN_IF_ERROR(runner->Encode(&sequence, ids));
  const size_t chunk = model::SeesAhead(runner->config())
                           ? ids.size()
                           : static_cast<size_t>(runner_options.max_batch_tokens);
  for (size_t at = 0; at < ids.size(); at += chunk) {
    const ModelRunner::Part part{&sequence,
                                 std::span(ids).subspan(at, std::min(chunk, ids.size() - at))};
    PUNA_ASSIGN_OR_RETURN(const auto logits, runner->Run({&part, 1}, ModelRunner::Outputs::kAll));
    PUNA_RETURN_IF_ERROR(out.Write(logits));
  }
  return out.Finish();
}

Status EvalEmbedding(const Settings& settings, const EvalLogitsOptions& options) {
  PUNA_ASSIGN_OR_RETURN(const auto ids, ReadTokenIds(options.tokens_file));
  PUNA_ASSIGN_OR_RETURN(const auto file, OpenModelArgument(settings, options.model.model));
  PUNA_ASSIGN_OR_RETURN(const RunnerOptions runner, RunnerOptionsOf(settings, options.model));
  PUNA_ASSIGN_OR_RETURN(const auto backend, backend::CreateBackend(runner.backend));
  PUNA_ASSIGN_OR_RETURN(const auto engine,
                        engine::Engine::Load(file, backend.get(),
                                             {.kv_type = runner.kv_type,
                                              .max_batch_tokens = static_cast<int64_t>(ids.size()),
                                              .embeddings = true}));
  PUNA_ASSIGN_OR_RETURN(const auto vectors, engine->Embed({&ids, 1}));
  PUNA_ASSIGN_OR_RETURN(
      OutputFile out,
      OutputFile::Create(options.out, InputFiles().Add(*file).Add(options.tokens_file)));
  PUNA_RETURN_IF_ERROR(out.Write(std::span<const float>(vectors[0])));
  return out.Finish();
}

Status EvalPerplexity(const Settings& settings, const EvalPerplexityOptions& options) {
  if (options.context < 4) {
    return MakeError(ErrorCode::kInvalidArgument, "--ctx is {}, it must be at least 4",
                     options.context);
  }
  PUNA_ASSIGN_OR_RETURN(const auto file, OpenModelArgument(settings, options.model.model));
  PUNA_ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::Tokenizer::FromGguf(*file));
  PUNA_ASSIGN_OR_RETURN(const TextWindows windows, CutText(*tokenizer, options.text_file,
                                                           options.context, options.max_windows));
  PUNA_ASSIGN_OR_RETURN(RunnerOptions runner_options, RunnerOptionsOf(settings, options.model));
  runner_options.context_tokens = static_cast<int64_t>(windows.tokens);
  runner_options.kv_tokens = static_cast<int64_t>(windows.tokens);
  PUNA_ASSIGN_OR_RETURN(const auto runner, ModelRunner::Load(file, runner_options));
  LossSum losses;
  for (size_t i = 0; i < windows.count; ++i) {
    PUNA_RETURN_IF_ERROR(ReadWindow(runner.get(), windows.At(i), runner_options.max_batch_tokens,
                                    /*all_outputs=*/false, &losses));
    if (StderrIsTerminal()) {
      std::fprintf(stderr, "\r%zu/%zu %.4f", i + 1, windows.count, losses.perplexity());
      if (i + 1 == windows.count) std::fprintf(stderr, "\n");
    }
  }
  std::printf("perplexity %.6f +/- %.6f, tokens %lld, windows %zu of %zu tokens\n",
              losses.perplexity(), losses.error(), static_cast<long long>(losses.count),
              windows.count, windows.tokens);
  return {};
}

Status EvalTokenize(const Settings& settings, const std::string& model, bool special) {
  PUNA_ASSIGN_OR_RETURN(const auto file, OpenModelArgument(settings, model));
  PUNA_ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::Tokenizer::FromGguf(*file));
  PUNA_ASSIGN_OR_RETURN(const std::string text, ReadStandardInput());
  std::vector<int32_t> ids;
  tokenizer->Encode(text, {.parse_special = special}, &ids);
  std::string line;
  for (const int32_t id : ids) line += fmt::format("{}{}", line.empty() ? "" : " ", id);
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stdout);
  return {};
}

Status EvalDequantize(const Settings& settings, const std::string& model,
                      const std::string& tensor_name, const std::string& path) {
  PUNA_ASSIGN_OR_RETURN(const auto file, OpenModelArgument(settings, model));
  const gguf::Tensor* tensor = file->FindTensor(tensor_name);
  if (tensor == nullptr) {
    return MakeError(ErrorCode::kNotFound, "{} has no tensor '{}'", model, tensor_name);
  }
  const quant::TypeTraits& traits = quant::TraitsOf(tensor->type);
  if (traits.decode == nullptr) {
    return MakeError(ErrorCode::kUnsupported, "tensor '{}' has type {}, which is no weight type",
                     tensor_name, traits.name);
  }
  PUNA_ASSIGN_OR_RETURN(OutputFile out, OutputFile::Create(path, InputFiles().Add(*file)));
  const int64_t chunk = kDecodeChunkValues / traits.block_elements * traits.block_elements;
  std::vector<float> values;
  for (int64_t at = 0; at < tensor->elements(); at += chunk) {
    const int64_t count = std::min(chunk, tensor->elements() - at);
    values.resize(static_cast<size_t>(count));
    traits.decode(tensor->data.data() + quant::BytesFor(tensor->type, at), count, values.data());
    PUNA_RETURN_IF_ERROR(out.Write(std::span<const float>(values)));
  }
  return out.Finish();
}

Status EvalArchitectures(bool markdown) {
  if (markdown) {
    std::fputs(
        "# Architectures that run\n\n"
        "`general.architecture` of a GGUF file says what network it holds. These have a spec in "
        "`src/model/arch/`; any other\n"
        "is refused with an error that names it. Tiny random models of most of them, with the "
        "outputs that llama.cpp computes\n"
        "in float32, are among the tests: the reference backend agrees with a normalized mean "
        "squared error below 1e-9, the\n"
        "cpu backend below 1e-7. This page is what `puna eval architectures --markdown` prints.\n\n"
        "| models | `general.architecture` |\n|---|---|\n",
        stdout);
  }
  for (const model::Architecture& architecture : model::SupportedArchitectures()) {
    std::fputs((markdown ? fmt::format("| {} | `{}` |\n", architecture.family, architecture.name)
                         : fmt::format("{:<20} {}\n", architecture.name, architecture.family))
                   .c_str(),
               stdout);
  }
  return {};
}

Status EvalTemplate(const std::string& jinja_file, const std::string& go_file) {
  PUNA_ASSIGN_OR_RETURN(const std::string source,
                        ReadInputFile(jinja_file.empty() ? go_file : jinja_file));
  PUNA_ASSIGN_OR_RETURN(const std::string input, ReadStandardInput());
  const Json variables = ParseJson(input);
  if (!variables.is_object()) {
    return MakeError(ErrorCode::kInvalidArgument, "standard input is not a JSON object");
  }
  PUNA_ASSIGN_OR_RETURN(const std::string text, jinja_file.empty()
                                                    ? chat::RenderGo(source, variables)
                                                    : chat::RenderJinja(source, variables));
  std::fwrite(text.data(), 1, text.size(), stdout);
  return {};
}

Result<bool> EvalSchema(const std::string& schema_file) {
  PUNA_ASSIGN_OR_RETURN(const std::string source, ReadInputFile(schema_file));
  Json schema = ParseJson(source);
  if (schema.is_discarded())
    return MakeError(ErrorCode::kInvalidArgument, "{} is not JSON", schema_file);
  const grammar::Part part =
      grammar::Part::Schema(std::move(schema), grammar::SchemaReading::kExact);
  PUNA_ASSIGN_OR_RETURN(const auto compiled, grammar::Grammar::Compile(part));
  PUNA_ASSIGN_OR_RETURN(const std::string instance, ReadStandardInput());
  return compiled->AcceptsJson(instance);
}

}  // namespace puna::cli
