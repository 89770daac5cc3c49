// A Hugging Face model: its small files, and the tensors of all its safetensors files under names
// that no longer tell how the checkpoint was wrapped or saved.
#ifndef PUNA_STORE_CONVERT_CHECKPOINT_H_
#define PUNA_STORE_CONVERT_CHECKPOINT_H_

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "store/convert/safetensors.h"

namespace puna::store {

// Name as in the model's folder ("config.json", "model-00001-of-00002.safetensors") -> where it is.
using ModelFiles = std::map<std::string, std::filesystem::path>;

struct CheckpointTensor {
  const StoredTensor* stored = nullptr;
  const SafetensorsFile* file = nullptr;
};

// Immutable and thread safe after Open.
class Checkpoint {
 public:
  // Needs the config and at least one safetensors file.
  static Result<std::shared_ptr<const Checkpoint>> Open(
      const ModelFiles& files, const std::string& config_name = "config.json");

  // Whatever describes the text model: `text_config` of models that also see or hear.
  const Json& config() const { return config_; }
  // Of the outermost object: architectures, quantization_config.
  const Json& whole_config() const { return whole_config_; }
  const std::map<std::string, CheckpointTensor, std::less<>>& tensors() const { return tensors_; }
  const CheckpointTensor* Find(std::string_view name) const;  // null if absent
  // The text of a small file; nothing if there is none.
  Result<std::optional<std::string>> ReadSmallFile(const std::string& name) const;
  // The same as JSON; null if there is none.
  Result<Json> ReadJsonFile(const std::string& name) const;

 private:
  Checkpoint() = default;
  Status AddShard(const std::string& name, const std::filesystem::path& path);
  Status CheckIndex() const;
  ModelFiles files_;
  Json config_, whole_config_;
  std::vector<std::shared_ptr<const SafetensorsFile>> shards_;
  std::map<std::string, CheckpointTensor, std::less<>> tensors_;
};

}  // namespace puna::store

#endif  // PUNA_STORE_CONVERT_CHECKPOINT_H_
