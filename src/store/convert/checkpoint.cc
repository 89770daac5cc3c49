#include "store/convert/checkpoint.h"

#include <algorithm>

#include "base/file.h"
#include "base/json.h"

namespace puna::store {
namespace {

// tokenizer.json of the largest vocabularies has about 35 MB.
constexpr uint64_t kMaxSmallFileBytes = uint64_t{256} << 20;

// What wraps the text model, one in the other.
constexpr std::string_view kWrappers[] = {"base_model.model.", "model.language_model.",
                                          "language_model.", "bert.", "roberta."};
// How names begin where a decoder was saved without the head that it is "model" to.
constexpr std::string_view kBareDecoder[] = {"embed_tokens.", "layers.", "norm."};
// Of norms that were written by TensorFlow.
constexpr std::pair<std::string_view, std::string_view> kOldEndings[] = {
    {"LayerNorm.gamma", "LayerNorm.weight"}, {"LayerNorm.beta", "LayerNorm.bias"}};

std::string PlainName(std::string_view name) {
  const auto begins = [&](std::string_view prefix) { return name.starts_with(prefix); };
  for (bool wrapped = true; wrapped;) {
    const auto* wrapper = std::find_if(std::begin(kWrappers), std::end(kWrappers), begins);
    wrapped = wrapper != std::end(kWrappers);
    if (wrapped) name.remove_prefix(wrapper->size());
  }
  std::string plain =
      std::any_of(std::begin(kBareDecoder), std::end(kBareDecoder), begins) ? "model." : "";
  plain += name;
  for (const auto& [old, usual] : kOldEndings) {
    if (plain.ends_with(old)) plain.replace(plain.size() - old.size(), old.size(), usual);
  }
  return plain;
}

// Some publishers put their own format (consolidated...) beside the usual one.
std::vector<std::string> ShardNames(const ModelFiles& files) {
  std::vector<std::string> all, usual;
  for (const auto& [name, path] : files) {
    if (!name.ends_with(".safetensors")) continue;
    all.push_back(name);
    if (std::filesystem::path(name).filename().string().starts_with("model")) usual.push_back(name);
  }
  return usual.empty() ? all : usual;
}

}  // namespace

Result<std::shared_ptr<const Checkpoint>> Checkpoint::Open(const ModelFiles& files,
                                                           const std::string& config_name) {
  std::shared_ptr<Checkpoint> checkpoint(new Checkpoint());
  checkpoint->files_ = files;
  PUNA_ASSIGN_OR_RETURN(checkpoint->whole_config_, checkpoint->ReadJsonFile(config_name));
  if (!checkpoint->whole_config_.is_object()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "a model in safetensors needs a {} with an object in it", config_name);
  }
  const Json& whole = checkpoint->whole_config_;
  const auto text = whole.find("text_config");
  checkpoint->config_ = text != whole.end() && text->is_object() ? *text : whole;
  for (const std::string& name : ShardNames(files))
    PUNA_RETURN_IF_ERROR(checkpoint->AddShard(name, files.at(name)));
  if (checkpoint->tensors_.empty())
    return MakeError(ErrorCode::kInvalidArgument, "there are no tensors in safetensors files");
  PUNA_RETURN_IF_ERROR(checkpoint->CheckIndex());
  return checkpoint;
}

Status Checkpoint::AddShard(const std::string& name, const std::filesystem::path& path) {
  auto opened = SafetensorsFile::Open(path);
  if (!opened) return WithContext(std::move(opened).error(), name);
  const SafetensorsFile* file = opened->get();
  shards_.push_back(*std::move(opened));
  for (const auto& [stored_name, tensor] : file->tensors()) {
    if (!tensors_.emplace(PlainName(stored_name), CheckpointTensor{&tensor, file}).second) {
      return MakeError(ErrorCode::kCorrupt, "tensor '{}' of {} is in another file too", stored_name,
                       name);
    }
  }
  return {};
}

// The index tells which tensors there should be: a shard that was forgotten is missed here.
Status Checkpoint::CheckIndex() const {
  PUNA_ASSIGN_OR_RETURN(const Json index, ReadJsonFile("model.safetensors.index.json"));
  if (!index.is_object() || !index.contains("weight_map")) return {};
  for (const auto& [name, shard] : index["weight_map"].items()) {
    if (tensors_.contains(PlainName(name))) continue;
    return MakeError(ErrorCode::kInvalidArgument,
                     "the index names the tensor '{}' in {}, which is not there", name,
                     shard.is_string() ? shard.get<std::string>() : "no file");
  }
  return {};
}

const CheckpointTensor* Checkpoint::Find(std::string_view name) const {
  const auto it = tensors_.find(name);
  return it == tensors_.end() ? nullptr : &it->second;
}

Result<std::optional<std::string>> Checkpoint::ReadSmallFile(const std::string& name) const {
  const auto it = files_.find(name);
  if (it == files_.end()) return std::nullopt;
  PUNA_ASSIGN_OR_RETURN(std::string text, ReadFile(it->second, kMaxSmallFileBytes));
  return text;
}

Result<Json> Checkpoint::ReadJsonFile(const std::string& name) const {
  PUNA_ASSIGN_OR_RETURN(const auto text, ReadSmallFile(name));
  if (!text) return Json();
  Json json = ParseJson(*text);
  if (json.is_discarded()) return MakeError(ErrorCode::kInvalidArgument, "{} is no JSON", name);
  return json;
}

}  // namespace puna::store
