// An adapter changes W to W + scale * B A. A is applied first, so its columns are those of W and
// stay in order; B's rows are W's rows and are moved like them.
#include "store/convert/peft_adapter.h"

#include <cmath>
#include <deque>
#include <map>

#include "store/convert/families.h"
#include "store/convert/gather.h"
#include "store/convert/hf_config.h"
#include "store/convert/model_writer.h"
#include "store/convert/peft_key.h"

namespace puna::store {
namespace {

constexpr std::string_view kWrapper = "base_model.model.", kFactorA = ".lora_A",
                           kFactorB = ".lora_B", kWeight = ".weight";
constexpr int64_t kMaxModelLayers = 4096;
constexpr size_t kMaxKeyBytes = size_t{128} << 10;  // of alpha_pattern; a thousand modules fit

// The two factors of one matrix, without ".lora_A.weight" and so on.
struct FactorPair {
  std::string gguf, stored;
  Transform transform = Transform::kNone;  // of the matrix, and so of B
};

// All that an adapter for `layers` layers may have.
std::vector<FactorPair> PairsOf(const Family& family, int64_t layers) {
  std::vector<FactorPair> pairs;
  for (const std::span<const TensorRule> group : family.rules) {
    for (const TensorRule& rule : group) {
      const bool moves_rows = rule.transform == Transform::kNone ||
                              rule.transform == Transform::kQueryPairs ||
                              rule.transform == Transform::kKeyPairs;
      if (!moves_rows || rule.stored.find("{e}") != std::string_view::npos) continue;
      const bool in_layers = rule.gguf.find("{}") != std::string_view::npos;
      for (int64_t layer = 0; layer < (in_layers ? layers : 1); ++layer) {
        pairs.push_back({fmt::format(fmt::runtime(rule.gguf), layer),
                         fmt::format(fmt::runtime(rule.stored), layer), rule.transform});
      }
    }
  }
  return pairs;
}

// True if the adapter has the pair; an error if it has half of it or more than it.
Result<bool> HasPair(const Checkpoint& checkpoint, const FactorPair& pair) {
  const auto find = [&](std::string_view factor, std::string_view kind) {
    return checkpoint.Find(fmt::format("{}{}{}", pair.stored, factor, kind));
  };
  const CheckpointTensor *a = find(kFactorA, kWeight), *b = find(kFactorB, kWeight);
  for (const std::string_view factor : {kFactorA, kFactorB}) {
    if (const CheckpointTensor* bias = find(factor, ".bias"); bias != nullptr) {
      return MakeError(ErrorCode::kUnsupported,
                       "tensor '{}': biases of factors (lora_bias) are not supported",
                       bias->stored->name);
    }
  }
  if (a == nullptr && b == nullptr) return false;
  if (a == nullptr || b == nullptr) {
    return MakeError(ErrorCode::kInvalidArgument, "tensor '{}' is there and its {} is not",
                     (a == nullptr ? b : a)->stored->name, a == nullptr ? "lora_A" : "lora_B");
  }
  const std::vector<int64_t>&first = a->stored->shape, &second = b->stored->shape;
  if (first.size() != 2 || second.size() != 2 || first[0] != second[1] || first[0] == 0) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "tensors '{}' and '{}' are no matrices whose product exists", a->stored->name,
                     b->stored->name);
  }
  return true;
}

// What the product of a pair is multiplied with, as PEFT's LoraModel reads it from the config.
class PeftScales {
 public:
  static Result<PeftScales> Read(const Json& config) {
    PeftScales scales;
    PUNA_ASSIGN_OR_RETURN(scales.alpha_, Positive(config, "lora_alpha"));
    PUNA_ASSIGN_OR_RETURN(scales.rank_, Positive(config, "r"));
    const auto stabilized = config.find("use_rslora"), patterns = config.find("alpha_pattern");
    scales.root_ = stabilized != config.end() && *stabilized == true;
    if (patterns == config.end() || patterns->is_null()) return scales;
    size_t bytes = 0;
    if (patterns->is_object()) {
      for (const auto& [key, value] : patterns->items()) bytes += key.size();
    }
    if (!patterns->is_object() || bytes > kMaxKeyBytes) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "adapter_config.json: alpha_pattern is no object with at most {} bytes of "
                       "keys",
                       kMaxKeyBytes);
    }
    for (const auto& [key, value] : patterns->items()) {
      PUNA_ASSIGN_OR_RETURN(const double alpha, Positive(*patterns, key));
      scales.patterns_.emplace_back(key, alpha);
    }
    return scales;
  }

  // adapter.lora.alpha, which whoever reads the file divides by the rank of each pair.
  float alpha() const { return static_cast<float>(root_ ? alpha_ * std::sqrt(rank_) : alpha_); }

  // By how much the scale of a pair differs from what readers make of alpha().
  Result<float> Correction(std::string_view module, int64_t rank) const {
    double alpha = alpha_;
    for (const auto& [key, value] : patterns_) {
      auto matches = MatchesPeftKey(key, module);
      if (!matches) {
        return WithContext(std::move(matches).error(), "adapter_config.json: alpha_pattern");
      }
      if (!*matches) continue;
      alpha = value;
      break;
    }
    const double file_alpha = root_ ? alpha_ * std::sqrt(rank_) : alpha_;
    return static_cast<float>((root_ ? alpha * std::sqrt(static_cast<double>(rank)) : alpha) /
                              file_alpha);
  }

 private:
  static Result<double> Positive(const Json& object, const std::string& name) {
    const auto it = object.find(name);
    if (it == object.end() || !it->is_number() || !(it->get<double>() > 0)) {
      return MakeError(ErrorCode::kInvalidArgument, "adapter_config.json: {} is no positive number",
                       name.substr(0, 200));
    }
    return it->get<double>();
  }

  double alpha_ = 1, rank_ = 1;
  bool root_ = false;                                     // divided by the root of the rank
  std::vector<std::pair<std::string, double>> patterns_;  // the first that matches counts
};

// The name of the module that the factor `name` belongs to, in the model that was trained.
std::string_view ModuleOf(std::string_view name) {
  if (name.starts_with(kWrapper)) name.remove_prefix(kWrapper.size());
  return name.substr(0, name.rfind(kFactorB));
}

void Multiply(float by, TensorSource* source) {
  if (by == 1) return;
  source->copy = nullptr;
  source->read = [by, read = std::move(source->read), columns = source->columns()](
                     int64_t first, int64_t rows, float* out) -> Status {
    PUNA_RETURN_IF_ERROR(read(first, rows, out));
    for (int64_t i = 0; i < rows * columns; ++i) out[i] *= by;
    return {};
  };
}

// "blk.0.attn_q.lora_a.weight", as the rules name it, to "blk.0.attn_q.weight.lora_a".
void Rename(std::string* name) {
  constexpr size_t kFactorChars = 7;  // ".lora_a"
  name->erase(name->size() - kWeight.size());
  name->insert(name->size() - kFactorChars, kWeight);
}

const Family* FamilyOfBase(const std::string& architecture) {
  for (const Family& family : AllFamilies()) {
    if (family.architecture == architecture) return &family;
  }
  return nullptr;
}

}  // namespace

Status ConvertAdapter(const ModelFiles& files, const ModelShape& base, AtomicFile* out) {
  PUNA_ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::Open(files, "adapter_config.json"));
  const Family* family = FamilyOfBase(base.architecture);
  if (family == nullptr) {
    return MakeError(ErrorCode::kUnsupported,
                     "safetensors adapters for models of architecture '{}' are not supported",
                     base.architecture);
  }
  if (base.layers > kMaxModelLayers) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "the model has {} layers, at most {} are possible", base.layers,
                     kMaxModelLayers);
  }
  PUNA_ASSIGN_OR_RETURN(const PeftScales scales, PeftScales::Read(checkpoint->config()));
  const GatherShape shape = {.layers = base.layers, .heads = base.heads, .kv_heads = base.kv_heads};
  std::vector<TensorRule> rules;
  std::deque<std::string> names;  // that the rules point into
  std::map<std::string, float> corrections;
  const auto name = [&](std::string_view stem, std::string_view factor) -> std::string_view {
    return names.emplace_back(fmt::format("{}{}", stem, factor));
  };
  for (const FactorPair& pair : PairsOf(*family, base.layers)) {
    PUNA_ASSIGN_OR_RETURN(const bool present, HasPair(*checkpoint, pair));
    if (!present) continue;
    rules.push_back({name(pair.gguf, ".lora_a"), name(pair.stored, kFactorA)});
    rules.push_back({name(pair.gguf, ".lora_b"), name(pair.stored, kFactorB), pair.transform});
    const StoredTensor& b = *checkpoint->Find(fmt::format("{}{}", names.back(), kWeight))->stored;
    PUNA_ASSIGN_OR_RETURN(corrections[fmt::format("{}.lora_b{}", pair.gguf, kWeight)],
                          scales.Correction(ModuleOf(b.name), b.shape[1]));
  }
  PUNA_ASSIGN_OR_RETURN(std::vector<TensorSource> tensors, GatherTensors(checkpoint, rules, shape));
  for (TensorSource& tensor : tensors) {
    if (const auto by = corrections.find(tensor.name); by != corrections.end())
      Multiply(by->second, &tensor);
    Rename(&tensor.name);
  }
  gguf::StreamWriter metadata;
  metadata.Set("general.architecture", base.architecture);
  metadata.Set("general.type", "adapter");
  metadata.Set("adapter.type", "lora");
  metadata.Set("adapter.lora.alpha", scales.alpha());
  const std::vector<TensorTarget> targets(tensors.size(), {quant::TensorType::kF32, {}});
  return WriteModel(&metadata, tensors, targets, 1, nullptr, out);
}

}  // namespace puna::store
