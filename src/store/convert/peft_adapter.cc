// An adapter changes W to W + scale * B A. A is applied first, so its columns are those of W and
// stay in order; B's rows are W's rows and are moved like them.
#include "store/convert/peft_adapter.h"

#include <cmath>
#include <deque>

#include "store/convert/families.h"
#include "store/convert/gather.h"
#include "store/convert/hf_config.h"
#include "store/convert/model_writer.h"

namespace puna::store {
namespace {

constexpr std::string_view kWeight = ".weight";

// The rules of a family for the two factors. `names` keeps the text that the rules point into.
std::vector<TensorRule> FactorRules(const Family& family, std::deque<std::string>* names) {
  std::vector<TensorRule> rules;
  for (const std::span<const TensorRule> group : family.rules) {
    for (const TensorRule& rule : group) {
      const bool moves_rows = rule.transform == Transform::kNone ||
                              rule.transform == Transform::kQueryPairs ||
                              rule.transform == Transform::kKeyPairs;
      if (!moves_rows || rule.stored.find("{e}") != std::string_view::npos) continue;
      for (const char* factor : {"a", "b"}) {
        const bool b = *factor == 'b';
        names->push_back(fmt::format("{}.lora_{}", rule.gguf, factor));
        const std::string_view gguf = names->back();
        names->push_back(fmt::format("{}.lora_{}", rule.stored, b ? 'B' : 'A'));
        rules.push_back({gguf, names->back(), b ? rule.transform : Transform::kNone});
      }
    }
  }
  return rules;
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

// GGUF's alpha is divided by the rank; rank-stabilized adapters divide by its root.
Result<float> AlphaOf(const Json& config) {
  const auto number = [&](const char* name) -> Result<double> {
    const auto it = config.find(name);
    if (it == config.end() || !it->is_number() || !(it->get<double>() > 0)) {
      return MakeError(ErrorCode::kInvalidArgument, "adapter_config.json: {} is no positive number",
                       name);
    }
    return it->get<double>();
  };
  PUNA_ASSIGN_OR_RETURN(const double alpha, number("lora_alpha"));
  PUNA_ASSIGN_OR_RETURN(const double rank, number("r"));
  const auto stabilized = config.find("use_rslora");
  const bool root = stabilized != config.end() && *stabilized == true;
  return static_cast<float>(root ? alpha * std::sqrt(rank) : alpha);
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
  PUNA_ASSIGN_OR_RETURN(const float alpha, AlphaOf(checkpoint->config()));
  const GatherShape shape = {.layers = base.layers, .heads = base.heads, .kv_heads = base.kv_heads};
  std::deque<std::string> names;
  const std::vector<TensorRule> rules = FactorRules(*family, &names);
  PUNA_ASSIGN_OR_RETURN(std::vector<TensorSource> tensors, GatherTensors(checkpoint, rules, shape));
  for (TensorSource& tensor : tensors) Rename(&tensor.name);
  gguf::StreamWriter metadata;
  metadata.Set("general.architecture", base.architecture);
  metadata.Set("general.type", "adapter");
  metadata.Set("adapter.type", "lora");
  metadata.Set("adapter.lora.alpha", alpha);
  const std::vector<TensorTarget> targets(tensors.size(), {quant::TensorType::kF32, {}});
  return WriteModel(&metadata, tensors, targets, 1, nullptr, out);
}

}  // namespace puna::store
