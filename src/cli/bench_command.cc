// puna bench: tokens per second, below the server.
//
// Every test begins with sequences of `depth` tokens, each user in pages of his own: shared pages
// would stay in the processor's cache and flatter the result. Then it measures either one prompt or
// the steps of a generation, in which all users advance by one token together. Token ids are random
// and nothing is sampled, so the figures are those of the network alone.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>

#include "backend/machine_limits.h"
#include "base/json.h"
#include "cli/bench_replay.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/model_runner.h"
#include "cli/terminal.h"
#include "store/store.h"

namespace puna::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchOptions {
  std::string model;
  std::vector<int64_t> prompts = {512}, generates = {128}, depths = {0}, users = {1, 4, 8};
  int64_t batch = 512;
  int threads = 0;
  int64_t repetitions = 5;
  std::string kv_type = "f16", backend = "cpu", isa;
  bool json = false, machine = false, warm_up = true, weights_in_file = false;
  std::vector<std::string> replay;  // files of a prompt's and an output's token ids
};

struct BenchTest {
  int64_t prompt = 0, generate = 0, depth = 0, users = 1;  // one of the first two is 0
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

class Bench {
 public:
  Bench(ModelRunner* runner, int64_t repetitions, bool warm_up)
      : runner_(runner), repetitions_(repetitions), warm_up_(warm_up) {}

  // Seconds of each repetition, after one that warms up unless that is not wanted.
  Result<std::vector<double>> Measure(const BenchTest& test) {
    model::PageTable base = runner_->NewSequence();
    const std::vector<int32_t> context = RandomTokens(test.depth);
    PUNA_RETURN_IF_ERROR(runner_->Prefill(&base, context));
    std::vector<double> seconds;
    for (int64_t i = warm_up_ ? 0 : 1; i <= repetitions_; ++i) {
      // The warming one need not be whole.
      BenchTest part = test;
      if (i == 0) part.generate = std::min<int64_t>(test.generate, 4);
      PUNA_ASSIGN_OR_RETURN(const double time,
                            test.prompt > 0 ? Prompt(part, base) : Generate(part, base));
      if (i > 0) seconds.push_back(time);
    }
    return seconds;
  }

 private:
  std::vector<int32_t> RandomTokens(int64_t count) {
    std::uniform_int_distribution<int32_t> any(0, static_cast<int32_t>(runner_->vocabulary() - 1));
    std::vector<int32_t> tokens(static_cast<size_t>(count));
    for (int32_t& token : tokens) token = any(random_);
    return tokens;
  }

  Result<double> Prompt(const BenchTest& test, const model::PageTable& base) {
    PUNA_ASSIGN_OR_RETURN(model::PageTable sequence, runner_->Copy(base));
    const std::vector<int32_t> tokens = RandomTokens(test.prompt);
    const auto start = Clock::now();
    PUNA_RETURN_IF_ERROR(runner_->Prefill(&sequence, tokens));
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  Result<double> Generate(const BenchTest& test, const model::PageTable& base) {
    std::vector<model::PageTable> sequences;
    for (int64_t user = 0; user < test.users; ++user) {
      PUNA_ASSIGN_OR_RETURN(model::PageTable sequence, runner_->Copy(base));
      sequences.push_back(std::move(sequence));
    }
    const std::vector<int32_t> tokens = RandomTokens(test.generate * test.users);
    std::vector<ModelRunner::Part> parts(sequences.size());
    const auto start = Clock::now();
    for (int64_t step = 0; step < test.generate; ++step) {
      for (size_t user = 0; user < parts.size(); ++user) {
        parts[user] = {&sequences[user], std::span(tokens).subspan(
                                             static_cast<size_t>(step) * parts.size() + user, 1)};
      }
      PUNA_RETURN_IF_ERROR(runner_->Run(parts, ModelRunner::Outputs::kLast));
    }
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  ModelRunner* runner_;
  int64_t repetitions_;
  bool warm_up_;
  std::mt19937 random_{1};
};

std::vector<BenchTest> TestsOf(const BenchOptions& options) {
  std::vector<BenchTest> tests;
  for (const int64_t depth : options.depths) {
    for (const int64_t prompt : options.prompts) {
      if (prompt > 0) tests.push_back({.prompt = prompt, .depth = depth});
    }
    for (const int64_t generate : options.generates) {
      for (const int64_t users : options.users) {
        if (generate > 0) tests.push_back({.generate = generate, .depth = depth, .users = users});
      }
    }
  }
  return tests;
}

// Room for the context that is copied, and for what each sequence becomes. Half-filled last pages
// count as whole ones.
int64_t TokensOfCache(const std::vector<BenchTest>& tests) {
  int64_t most = 0;
  for (const BenchTest& test : tests) {
    const int64_t one = test.depth + test.prompt + test.generate + backend::kPageTokens;
    most = std::max(most, test.depth + backend::kPageTokens + test.users * one);
  }
  return most;
}

// What one token costs at least, apart from attention. Of experts only those that are used count.
struct TokenWork {
  double prompt_macs =
      0;  // multiply-adds of the layers' matrices: all that most tokens of a prompt need
  double read_bytes = 0;  // weights that generating it reads, with the output matrix
};
TokenWork WorkOf(const gguf::File& file, const model::ModelConfig& config) {
  TokenWork work;
  const bool tied = file.FindTensor("output.weight") == nullptr;
  for (const gguf::Tensor& tensor : file.tensors()) {
    const bool layer = tensor.name.starts_with("blk.");
    const bool embeds = tensor.name.starts_with("token_embd");
    double share = embeds && !tied ? 0 : 1;
    if (layer && tensor.n_dims == 3) {
      const auto used = file.GetInteger(config.architecture + ".expert_used_count");
      if (used && used->has_value())
        share = static_cast<double>(**used) / static_cast<double>(tensor.dims[2]);
    }
    work.read_bytes += share * static_cast<double>(tensor.data.size());
    if (layer && tensor.n_dims >= 2)
      work.prompt_macs += share * static_cast<double>(tensor.elements());
  }
  return work;
}

struct ModelFacts {
  std::string name, type, parameters, kernels;
  int64_t file_bytes = 0;
  double load_s = 0;
  TokenWork work;
};

void PrintRow(const BenchOptions& options, const ModelFacts& facts, const BenchTest& test,
              const std::vector<double>& seconds) {
  const auto tokens =
      static_cast<double>(test.prompt > 0 ? test.prompt : test.generate * test.users);
  const double median = Median(seconds);
  const double slowest = *std::max_element(seconds.begin(), seconds.end());
  const double fastest = *std::min_element(seconds.begin(), seconds.end());
  if (!options.json) {
    const std::string name = test.prompt > 0 ? fmt::format("prompt {}", test.prompt)
                                             : fmt::format("generate {}", test.generate);
    fmt::print("{:<16}{:>8}{:>8}{:>12.2f}{:>14.2f}{:>10.1f}%\n", name, test.depth, test.users,
               tokens / median, tokens / median / static_cast<double>(test.users),
               100 * (slowest - fastest) / median);
    std::fflush(stdout);
    return;
  }
  Json row = {{"test", test.prompt > 0 ? "prompt" : "generate"},
              {"n_prompt", test.prompt},
              {"n_gen", test.generate},
              {"depth", test.depth},
              {"users", test.users},
              {"tokens_per_second", tokens / median},
              {"tokens_per_second_best", tokens / fastest},
              {"tokens_per_second_worst", tokens / slowest},
              {"repetitions", seconds.size()},
              {"model", options.model},
              {"type", facts.type},
              {"parameters", facts.parameters},
              {"file_bytes", facts.file_bytes},
              {"kernels", facts.kernels},
              {"kv_type", options.kv_type},
              {"batch", options.batch},
              {"load_seconds", facts.load_s},
              {"prompt_macs_per_token", facts.work.prompt_macs},
              {"bytes_per_token", facts.work.read_bytes}};
  std::printf("%s\n", DumpJson(row).c_str());
  std::fflush(stdout);
}

backend::BackendOptions BackendOf(const Settings& settings, const BenchOptions& options) {
  return {.name = options.backend,
          .threads = options.threads > 0 ? options.threads : static_cast<int>(settings.threads),
          .isa = options.isa.empty() ? settings.isa : options.isa,
          .cache_folder = settings.cache_dir};
}

Status PrintMachine(const Settings& settings, const BenchOptions& options) {
  PUNA_ASSIGN_OR_RETURN(const backend::MachineLimits limits,
                        backend::MeasureMachine(BackendOf(settings, options)));
  if (options.json) {
    const Json row = {{"test", "machine"},
                      {"isa", limits.isa},
                      {"threads", limits.threads},
                      {"read_gb_per_second", limits.read_gb_s},
                      {"int8_gmac_per_second", limits.int8_gmac_s}};
    std::printf("%s\n", DumpJson(row).c_str());
  } else {
    fmt::print("{}, {} threads: memory is read at {:.1f} GB/s", limits.isa, limits.threads,
               limits.read_gb_s);
    if (limits.int8_gmac_s > 0)
      fmt::print(", int8 multiplied and added {:.0f} G times a second", limits.int8_gmac_s);
    fmt::print("\n");
  }
  return {};
}

Status RunBench(const Settings& settings, const BenchOptions& options) {
  if (options.machine) return PrintMachine(settings, options);
  if (options.model.empty())
    return MakeError(ErrorCode::kInvalidArgument, "bench: no model was named");
  const std::vector<BenchTest> tests = TestsOf(options);
  if (tests.empty()) return MakeError(ErrorCode::kInvalidArgument, "nothing to measure");
  PUNA_ASSIGN_OR_RETURN(const auto file, OpenModelArgument(settings, options.model));
  RunnerOptions runner_options;
  runner_options.backend = BackendOf(settings, options);
  runner_options.share = {settings.num_gpu, static_cast<int>(settings.main_gpu)};
  PUNA_ASSIGN_OR_RETURN(runner_options.kv_type, backend::ParseKvType(options.kv_type));
  if (!options.replay.empty()) {
    PUNA_ASSIGN_OR_RETURN(const auto backend, backend::CreateBackend(runner_options.backend));
    const ReplayOptions replay = {.prompt = options.replay[0],
                                  .output = options.replay[1],
                                  .repetitions = options.repetitions,
                                  .kv_type = runner_options.kv_type,
                                  .json = options.json};
    return RunReplay(replay, file, backend.get());
  }
  runner_options.kv_tokens = TokensOfCache(tests);
  runner_options.max_batch_tokens = options.batch;
  runner_options.weights_in_file = options.weights_in_file;
  runner_options.settle_later = !options.warm_up;  // as in the server, whose start this measures
  for (const BenchTest& test : tests)
    runner_options.max_batch_tokens = std::max(runner_options.max_batch_tokens, test.users);

  const auto start = Clock::now();
  Spinner spinner("loading " + options.model + " ");
  PUNA_ASSIGN_OR_RETURN(const auto runner, ModelRunner::Load(file, runner_options));
  spinner.Stop();
  ModelFacts facts;
  facts.load_s = std::chrono::duration<double>(Clock::now() - start).count();
  facts.type = store::FileTypeName(*file);
  facts.parameters = JsonString(store::ConfigOf(*file), "model_type");
  facts.kernels = runner->Describe();
  facts.file_bytes = static_cast<int64_t>(file->file_bytes());
  facts.work = WorkOf(*file, runner->config());
  if (!options.json) {
    fmt::print("{}: {} {}, {}; {}; cache {}; loaded in {:.1f} s; median of {}\n", options.model,
               facts.parameters, facts.type, HumanBytes(facts.file_bytes), facts.kernels,
               options.kv_type, facts.load_s, options.repetitions);
    fmt::print("{:<16}{:>8}{:>8}{:>12}{:>14}{:>11}\n", "test", "depth", "users", "tokens/s",
               "per user", "spread");
  }
  Bench bench(runner.get(), options.repetitions, options.warm_up);
  for (const BenchTest& test : tests) {
    PUNA_ASSIGN_OR_RETURN(const auto seconds, bench.Measure(test));
    PrintRow(options, facts, test, seconds);
  }
  return {};
}

}  // namespace

void AddBench(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand(
      "bench",
      "Measure tokens per second of a model: prompts, and generation for several users at once");
  auto options = std::make_shared<BenchOptions>();
  const auto list = [&](const char* name, std::vector<int64_t>* field, int64_t least,
                        const char* help) {
    command->add_option(name, *field, help)
        ->delimiter(',')
        ->allow_extra_args(false)  // one word, so that what follows is left for MODEL
        ->check(CLI::Range(least, int64_t{1} << 24))
        ->capture_default_str();
  };
  command->add_option("MODEL", options->model, "GGUF file or installed model");
  list("-p", &options->prompts, 0, "Prompt tokens; 0: no prompt test");
  list("-n", &options->generates, 0, "Generated tokens of each user; 0: no generation test");
  list("-d", &options->depths, 0, "Tokens that are already in the context");
  list("-u", &options->users, 1, "Simultaneous users of the generation");
  command->add_option("-b,--batch", options->batch, "Tokens of one pass of a prompt")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command->add_option("-t,--threads", options->threads, "Compute threads; 0: PUNA_THREADS or all");
  command->add_option("-r,--repetitions", options->repetitions, "Repetitions; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--kv-type", options->kv_type, "Numbers of the key/value cache")
      ->check(CLI::IsMember({"f32", "f16", "q8_0"}))
      ->capture_default_str();
  command->add_option("--backend", options->backend, "cpu, auto, reference, vulkan or vulkan:N")
      ->capture_default_str();
  command->add_option("--isa", options->isa, "Kernels of one instruction set, as PUNA_ISA");
  command->add_flag("--weights-in-file", options->weights_in_file,
                    "Read the weights from the file in each pass, as the server does where a model "
                    "is larger than memory");
  command->add_flag("!--no-warm-up", options->warm_up, "Count the first repetition too");
  command->add_flag("--machine", options->machine,
                    "Measure the machine instead of a model: reading memory, products of int8");
  command
      ->add_option("--replay", options->replay,
                   "Files of token ids, PROMPT OUTPUT: instead of the tests above, how fast that "
                   "output is generated without and with guesses from the prompt")
      ->expected(2);
  command->add_flag("--json", options->json, "One JSON object a line instead of a table");
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] { return RunBench(context.settings, *options); };
  });
}

}  // namespace puna::cli
