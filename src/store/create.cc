// /api/create: a manifest from an installed model, or from uploaded GGUF files, with new small
// layers on top. Large layers are only rewritten to quantize them: else a GGUF keeps the digest
// that its file had, so that importing costs no second copy.
#include <algorithm>

#include "base/log.h"
#include "gguf/gguf_parts.h"
#include "store/bundled_model.h"
#include "store/convert/convert.h"
#include "store/convert/peft_adapter.h"
#include "store/file_groups.h"
#include "store/hash_file.h"
#include "store/manifest.h"
#include "store/progress_pace.h"
#include "store/quantize.h"
#include "store/store.h"

namespace puna::store {

namespace fs = std::filesystem;

namespace {

// What a GGUF file says that it is for.
Result<std::string_view> MediaTypeOf(const std::string& name, const gguf::File& file) {
  PUNA_ASSIGN_OR_RETURN(const auto general_type, file.GetString("general.type"));
  PUNA_ASSIGN_OR_RETURN(const auto architecture, file.GetString("general.architecture"));
  const std::string_view type = general_type.value_or("model");
  if (type == "adapter") return kAdapterType;
  if (type == "projector" || type == "mmproj" || architecture.value_or("") == "clip")
    return kProjectorType;
  if (architecture) return kModelType;
  return MakeError(ErrorCode::kInvalidArgument, "file \"{}\": general.architecture is missing",
                   name);
}

// Errors about a folder's files begin with the folder, where the request has several.
Result<Layer> InFolderOf(const FileGroup& group, Result<Layer> layer) {
  if (layer || group.folder.empty()) return layer;
  return WithContext(std::move(layer).error(), group.folder);
}

}  // namespace

// One run of Store::Create.
class Creation {
 public:
  Creation(Store* store, const CreateRequest& request, const ProgressFunction& progress,
           const FetchFunction& fetch)
      : store_(store), request_(request), progress_(progress), fetch_(fetch) {}

  Status Run();

 private:
  Status Report(const std::string& status) { return Say(progress_, status); }
  // The model that the request starts from, fetched if it is not here.
  Result<InstalledModel> FindBase();
  Status StartFromModel();
  Status StartFromFiles();
  // The layer of uploaded files; `config` describes it if it holds a model. One that is not one
  // GGUF file becomes one, with the types of `type` (null: those it has).
  Result<Layer> ReadGroup(const FileGroup& group, const FileType* type,
                          const QuantizeOptions& options, Json* config);
  Result<Layer> ReadGguf(const UploadedFile& uploaded, Json* config);
  Result<Layer> ConvertSafetensors(const FileGroup& group, const FileType* type,
                                   const QuantizeOptions& options, Json* config);
  Result<Layer> MergeParts(const FileGroup& group, const FileType* type,
                           const QuantizeOptions& options, Json* config);
  // The same of parts that are open.
  Result<Layer> WriteMerged(const gguf::File& file, int64_t parts, const FileType* type,
                            const QuantizeOptions& options, std::string_view media_type);
  Result<Layer> ConvertPeft(const FileGroup& group);
  Result<std::vector<FileGroup>> GroupsOf(
      const std::vector<std::pair<std::string, std::string>>& files);
  // Where an uploaded file lies, once its name and its digest have been checked.
  Result<UploadedFile> FindUploaded(const std::string& name, const std::string& digest);
  Result<Layer*> WeightsLayer();
  // True if the layer had to be written anew.
  Result<bool> QuantizeLayer(const FileType& type, const QuantizeOptions& options, Layer* layer);
  Result<Layer> AddWrittenFile(AtomicFile file, std::string_view media_type);
  Status ReadImportance();
  WriteProgress ReportBytes(std::string status);
  Status AddAdapters();
  Status AddDraft();
  Status AddSmallLayers();
  Status AddLayer(std::string_view content, std::string_view media_type);
  Status WriteManifest();
  // The blob of a model that is not in the store, made when somebody builds on it.
  Result<Layer> ImportWeights(const InstalledModel& base);

  Store* store_;
  const FileType* type_ = nullptr;  // that the weights shall have; null: the one they have
  Imatrix imatrix_;
  QuantizeOptions options_;  // of the weights, not of a draft model
  const CreateRequest& request_;
  const ProgressFunction& progress_;
  const FetchFunction& fetch_;
  BlobPins* pins_ = nullptr;  // of everything that the manifest will name
  Manifest manifest_;
  Json config_ = Json::object();
  Json parameters_ = Json::object();
};

Result<Layer> Creation::ImportWeights(const InstalledModel& base) {
  if (base.bundled) {
    const auto bytes = BundledModelBytes();
    const std::string_view content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return store_->AddBlob(content, kModelType, pins_);
  }
  PUNA_ASSIGN_OR_RETURN(const auto file, gguf::File::Open(base.weights));
  PUNA_ASSIGN_OR_RETURN(const auto parts, file->GetInteger("split.count"));
  if (parts.value_or(1) > 1) return WriteMerged(*file, *parts, nullptr, {}, kModelType);
  Layer layer;
  layer.media_type = kModelType;
  layer.size_bytes = static_cast<int64_t>(file->file_bytes());
  PUNA_ASSIGN_OR_RETURN(layer.digest, store_->ImportFile(base.weights, pins_, progress_));
  return layer;
}

Result<InstalledModel> Creation::FindBase() {
  PUNA_ASSIGN_OR_RETURN(const ModelName name, ModelName::Parse(request_.from));
  auto found = store_->Find(name);
  if (found || found.error().code != ErrorCode::kNotFound || !fetch_) return found;
  if (const Status fetched = fetch_(name, progress_); !fetched) {
    return WithContext(
        fetched.error(),
        fmt::format("FROM {}: neither an installed model nor one to be pulled", request_.from));
  }
  return store_->Find(name);
}

Status Creation::StartFromModel() {
  PUNA_ASSIGN_OR_RETURN(InstalledModel base, FindBase());
  if (base.bundled || base.local) {
    PUNA_ASSIGN_OR_RETURN(Layer weights, ImportWeights(base));
    base.layers = {std::move(weights)};
  }
  config_ = base.config;
  parameters_ = base.parameters;
  std::vector<std::string> digests;
  for (const Layer& layer : base.layers) digests.push_back(layer.digest);
  PUNA_RETURN_IF_ERROR(pins_->Add(digests));
  for (Layer layer : base.layers) {
    const std::string& type = layer.media_type;
    const bool is_template = type == kTemplateType || type == kPromptType;
    const bool replaced = (is_template && !request_.template_text.empty()) ||
                          (type == kSystemType && !request_.system.empty()) ||
                          (type == kMessagesType && !request_.messages.empty()) ||
                          (type == kDraftType && !request_.drafts.empty()) || type == kParamsType;
    if (replaced) continue;
    PUNA_ASSIGN_OR_RETURN(const bool present, store_->HasBlob(layer.digest));
    if (!present) {
      return MakeError(ErrorCode::kCorrupt, "model '{}' names the blob {}, which is missing",
                       request_.from, layer.digest);
    }
    // The name of a file that is served in place will mean nothing to whoever reads the manifest.
    if (!base.local) layer.from = base.name.ShortName();
    PUNA_RETURN_IF_ERROR(Report("using existing layer " + layer.digest));
    manifest_.layers.push_back(std::move(layer));
  }
  return {};
}

Result<UploadedFile> Creation::FindUploaded(const std::string& name, const std::string& digest) {
  if (name.empty() || fs::path(name).is_absolute() ||
      fs::path(name).lexically_normal().string().starts_with("..")) {
    return MakeError(ErrorCode::kInvalidArgument, "file path must be relative: \"{}\"", name);
  }
  PUNA_ASSIGN_OR_RETURN(fs::path path, store_->BlobPath(digest));
  PUNA_RETURN_IF_ERROR(pins_->Add({digest}));
  PUNA_ASSIGN_OR_RETURN(const bool present, store_->HasBlob(digest));
  if (!present) {
    return MakeError(ErrorCode::kInvalidArgument, "file \"{}\": blob {} has not been uploaded",
                     name, digest);
  }
  PUNA_ASSIGN_OR_RETURN(const std::string hex, DigestHex(digest));
  return UploadedFile{name, "sha256:" + hex, std::move(path)};
}

Result<std::vector<FileGroup>> Creation::GroupsOf(
    const std::vector<std::pair<std::string, std::string>>& files) {
  std::vector<UploadedFile> uploaded(files.size());
  for (size_t i = 0; i < files.size(); ++i) {
    PUNA_ASSIGN_OR_RETURN(uploaded[i], FindUploaded(files[i].first, files[i].second));
  }
  return GroupFiles(uploaded);
}

Result<Layer> Creation::ReadGroup(const FileGroup& group, const FileType* type,
                                  const QuantizeOptions& options, Json* config) {
  if (group.kind == FileGroup::Kind::kSafetensors)
    return InFolderOf(group, ConvertSafetensors(group, type, options, config));
  if (group.kind == FileGroup::Kind::kSplitGguf) return MergeParts(group, type, options, config);
  return ReadGguf(group.first, config);
}

Result<Layer> Creation::ReadGguf(const UploadedFile& uploaded, Json* config) {
  PUNA_RETURN_IF_ERROR(Report("parsing GGUF"));
  auto file = gguf::File::Open(uploaded.path);
  if (!file) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "file \"{}\": supplied file was not in GGUF format: {}", uploaded.name,
                     file.error().message);
  }
  Layer layer;
  PUNA_ASSIGN_OR_RETURN(layer.media_type, MediaTypeOf(uploaded.name, **file));
  layer.digest = uploaded.digest;
  layer.size_bytes = static_cast<int64_t>((*file)->file_bytes());
  if (layer.media_type == kModelType) *config = ConfigOf(**file);
  PUNA_RETURN_IF_ERROR(Report("using existing layer " + layer.digest));
  return layer;
}

Result<Layer> Creation::ConvertSafetensors(const FileGroup& group, const FileType* type,
                                           const QuantizeOptions& options, Json* config) {
  PUNA_RETURN_IF_ERROR(Report("converting model"));
  PUNA_ASSIGN_OR_RETURN(Conversion conversion, PlanConversion(group.files));
  for (const std::string& warning : conversion.warnings)
    PUNA_RETURN_IF_ERROR(Report("warning: " + warning));
  const FileType& stored = *conversion.stored_type;
  const std::string status =
      type == nullptr || type == &stored
          ? fmt::format("writing {} model", stored.name)
          : fmt::format("quantizing {} model to {}", stored.name, type->name);
  PUNA_ASSIGN_OR_RETURN(AtomicFile out,
                        AtomicFile::Create(store_->root() / "blobs" / std::string(stored.name)));
  PUNA_RETURN_IF_ERROR(
      WriteConversion(std::move(conversion), type, options, ReportBytes(status), &out));
  PUNA_ASSIGN_OR_RETURN(const auto file, gguf::File::Open(out.temporary_path()));
  *config = ConfigOf(*file);
  return AddWrittenFile(std::move(out), kModelType);
}

Result<Layer> Creation::MergeParts(const FileGroup& group, const FileType* type,
                                   const QuantizeOptions& options, Json* config) {
  PUNA_ASSIGN_OR_RETURN(const auto file, gguf::OpenParts(group.files));
  PUNA_ASSIGN_OR_RETURN(const std::string_view media_type, MediaTypeOf(group.first.name, *file));
  if (media_type == kModelType) {
    *config = ConfigOf(*file);
    if (type != nullptr) (*config)["file_type"] = type->name;
  } else {
    type = nullptr;
  }
  return WriteMerged(*file, static_cast<int64_t>(group.files.size()), type, options, media_type);
}

Result<Layer> Creation::WriteMerged(const gguf::File& file, int64_t parts, const FileType* type,
                                    const QuantizeOptions& options, std::string_view media_type) {
  const std::string before = FileTypeName(file);
  const bool kept = type == nullptr || before == type->name;
  PUNA_ASSIGN_OR_RETURN(AtomicFile out, AtomicFile::Create(store_->root() / "blobs" / "merged"));
  PUNA_RETURN_IF_ERROR(
      Quantize(file, kept ? nullptr : type, kept ? QuantizeOptions{} : options,
               ReportBytes(kept ? fmt::format("merging {} parts", parts)
                                : fmt::format("quantizing {} model to {}", before, type->name)),
               &out));
  return AddWrittenFile(std::move(out), media_type);
}

Status Creation::StartFromFiles() {
  PUNA_ASSIGN_OR_RETURN(const std::vector<FileGroup> groups, GroupsOf(request_.files));
  const FileGroup* model = nullptr;
  for (const FileGroup& group : groups) {
    PUNA_ASSIGN_OR_RETURN(Layer layer, ReadGroup(group, type_, options_, &config_));
    if (layer.media_type == kModelType) {
      if (model != nullptr) {
        return MakeError(
            ErrorCode::kUnsupported,
            "files \"{}\" and \"{}\" are two models, expected one, or the parts of one",
            model->first.name, group.first.name);
      }
      model = &group;
    }
    manifest_.layers.push_back(std::move(layer));
  }
  if (model == nullptr)
    return MakeError(ErrorCode::kInvalidArgument, "no files provided to convert");
  return {};
}

WriteProgress Creation::ReportBytes(std::string status) {
  return [this, status = std::move(status), pace = ProgressPace()](uint64_t done,
                                                                   uint64_t total) mutable {
    if (!progress_ || (done < total && !pace.Due())) return true;
    // Ollama's digest for a layer that has none yet; clients tell progress bars apart by it.
    return progress_(
        {status, "0000000000000000000", static_cast<int64_t>(total), static_cast<int64_t>(done)});
  };
}

// Makes a blob of weights that lie complete in the blobs folder under a temporary name.
Result<Layer> Creation::AddWrittenFile(AtomicFile file, std::string_view media_type) {
  PUNA_ASSIGN_OR_RETURN(const auto mapped, MappedFile::Open(file.temporary_path()));
  const uint64_t size = mapped->bytes().size();
  const WriteProgress report = ReportBytes("hashing the new layer");
  Layer layer;
  layer.media_type = media_type;
  layer.size_bytes = static_cast<int64_t>(size);
  PUNA_ASSIGN_OR_RETURN(layer.digest, HashFile(*mapped, [&](int64_t done) -> Status {
                          if (report(static_cast<uint64_t>(done), size)) return {};
                          return MakeError(ErrorCode::kCancelled, "cancelled");
                        }));
  PUNA_RETURN_IF_ERROR(pins_->Add({layer.digest}));
  PUNA_ASSIGN_OR_RETURN(const fs::path blob, store_->BlobPath(layer.digest));
  PUNA_RETURN_IF_ERROR(file.CommitAs(blob));
  PUNA_RETURN_IF_ERROR(Report("creating new layer " + layer.digest));
  return layer;
}

Result<Layer*> Creation::WeightsLayer() {
  const auto layer =
      std::find_if(manifest_.layers.begin(), manifest_.layers.end(),
                   [](const Layer& candidate) { return candidate.media_type == kModelType; });
  if (layer == manifest_.layers.end())
    return MakeError(ErrorCode::kInvalidArgument, "the model has no weights");
  return &*layer;
}

Result<bool> Creation::QuantizeLayer(const FileType& type, const QuantizeOptions& options,
                                     Layer* layer) {
  PUNA_ASSIGN_OR_RETURN(const fs::path path, store_->BlobPath(layer->digest));
  PUNA_ASSIGN_OR_RETURN(const auto file, gguf::File::Open(path));
  const std::string before = FileTypeName(*file);
  if (before == type.name) return false;
  PUNA_ASSIGN_OR_RETURN(AtomicFile out,
                        AtomicFile::Create(store_->root() / "blobs" / std::string(type.name)));
  PUNA_RETURN_IF_ERROR(
      Quantize(*file, &type, options,
               ReportBytes(fmt::format("quantizing {} model to {}", before, type.name)), &out));
  PUNA_ASSIGN_OR_RETURN(*layer, AddWrittenFile(std::move(out), layer->media_type));
  return true;
}

Status Creation::ReadImportance() {
  if (request_.imatrix.empty()) return {};
  if (type_ == nullptr || request_.imatrix.size() > 1) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "an importance matrix is one file, and needs a type to quantize to");
  }
  const auto& [name, digest] = request_.imatrix[0];
  PUNA_ASSIGN_OR_RETURN(const UploadedFile file, FindUploaded(name, digest));
  auto matrix = ReadImatrix(file.path);
  if (!matrix) return WithContext(std::move(matrix).error(), fmt::format("file \"{}\"", name));
  imatrix_ = *std::move(matrix);
  options_.imatrix = &imatrix_;
  options_.imatrix_file = name;
  return {};
}

Status Creation::AddLayer(std::string_view content, std::string_view media_type) {
  // Nobody could read a larger one back.
  if (content.size() > kMaxSmallLayerBytes) {
    return MakeError(ErrorCode::kInvalidArgument, "{} has {} bytes, the limit is {}",
                     media_type.substr(media_type.rfind('.') + 1), content.size(),
                     kMaxSmallLayerBytes);
  }
  PUNA_ASSIGN_OR_RETURN(Layer layer, store_->AddBlob(content, media_type, pins_));
  PUNA_RETURN_IF_ERROR(Report("creating new layer " + layer.digest));
  manifest_.layers.push_back(std::move(layer));
  return {};
}

Result<Layer> Creation::ConvertPeft(const FileGroup& group) {
  PUNA_RETURN_IF_ERROR(Report("converting adapter"));
  PUNA_ASSIGN_OR_RETURN(const Layer* base, WeightsLayer());
  PUNA_ASSIGN_OR_RETURN(const fs::path path, store_->BlobPath(base->digest));
  PUNA_ASSIGN_OR_RETURN(const auto file, gguf::File::Open(path));
  PUNA_ASSIGN_OR_RETURN(AtomicFile out, AtomicFile::Create(store_->root() / "blobs" / "adapter"));
  PUNA_RETURN_IF_ERROR(ConvertAdapter(group.files, ShapeOf(*file), &out));
  return AddWrittenFile(std::move(out), kAdapterType);
}

Status Creation::AddAdapters() {
  PUNA_ASSIGN_OR_RETURN(const std::vector<FileGroup> groups, GroupsOf(request_.adapters));
  for (const FileGroup& group : groups) {
    Json ignored;
    PUNA_ASSIGN_OR_RETURN(Layer layer, group.kind == FileGroup::Kind::kSafetensors
                                           ? InFolderOf(group, ConvertPeft(group))
                                           : ReadGroup(group, nullptr, {}, &ignored));
    if (layer.media_type != kAdapterType) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "file \"{}\" is no adapter: its general.type is not \"adapter\"",
                       group.first.name);
    }
    manifest_.layers.push_back(std::move(layer));
  }
  return {};
}

Status Creation::AddDraft() {
  if (request_.drafts.empty()) return {};
  const FileType* type = nullptr;
  if (!request_.draft_quantize.empty()) {
    PUNA_ASSIGN_OR_RETURN(type, FindWritableFileType(request_.draft_quantize));
  }
  PUNA_ASSIGN_OR_RETURN(const std::vector<FileGroup> groups, GroupsOf(request_.drafts));
  if (groups.size() != 1) {
    return MakeError(ErrorCode::kUnsupported,
                     "draft files \"{}\" and \"{}\" were given, expected one, or the parts of one",
                     groups[0].first.name, groups[1].first.name);
  }
  Json config;
  PUNA_ASSIGN_OR_RETURN(Layer layer, ReadGroup(groups[0], type, {}, &config));
  if (layer.media_type != kModelType) {
    return MakeError(ErrorCode::kInvalidArgument, "file \"{}\" is no model to guess ahead with",
                     groups[0].first.name);
  }
  if (type != nullptr) PUNA_RETURN_IF_ERROR(QuantizeLayer(*type, {}, &layer));
  layer.media_type = kDraftType;
  config_["draft"] = {{"model_format", "gguf"}, {"architecture", config["model_family"]}};
  manifest_.layers.push_back(std::move(layer));
  return Report("the draft model is kept for Ollama; puna guesses ahead without one");
}

Status Creation::AddSmallLayers() {
  PUNA_RETURN_IF_ERROR(AddAdapters());
  if (!request_.template_text.empty())
    PUNA_RETURN_IF_ERROR(AddLayer(request_.template_text, kTemplateType));
  if (!request_.system.empty()) PUNA_RETURN_IF_ERROR(AddLayer(request_.system, kSystemType));
  for (const std::string& license : request_.licenses)
    PUNA_RETURN_IF_ERROR(AddLayer(license, kLicenseType));
  for (const auto& [key, value] : request_.parameters.items()) parameters_[key] = value;
  if (!parameters_.empty()) PUNA_RETURN_IF_ERROR(AddLayer(DumpJson(parameters_), kParamsType));
  if (!request_.messages.empty())
    PUNA_RETURN_IF_ERROR(AddLayer(DumpJson(request_.messages), kMessagesType));
  if (!request_.renderer.empty()) config_["renderer"] = request_.renderer;
  if (!request_.parser.empty()) config_["parser"] = request_.parser;
  if (!request_.requires_version.empty()) config_["requires"] = request_.requires_version;
  for (const auto& [key, value] : request_.config.items()) config_[key] = value;
  return {};
}

Status Creation::WriteManifest() {
  config_["architecture"] = "amd64";
  config_["os"] = "linux";
  Json digests = Json::array();
  for (const Layer& layer : manifest_.layers) digests.push_back(layer.digest);
  config_["rootfs"] = {{"type", "layers"}, {"diff_ids", std::move(digests)}};
  PUNA_ASSIGN_OR_RETURN(manifest_.config, store_->AddBlob(DumpJson(config_), kConfigType, pins_));
  PUNA_RETURN_IF_ERROR(Report("writing manifest"));
  PUNA_RETURN_IF_ERROR(store_->AddManifest(request_.name, FormatManifest(manifest_)));
  return Report("success");
}

Status Creation::Run() {
  PUNA_ASSIGN_OR_RETURN(BlobPins pins, BlobPins::Create(store_->root()));
  pins_ = &pins;
  if (!request_.quantize.empty()) {
    PUNA_ASSIGN_OR_RETURN(type_, FindWritableFileType(request_.quantize));
  }
  PUNA_RETURN_IF_ERROR(ReadImportance());
  if (!request_.from.empty()) {
    PUNA_RETURN_IF_ERROR(StartFromModel());
  } else if (!request_.files.empty()) {
    PUNA_RETURN_IF_ERROR(StartFromFiles());
  } else {
    return MakeError(ErrorCode::kInvalidArgument, "neither 'from' or 'files' was specified");
  }
  if (type_ != nullptr) {
    PUNA_ASSIGN_OR_RETURN(Layer * layer, WeightsLayer());
    PUNA_ASSIGN_OR_RETURN(const bool written, QuantizeLayer(*type_, options_, layer));
    if (written) config_["file_type"] = type_->name;
  }
  PUNA_RETURN_IF_ERROR(AddDraft());
  PUNA_RETURN_IF_ERROR(AddSmallLayers());
  return WriteManifest();
}

Status Store::Create(const CreateRequest& request, const ProgressFunction& progress,
                     const FetchFunction& fetch) {
  return Creation(this, request, progress, fetch).Run();
}

}  // namespace puna::store
