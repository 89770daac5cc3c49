// Reading is the spec's business; what every network must satisfy is checked here once, so that
// neither specs nor the plan builder need to. Ranges of single keys are checked by MetadataReader.
#include "model/config.h"

#include <algorithm>

#include "model/arch/spec.h"
#include "model/metadata_reader.h"

namespace puna::model {
namespace {

Status ValidateAttention(const AttentionConfig& attention, const std::string& architecture) {
  if (attention.heads <= 0 || attention.kv_heads <= 0 ||
      attention.heads % attention.kv_heads != 0) {
    return MakeError(ErrorCode::kCorrupt,
                     "metadata key {0}.attention.head_count is {1}, not a multiple of "
                     "{0}.attention.head_count_kv, which is {2}",
                     architecture, attention.heads, attention.kv_heads);
  }
  const RopeConfig& rope = attention.rope;
  if ((rope.enabled || attention.latent) &&
      (rope.dimensions <= 0 || rope.dimensions > attention.k_size || rope.dimensions % 2 != 0)) {
    return MakeError(
        ErrorCode::kCorrupt,
        "metadata key {}.rope.dimension_count is {}, expected an even number up to the "
        "head size {}",
        architecture, rope.dimensions, attention.k_size);
  }
  if (attention.v_from_k && attention.k_size != attention.v_size) {
    return MakeError(ErrorCode::kCorrupt,
                     "metadata key {}.attention.value_length is {}, but keys serve as values and "
                     "have {}",
                     architecture, attention.v_size, attention.k_size);
  }
  const std::optional<IndexerConfig>& indexer = attention.indexer;
  if (indexer && (indexer->size < rope.dimensions || attention.latent->q_rank == 0)) {
    return MakeError(
        ErrorCode::kCorrupt,
        "metadata key {0}.attention.indexer.key_length is {1}, expected at least the {2} "
        "rotated values, and {0}.attention.q_lora_rank is {3}",
        architecture, indexer->size, rope.dimensions, attention.latent->q_rank);
  }
  return {};
}

// A layer that uses another's keys and values must be made for them.
Status ValidateSharedKeys(const ModelConfig& config, const AttentionConfig& attention) {
  if (attention.kv_layer < 0) return {};
  const bool exists = attention.kv_layer < static_cast<int64_t>(config.layers.size());
  const AttentionConfig* source =
      exists ? &config.layers[static_cast<size_t>(attention.kv_layer)].attention : nullptr;
  if (source == nullptr || source->kv_layer >= 0 || source->kv_heads != attention.kv_heads ||
      source->k_size != attention.k_size || source->v_size != attention.v_size) {
    return MakeError(ErrorCode::kCorrupt,
                     "metadata of {}: layers share the keys and values of layer {}, which has none "
                     "of their shape",
                     config.architecture, attention.kv_layer);
  }
  return {};
}

// What a recurrent mixer needs of its sizes beyond the ranges that were checked when they were
// read.
struct RecurrentValidator {
  const std::string& architecture;

  Status Divides(std::string_view part, int64_t divisor, std::string_view whole,
                 int64_t size) const {
    if (divisor > 0 && size % divisor == 0) return {};
    return MakeError(ErrorCode::kCorrupt,
                     "metadata key {0}.{1} is {2}, which does not divide {3} {4}", architecture,
                     part, divisor, whole, size);
  }
  Status operator()(const MambaConfig& mamba) const {
    return Divides("ssm.time_step_rank", mamba.heads, "the inner size", mamba.inner);
  }
  Status operator()(const Mamba2Config& mamba) const {
    PUNA_RETURN_IF_ERROR(Divides("ssm.time_step_rank", mamba.heads, "the inner size", mamba.inner));
    PUNA_RETURN_IF_ERROR(Divides("ssm.group_count", mamba.groups, "the inner size", mamba.inner));
    return Divides("ssm.group_count", mamba.groups, "the number of heads", mamba.heads);
  }
  Status operator()(const ShortConvolutionConfig&) const { return {}; }
  Status operator()(const DeltaNetConfig& net) const {
    return Divides("ssm.group_count", net.k_heads, "the number of heads", net.heads);
  }
  Status operator()(const RwkvConfig& rwkv) const {
    return Divides("wkv.head_size", rwkv.head_size, "the width", width);
  }
  int64_t width = 0;
};

Status ValidateMoe(const MoeConfig& moe, const std::string& architecture) {
  if (moe.experts % moe.groups != 0 || moe.used > moe.groups_used * (moe.experts / moe.groups)) {
    return MakeError(ErrorCode::kCorrupt,
                     "metadata key {0}.expert_group_count is {1} ({2} used), which does not fit "
                     "{3} experts of which {4} are used",
                     architecture, moe.groups, moe.groups_used, moe.experts, moe.used);
  }
  if (moe.chunks && moe.experts % moe.chunks->group != 0) {
    return MakeError(ErrorCode::kCorrupt,
                     "metadata key {}.experts_per_group is {}, which does not divide {} experts",
                     architecture, moe.chunks->group, moe.experts);
  }
  return {};
}

Status Validate(const ModelConfig& config) {
  for (const LayerConfig& layer : config.layers) {
    const int64_t least = layer.feed_forward.cut_deviations > 0 ? 2 : 1;
    if (layer.feed_forward.present && layer.feed_forward.hidden < least) {
      return MakeError(ErrorCode::kCorrupt, "metadata key {}.feed_forward_length is too small",
                       config.architecture);
    }
    if (layer.attends && !layer.attention.linear) {
      PUNA_RETURN_IF_ERROR(ValidateAttention(layer.attention, config.architecture));
      PUNA_RETURN_IF_ERROR(ValidateSharedKeys(config, layer.attention));
    }
    if (layer.recurrent) {
      PUNA_RETURN_IF_ERROR(
          std::visit(RecurrentValidator{config.architecture, config.width}, *layer.recurrent));
    }
    if (layer.feed_forward.present && layer.feed_forward.moe)
      PUNA_RETURN_IF_ERROR(ValidateMoe(*layer.feed_forward.moe, config.architecture));
  }
  return {};
}

}  // namespace

Result<ModelConfig> arch::ReadChecked(SpecFunction* spec, MetadataReader& in) {
  ModelConfig config = spec(in);
  PUNA_RETURN_IF_ERROR(in.status());
  PUNA_RETURN_IF_ERROR(Validate(config));
  return config;
}

bool SeesAhead(const ModelConfig& config) {
  return config.encoder ||
         std::any_of(config.layers.begin(), config.layers.end(), [](const LayerConfig& layer) {
           return layer.attends && !layer.attention.causal;
         });
}

Result<ModelConfig> ReadConfig(const gguf::File& file) {
  PUNA_ASSIGN_OR_RETURN(const std::optional<std::string_view> architecture,
                        file.GetString("general.architecture"));
  if (!architecture) {
    return MakeError(ErrorCode::kCorrupt, "metadata key general.architecture is missing");
  }
  arch::SpecFunction* spec = arch::FindSpec(*architecture);
  if (spec == nullptr) {
    return MakeError(ErrorCode::kUnsupported, "unknown model architecture \"{}\"",
                     architecture->substr(0, 64));
  }
  MetadataReader reader(file, *architecture);
  return arch::ReadChecked(spec, reader);
}

}  // namespace puna::model
