// puna export MODEL DIR: an installed model as plain files, a Modelfile among them, which
// `puna import DIR` (or Ollama's create) makes a model of again.
#include <cstdio>

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

// Copies the files under names of their own and makes the model name them.
Status CopyAll(std::vector<fs::path>* paths, const std::string& kind, const fs::path& folder,
               ProgressLines* lines) {
  for (size_t i = 0; i < paths->size(); ++i) {
    const std::string name = fmt::format("{}-{}.gguf", kind, i + 1);
    PUNA_RETURN_IF_ERROR(CopyTo(folder / name, (*paths)[i], lines));
    (*paths)[i] = "./" + name;
  }
  return {};
}

Status Export(const Context& context, const std::string& model, const fs::path& folder) {
  PUNA_ASSIGN_OR_RETURN(const store::ModelName name, store::ModelName::Parse(model));
  const store::Store store(context.settings.models);
  PUNA_ASSIGN_OR_RETURN(store::InstalledModel installed, store.Find(name));
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return ErrnoError(error.value(), folder.string());
  if (!fs::is_empty(folder, error)) {
    return MakeError(ErrorCode::kAlreadyExists, "{} is not empty", folder.string());
  }
  ProgressLines lines;
  if (installed.bundled) {
    PUNA_RETURN_IF_ERROR(WriteTo(folder / "model.gguf", store::BundledModelBytes(), &lines));
  } else {
    PUNA_RETURN_IF_ERROR(CopyTo(folder / "model.gguf", installed.weights, &lines));
  }
  PUNA_RETURN_IF_ERROR(CopyAll(&installed.adapters, "adapter", folder, &lines));
  PUNA_RETURN_IF_ERROR(CopyAll(&installed.projectors, "projector", folder, &lines));
  PUNA_RETURN_IF_ERROR(
      WriteFileAtomically(folder / "Modelfile", store::ModelfileOf(installed, "./model.gguf")));
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
