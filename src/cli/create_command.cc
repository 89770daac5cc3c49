// puna create MODEL [-f Modelfile]: from a Modelfile to an installed model.
#include <cstdio>
#include <filesystem>

#include "chat/chat.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/model_files.h"
#include "cli/registry_commands.h"
#include "cli/terminal.h"
#include "store/model_name.h"
#include "store/modelfile.h"
#include "store/quantize.h"

namespace puna::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxModelfileBytes = uint64_t{16} << 20;

struct CreateOptions {
  std::string model, file, quantize, draft_quantize, imatrix;
  bool experimental = false;
};

struct ModelfileText {
  std::string text;
  fs::path folder = ".";  // what its paths are relative to
};

// Names of what this process has open: such a file has a folder, but nobody named it.
bool IsOwnDescriptor(const fs::path& path) {
  return path == "/dev/stdin" || path.parent_path() == "/dev/fd" ||
         path.parent_path() == "/proc/self/fd";
}

// The Modelfile that -f names ("-": standard input; a GGUF file counts as one that says FROM it).
// Paths of one that comes through a pipe or a device are relative to the current folder.
// Without -f: Modelfile in the current folder, else one that says FROM the folder.
Result<ModelfileText> ReadModelfile(const std::string& file) {
  ModelfileText modelfile;
  std::error_code error;
  if (file == "-") {
    PUNA_ASSIGN_OR_RETURN(modelfile.text, ReadStandardInput(kMaxModelfileBytes));
    return modelfile;
  }
  if (file.empty() && !fs::exists("Modelfile", error)) {
    modelfile.text = "FROM .\n";
    return modelfile;
  }
  const fs::path path = file.empty() ? "Modelfile" : ResolvePath(file, "");
  if (fs::is_directory(path, error)) {
    modelfile.folder = path;
    modelfile.text = "FROM .\n";
    return modelfile;
  }
  if (!fs::exists(path, error)) {
    return MakeError(ErrorCode::kNotFound, "specified Modelfile wasn't found: {}", path.string());
  }
  const bool in_folder = fs::is_regular_file(path, error) && !IsOwnDescriptor(path);
  if (in_folder) modelfile.folder = path.parent_path();
  if (in_folder && path.extension() == ".gguf") {
    modelfile.text = "FROM ./" + path.filename().string() + "\n";
  } else {
    PUNA_ASSIGN_OR_RETURN(modelfile.text, ReadInputFile(path, kMaxModelfileBytes));
  }
  return modelfile;
}

// {"file name": digest}
Result<Json> SendFiles(const std::vector<fs::path>& paths, BlobSender* sender) {
  Json files = Json::object();
  const std::vector<std::string> names = NamesInRequest(paths);
  for (size_t i = 0; i < paths.size(); ++i) {
    PUNA_ASSIGN_OR_RETURN(files[names[i]], sender->Send(paths[i]));
  }
  return files;
}

// What the Modelfile says beside FROM and ADAPTER.
void AddFields(const store::Modelfile& modelfile, Json* request) {
  const auto set = [&](const char* key, const std::string& value) {
    if (!value.empty()) (*request)[key] = value;
  };
  set("template", modelfile.template_text);
  set("system", modelfile.system);
  set("renderer", modelfile.renderer);
  set("parser", modelfile.parser);
  set("requires", modelfile.requires_version);
  if (!modelfile.licenses.empty()) (*request)["license"] = modelfile.licenses;
  if (!modelfile.parameters.empty()) (*request)["parameters"] = modelfile.parameters;
  Json messages = Json::array();
  for (const store::ModelfileMessage& message : modelfile.messages)
    messages.push_back({{"role", message.role}, {"content", message.content}});
  if (!messages.empty()) (*request)["messages"] = std::move(messages);
}

// What would only be found out after gigabytes were hashed or sent.
Status CheckOptions(const CreateOptions& options, const store::Modelfile& modelfile) {
  PUNA_RETURN_IF_ERROR(store::ModelName::Parse(options.model));
  PUNA_RETURN_IF_ERROR(
      chat::CheckPromptParts(modelfile.renderer, modelfile.parser, modelfile.template_text));
  for (const std::string& type : {options.quantize, options.draft_quantize}) {
    if (!type.empty()) PUNA_RETURN_IF_ERROR(store::FindWritableFileType(type));
  }
  if (!options.draft_quantize.empty() && modelfile.draft.empty())
    return MakeError(ErrorCode::kInvalidArgument, "--draft-quantize requires a DRAFT model");
  if (options.imatrix.empty()) return {};
  if (options.quantize.empty())
    return MakeError(ErrorCode::kInvalidArgument, "--imatrix requires --quantize");
  return store::ReadImatrix(options.imatrix).map([](const store::Imatrix&) {});
}

Status Create(const Context& context, const CreateOptions& options) {
  PUNA_ASSIGN_OR_RETURN(const ModelfileText text, ReadModelfile(options.file));
  PUNA_ASSIGN_OR_RETURN(const store::Modelfile modelfile, store::ParseModelfile(text.text));
  for (const std::string& warning : modelfile.warnings)
    std::fprintf(stderr, "Warning: %s\n", warning.c_str());
  if (options.experimental)
    std::fprintf(stderr, "Warning: --experimental changes nothing; models become GGUF\n");
  PUNA_RETURN_IF_ERROR(CheckOptions(options, modelfile));
  PUNA_ASSIGN_OR_RETURN(const ModelSources sources, FindSources(modelfile, text.folder));

  const ApiClient client(context.settings);
  ProgressLines progress;
  BlobSender sender(context.settings, client, &progress);
  Json request = {{"model", options.model}};
  if (!sources.from.empty()) {
    request["from"] = sources.from;
  } else {
    PUNA_ASSIGN_OR_RETURN(request["files"], SendFiles(sources.files, &sender));
  }
  if (!sources.adapters.empty()) {
    PUNA_ASSIGN_OR_RETURN(request["adapters"], SendFiles(sources.adapters, &sender));
  }
  if (!sources.draft.empty()) {
    PUNA_ASSIGN_OR_RETURN(request["draft_files"], SendFiles(sources.draft, &sender));
  }
  if (!options.quantize.empty()) request["quantize"] = options.quantize;
  if (!options.draft_quantize.empty()) request["draft_quantize"] = options.draft_quantize;
  if (!options.imatrix.empty()) {
    PUNA_ASSIGN_OR_RETURN(request["imatrix"], SendFiles({options.imatrix}, &sender));
  }
  AddFields(modelfile, &request);
  return PostWithProgress(client, "/api/create", request, &progress);
}

}  // namespace

Status ImportModel(const Context& context, const std::string& path, const std::string& name) {
  const fs::path source = ResolvePath(path, "");
  std::error_code error;
  CreateOptions options;
  const fs::path whole = fs::absolute(source, error).lexically_normal();
  const fs::path named = whole.has_filename() ? whole : whole.parent_path();
  options.model = name.empty() ? store::ModelNameOfFile(named) : name;
  if (fs::is_directory(source, error)) {
    const fs::path modelfile = source / "Modelfile";
    options.file = fs::exists(modelfile, error) ? modelfile.string() : source.string();
  } else if (fs::is_regular_file(source, error)) {
    options.file = source.string();
  } else if (fs::exists(source, error)) {
    return MakeError(ErrorCode::kInvalidArgument, "{} is neither a regular file nor a folder",
                     source.string());
  } else {
    return MakeError(ErrorCode::kNotFound, "there is no file or folder {}", source.string());
  }
  PUNA_RETURN_IF_ERROR(Create(context, options));
  std::printf("imported '%s'\n", options.model.c_str());
  return {};
}

void AddImport(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand(
      "import", "Make a model of a GGUF file, or of a folder that puna export wrote");
  auto arguments = std::make_shared<std::pair<std::string, std::string>>();
  command->add_option("PATH", arguments->first, "The file or folder")->required();
  command->add_option("NAME", arguments->second, "Of the model; else that of the file");
  command->callback([&context, arguments, chosen] {
    *chosen = [&context, arguments] {
      return ImportModel(context, arguments->first, arguments->second);
    };
  });
}

void AddCreate(CLI::App& app, Context& context, Action* chosen) {
  CLI::App* command = app.add_subcommand(
      "create", "Create a model from a Modelfile, another model, GGUF files or safetensors");
  auto options = std::make_shared<CreateOptions>();
  command->add_option("MODEL", options->model, "Name of the new model")->required();
  command->add_option("-f,--file", options->file,
                      "Modelfile (default: Modelfile, else FROM .), a GGUF file, or - for standard "
                      "input");
  command->add_option("-q,--quantize", options->quantize, "Type to convert the weights to");
  command->add_option("--imatrix", options->imatrix,
                      "With --quantize: importance matrix (puna imatrix makes one): errors count "
                      "by how much meets them");
  command->add_option("--draft-quantize", options->draft_quantize,
                      "Type to convert the DRAFT model to");
  command->add_flag("--experimental", options->experimental,
                    "Changes nothing: safetensors, which Ollama then keeps as they are for MLX, "
                    "become GGUF");
  command->callback([&context, options, chosen] {
    *chosen = [&context, options] { return Create(context, *options); };
  });
}

}  // namespace puna::cli
