// puna imatrix MODEL TEXT: measures which input columns of a model's weights matter on a text, for
// `puna quantize --imatrix`. Needs no server.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "backend/input_observer.h"
#include "cli/commands.h"
#include "cli/model_runner.h"
#include "cli/output_file.h"
#include "cli/terminal.h"
#include "cli/text_windows.h"
#include "store/imatrix.h"
#include "tokenizer/tokenizer.h"

namespace puna::cli {
namespace {

struct ImatrixCommand {
  std::string model, text, out = "imatrix.gguf";
  int64_t context = 512, max_windows = 0;
  int threads = 0;
  bool process_output = false;
};

// Adds up the squares of what meets each column of the watched weights.
class SquareSums final : public backend::InputObserver {
 public:
  // The tensors that llama.cpp measures: those of the layers, and the output matrix if asked for.
  // Of a tensor whose rows are several weights, one of them sees all the input. Tensors that a plan
  // cuts up otherwise are left out.
  void Watch(const backend::Plan& plan, const gguf::File& file, bool output) {
    sums_.resize(plan.weights.size());
    for (size_t i = 0; i < plan.weights.size(); ++i) {
      const backend::Weight& weight = plan.weights[i];
      const gguf::Tensor* tensor = file.FindTensor(weight.name);
      const bool wanted =
          weight.name.starts_with("blk.") || (output && weight.name == "output.weight");
      if (!wanted || tensor == nullptr || weight.first_row != 0 || tensor->dims[0] != weight.cols ||
          tensor->dims[2] != weight.experts) {
        continue;
      }
      sums_[i].name = weight.name;
      sums_[i].squares.resize(static_cast<size_t>(weight.experts * weight.cols));
      sums_[i].counts.resize(static_cast<size_t>(weight.experts));
    }
  }

  void Observe(backend::WeightId weight, int64_t expert,
               const backend::ObservedRows& rows) override {
    Sums& sums = sums_[static_cast<size_t>(weight)];
    if (sums.name.empty()) return;
    sums.counts[static_cast<size_t>(expert)] += static_cast<double>(rows.count);
    double* squares = sums.squares.data() + expert * rows.width;
    for (int64_t row = 0; row < rows.count; ++row) {
      const float* values = rows.values + row * rows.stride;
      for (int64_t i = 0; i < rows.width; ++i) {
        const double value = static_cast<double>(values[i]) * rows.scale;
        squares[i] += value * value;
      }
    }
  }

  // Weights that never met anything (norms, tables) have no entry.
  void AddTo(store::Imatrix* matrix) const {
    for (const Sums& sums : sums_) {
      if (std::all_of(sums.counts.begin(), sums.counts.end(), [](double n) { return n == 0; }))
        continue;
      matrix->entries[sums.name] = {{sums.squares.begin(), sums.squares.end()},
                                    {sums.counts.begin(), sums.counts.end()}};
    }
  }

 private:
  struct Sums {
    std::string name;  // empty: not watched
    std::vector<double> squares, counts;
  };
  std::vector<Sums> sums_;  // by weight
};

void WarnOfUnused(const store::Imatrix& matrix) {
  for (const auto& [name, entry] : matrix.entries) {
    const auto unused = std::count(entry.counts.begin(), entry.counts.end(), 0.0f);
    if (unused == 0) continue;
    std::fprintf(stderr, "Warning: the text used %zu of the %zu experts of %s\n",
                 entry.counts.size() - static_cast<size_t>(unused), entry.counts.size(),
                 name.c_str());
  }
}

Status Run(const Settings& settings, const ImatrixCommand& command) {
  PUNA_ASSIGN_OR_RETURN(const auto file, OpenModelArgument(settings, command.model));
  PUNA_RETURN_IF_ERROR(CheckOutput(command.out, InputFiles().Add(*file).Add(command.text)));
  PUNA_ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::Tokenizer::FromGguf(*file));
  PUNA_ASSIGN_OR_RETURN(const TextWindows windows,
                        CutText(*tokenizer, command.text, command.context, command.max_windows));
  SquareSums sums;
  RunnerOptions options;
  options.backend = {
      .threads = command.threads > 0 ? command.threads : static_cast<int>(settings.threads),
      .isa = settings.isa};
  options.context_tokens = options.kv_tokens = static_cast<int64_t>(windows.tokens);
  options.observer = &sums;
  PUNA_ASSIGN_OR_RETURN(const auto runner, ModelRunner::Load(file, options));
  sums.Watch(runner->plan(), *file, command.process_output);

  const InterruptScope interrupt;
  ProgressLines progress;
  LossSum losses;
  const auto total = static_cast<int64_t>(windows.count * windows.tokens);
  for (size_t i = 0; i < windows.count && !interrupt.interrupted(); ++i) {
    progress.Show("reading " + command.text, static_cast<int64_t>(i * windows.tokens), total,
                  AmountUnit::kTokens);
    PUNA_RETURN_IF_ERROR(ReadWindow(runner.get(), windows.At(i), options.max_batch_tokens,
                                    /*all_outputs=*/true, &losses));
  }
  if (interrupt.interrupted()) return MakeError(ErrorCode::kCancelled, "interrupted");
  progress.Show("reading " + command.text, total, total, AmountUnit::kTokens);
  progress.EndLine();

  store::Imatrix matrix;
  sums.AddTo(&matrix);
  matrix.datasets = {command.text};
  matrix.chunks = static_cast<uint32_t>(windows.count);
  matrix.chunk_tokens = static_cast<uint32_t>(windows.tokens);
  WarnOfUnused(matrix);
  PUNA_RETURN_IF_ERROR(store::WriteImatrix(matrix, command.out));
  std::printf("wrote %s: %zu tensors, %zu windows of %zu tokens, perplexity %.4f +/- %.4f\n",
              command.out.c_str(), matrix.entries.size(), windows.count, windows.tokens,
              losses.perplexity(), losses.error());
  return {};
}

}  // namespace

void AddImatrix(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand(
      "imatrix",
      "Measure on a text which weights of a model matter, for puna quantize --imatrix; no server "
      "is needed");
  auto options = std::make_shared<ImatrixCommand>();
  command->add_option("MODEL", options->model, "GGUF file or installed model")->required();
  command->add_option("TEXT", options->text, "Text file, of the kind that the model is for")
      ->required();
  command->add_option("-o,--output", options->out, "The file to write")->capture_default_str();
  command->add_option("--ctx", options->context, "Tokens of a window")
      ->check(CLI::Range(4, 1 << 20))
      ->capture_default_str();
  command->add_option("--windows", options->max_windows, "At most so many windows; 0: all");
  command->add_option("-t,--threads", options->threads, "Compute threads; 0: PUNA_THREADS or all");
  command->add_flag("--process-output", options->process_output, "Measure the output matrix too");
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] { return Run(context.settings, *options); };
  });
}

}  // namespace puna::cli
