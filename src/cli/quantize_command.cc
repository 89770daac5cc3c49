// puna quantize IN OUT TYPE: a model file with other tensor types. Needs no server.
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "cli/commands.h"
#include "cli/human.h"
#include "cli/output_file.h"
#include "cli/terminal.h"
#include "store/quantize.h"
#include "store/store.h"

namespace puna::cli {
namespace {

namespace fs = std::filesystem;

struct QuantizeCommand {
  std::string in, out, type;
  store::QuantizeOptions options;
  std::string imatrix;
  bool dry_run = false;
};

std::string DimsOf(const gguf::Tensor& tensor) {
  std::string text;
  for (int i = 0; i < tensor.n_dims; ++i)
    text += fmt::format("{}{}", i > 0 ? "x" : "", tensor.dims[static_cast<size_t>(i)]);
  return text;
}

Status PrintPlan(const gguf::File& file, const store::FileType& type,
                 const store::QuantizeOptions& options) {
  PUNA_ASSIGN_OR_RETURN(const auto types, store::PlanQuantization(file, type, options));
  int64_t before = 0, after = 0;
  for (size_t i = 0; i < types.size(); ++i) {
    const gguf::Tensor& tensor = file.tensors()[i];
    before += quant::BytesFor(tensor.type, tensor.elements());
    after += quant::BytesFor(types[i], tensor.elements());
    std::printf("%s\t%s\t%s\t%s\n", std::string(tensor.name).c_str(), DimsOf(tensor).c_str(),
                std::string(quant::TraitsOf(tensor.type).name).c_str(),
                std::string(quant::TraitsOf(types[i]).name).c_str());
  }
  std::fprintf(stderr, "%s would become %s\n", HumanBytes(before).c_str(),
               HumanBytes(after).c_str());
  return {};
}

Status Run(QuantizeCommand command) {
  store::Imatrix imatrix;
  if (!command.imatrix.empty()) {
    PUNA_ASSIGN_OR_RETURN(imatrix, store::ReadImatrix(command.imatrix));
    command.options.imatrix = &imatrix;
    command.options.imatrix_file = command.imatrix;
  }
  PUNA_ASSIGN_OR_RETURN(const store::FileType* type, store::FindWritableFileType(command.type));
  PUNA_ASSIGN_OR_RETURN(const auto file, gguf::File::Open(command.in));
  if (command.dry_run) return PrintPlan(*file, *type, command.options);
  PUNA_RETURN_IF_ERROR(CheckOutput(command.out, InputFiles().Add(*file).Add(command.imatrix)));

  const auto started = std::chrono::steady_clock::now();
  ProgressLines progress;
  const InterruptScope interrupt;
  const std::string status =
      fmt::format("quantizing {} model to {}", store::FileTypeName(*file), type->name);
  PUNA_ASSIGN_OR_RETURN(AtomicFile out, AtomicFile::Create(command.out));
  PUNA_RETURN_IF_ERROR(store::Quantize(
      *file, type, command.options,
      [&](uint64_t done, uint64_t total) {
        progress.Show(status, static_cast<int64_t>(done), static_cast<int64_t>(total));
        return !interrupt.interrupted();
      },
      &out));
  PUNA_RETURN_IF_ERROR(out.Commit());
  progress.EndLine();
  std::error_code error;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::printf("wrote %s: %s, %s from %s, in %.1f s\n", command.out.c_str(),
              std::string(type->name).c_str(),
              HumanBytes(static_cast<int64_t>(fs::file_size(command.out, error))).c_str(),
              HumanBytes(static_cast<int64_t>(file->file_bytes())).c_str(), seconds);
  return {};
}

}  // namespace

void AddQuantize(CLI::App& app, Context&, Action* chosen) {
  CLI::App* command = app.add_subcommand(
      "quantize", "Write a GGUF file with other tensor types; no server is needed");
  auto options = std::make_shared<QuantizeCommand>();
  command->add_option("IN", options->in, "The GGUF file, or one part of a split one")->required();
  command->add_option("OUT", options->out, "The file to write")->required();
  command->add_option("TYPE", options->type, "One of " + store::WritableFileTypes())->required();
  command->add_option("-t,--threads", options->options.threads, "Threads; 0: one per core")
      ->check(CLI::Range(0, 1024));
  command->add_option("--imatrix", options->imatrix,
                      "Importance matrix (puna imatrix makes one): errors count by how much "
                      "meets them");
  command->add_flag("--allow-requantize", options->options.allow_requantize,
                    "Also from types that are quantized already; their errors add up");
  command->add_flag("--dry-run", options->dry_run,
                    "Only print each tensor with its size, its type and the new one");
  command->callback([options, chosen] { *chosen = [options] { return Run(*options); }; });
}

}  // namespace puna::cli
