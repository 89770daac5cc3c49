// puna export MODEL DIR: an installed model as plain files, a Modelfile among them, which
// `puna import DIR` (or Ollama's create) makes a model of again.
#include <cstdio>
#include <utility>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "store/bundled_model.h"
#include "store/store.h"

namespace puna::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kCopyBytes = 4 << 20;

Status WriteTo(const fs::path& target, std::span<const uint8_t> bytes, ProgressLines* lines) {
  PUNA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(target));
  for (size_t at = 0; at < bytes.size(); at += kCopyBytes) {
    const size_t count = std::min(kCopyBytes, bytes.size() - at);
    PUNA_RETURN_IF_ERROR(file.Write(bytes.subspan(at, count)));
    lines->Show("writing " + target.filename().string(), static_cast<int64_t>(at + count),
                static_cast<int64_t>(bytes.size()));
  }
  return file.Commit();
}

Status CopyTo(const fs::path& target, const fs::path& source, ProgressLines* lines) {
  PUNA_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(source));
  return WriteTo(target, file->bytes(), lines);
}

// A file of a model and its name among the exported ones.
struct ExportedFile {
  fs::path source, name;
};

// What is to be copied. The model names the copies from then on.
std::vector<ExportedFile> NameFiles(store::InstalledModel* model) {
  std::vector<ExportedFile> files;
  const auto name = [&](fs::path* path, const std::string& exported) {
    files.push_back({std::exchange(*path, "./" + exported), exported});
  };
  name(&model->weights, "model.gguf");
  for (size_t i = 0; i < model->adapters.size(); ++i)
    name(&model->adapters[i], fmt::format("adapter-{}.gguf", i + 1));
  for (size_t i = 0; i < model->projectors.size(); ++i)
    name(&model->projectors[i], fmt::format("projector-{}.gguf", i + 1));
  if (!model->draft.empty()) name(&model->draft, "draft.gguf");
  return files;
}

Status Export(const Context& context, const std::string& model, const fs::path& folder) {
  PUNA_ASSIGN_OR_RETURN(const store::ModelName name, store::ModelName::Parse(model));
  const store::Store store(context.settings.models);
  PUNA_ASSIGN_OR_RETURN(store::InstalledModel installed, store.Find(name));
  const bool bundled = installed.bundled;
  const std::vector<ExportedFile> files = NameFiles(&installed);
  PUNA_ASSIGN_OR_RETURN(const std::string modelfile,
                        store::ModelfileOf(installed, installed.weights.string()));
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return ErrnoError(error.value(), folder.string());
  if (!fs::is_empty(folder, error)) {
    return MakeError(ErrorCode::kAlreadyExists, "{} is not empty", folder.string());
  }
  ProgressLines lines;
  for (const ExportedFile& file : files) {
    const bool in_program = bundled && file.name == "model.gguf";
    PUNA_RETURN_IF_ERROR(in_program
                             ? WriteTo(folder / file.name, store::BundledModelBytes(), &lines)
                             : CopyTo(folder / file.name, file.source, &lines));
  }
  PUNA_RETURN_IF_ERROR(WriteFileAtomically(folder / "Modelfile", modelfile));
  lines.EndLine();
  std::printf("exported '%s' to %s\n", model.c_str(), folder.c_str());
  return {};
}

}  // namespace

void AddExport(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand("export", "Write a model as files into a folder");
  auto arguments = std::make_shared<std::pair<std::string, std::string>>();
  command->add_option("MODEL", arguments->first, "The model")->required();
  command->add_option("DIR", arguments->second, "A folder that is empty or does not exist")
      ->required();
  command->callback([&context, arguments, chosen] {
    *chosen = [&context, arguments] {
      return Export(context, arguments->first, arguments->second);
    };
  });
}

}  // namespace puna::cli
