#include "store/convert/hf_config.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

namespace puna::store {
namespace {

constexpr int64_t kMaxInteger = int64_t{1} << 31;  // everything that config.json counts is smaller
constexpr int64_t kMaxLayers = 4096, kMaxExperts = 16384, kMaxHeads = 16384;

const Json* FindValue(const Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

Result<double> ConfigNumber(const Json& object, std::string_view name, double absent) {
  const Json* value = FindValue(object, name);
  if (value == nullptr) return absent;
  if (!value->is_number() || !std::isfinite(value->get<double>()))
    return MakeError(ErrorCode::kInvalidArgument, "config.json: {} is no number", name);
  return value->get<double>();
}

// The rope of the layers of one kind. Older files have parts of it beside this object; where layers
// differ, the newest have one object for each kind. Without a kind of their own, all layers' is
// that of full attention.
const Json& RopeObject(const Json& config, const char* kind = "full_attention") {
  static const Json none = Json::object();
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const Json* found = FindValue(config, name);
    if (found == nullptr || !found->is_object()) continue;
    const bool by_kind = FindValue(*found, "full_attention") != nullptr ||
                         FindValue(*found, "sliding_attention") != nullptr;
    if (!by_kind) return std::string_view(kind) == "full_attention" ? *found : none;
    const Json* own = FindValue(*found, kind);
    return own != nullptr && own->is_object() ? *own : none;
  }
  return none;
}

// The config as older files write it, with what the family takes for granted.
Json CompletedConfig(Json config, const Family& family) {
  const Json rope = RopeObject(config), local = RopeObject(config, "sliding_attention");
  for (const auto& [object, from, to] :
       {std::tuple(&rope, "rope_theta", "rope_theta"),
        std::tuple(&rope, "partial_rotary_factor", "partial_rotary_factor"),
        std::tuple(&local, "rope_theta", "rope_local_base_freq")}) {
    if (const Json* value = FindValue(*object, from); value != nullptr) config[to] = *value;
  }
  for (const auto& [name, value] : family.defaults) {
    if (FindValue(config, name) != nullptr) continue;
    const bool whole = value == std::floor(value);
    config[std::string(name)] = whole ? Json(static_cast<int64_t>(value)) : Json(value);
  }
  return config;
}

TensorSource ComputedTensor(std::string name, std::vector<float> values) {
  TensorSource source;
  source.name = std::move(name);
  source.dims = {static_cast<int64_t>(values.size())};
  source.copy = [values = std::move(values)](int64_t, int64_t, std::span<uint8_t> out) -> Status {
    std::memcpy(out.data(), values.data(), out.size());
    return {};
  };
  return source;
}

class NetworkWriter {
 public:
  NetworkWriter(const Checkpoint& checkpoint, const Family& family, gguf::StreamWriter* metadata,
                std::vector<TensorSource>* tensors)
      : checkpoint_(checkpoint),
        config_(CompletedConfig(checkpoint.config(), family)),
        whole_(checkpoint.whole_config()),
        family_(family),
        metadata_(metadata),
        tensors_(tensors) {}

  Result<GatherShape> Write();

 private:
  template <typename T>
  void Set(std::string_view key, T value) {
    metadata_->Set(fmt::format("{}.{}", family_.architecture, key), value);
  }
  bool Has(std::string_view key) const {
    return metadata_->Has(fmt::format("{}.{}", family_.architecture, key));
  }
  Status SetKeys(std::span<const KeyRule> keys);
  Result<GatherShape> ReadShape() const;
  Status SetWindow();
  Status SetRope(const GatherShape& shape);
  Status SetLlama3Rope(const Json& rope, int64_t rope_size);
  Status SetLongRope(const Json& rope, int64_t rope_size);
  Status SetEncoder(GatherShape* shape);
  Status SetTrainedLength();

  const Checkpoint& checkpoint_;
  const Json config_;
  const Json& whole_;
  const Family& family_;
  gguf::StreamWriter* metadata_;
  std::vector<TensorSource>* tensors_;
};

Status NetworkWriter::SetKeys(std::span<const KeyRule> keys) {
  for (const KeyRule& rule : keys) {
    if (Has(rule.gguf)) continue;
    const auto* name = std::find_if(std::begin(rule.names), std::end(rule.names), [&](auto n) {
      return !n.empty() && FindValue(config_, n) != nullptr;
    });
    if (name == std::end(rule.names)) continue;
    if (rule.kind == KeyKind::kInteger) {
      PUNA_ASSIGN_OR_RETURN(const int64_t value, ConfigInteger(config_, *name, 0, kMaxInteger, 0));
      Set(rule.gguf, static_cast<uint32_t>(value));
    } else {
      PUNA_ASSIGN_OR_RETURN(const double value, ConfigNumber(config_, *name, 0));
      Set(rule.gguf, static_cast<float>(value));
    }
  }
  return {};
}

Result<GatherShape> NetworkWriter::ReadShape() const {
  GatherShape shape;
  const auto count = [&](std::initializer_list<const char*> names, int64_t low, int64_t high,
                         int64_t absent) -> Result<int64_t> {
    for (const char* name : names) {
      if (FindValue(config_, name) != nullptr)
        return ConfigInteger(config_, name, low, high, absent);
    }
    if (absent < 0)
      return MakeError(ErrorCode::kInvalidArgument, "config.json has no {}", *names.begin());
    return absent;
  };
  PUNA_ASSIGN_OR_RETURN(shape.layers, count({"num_hidden_layers", "n_layer"}, 1, kMaxLayers, -1));
  PUNA_ASSIGN_OR_RETURN(shape.heads, count({"num_attention_heads", "n_head"}, 1, kMaxHeads, -1));
  PUNA_ASSIGN_OR_RETURN(shape.kv_heads, count({"num_key_value_heads"}, 1, kMaxHeads, shape.heads));
  PUNA_ASSIGN_OR_RETURN(shape.experts,
                        count({"num_local_experts", "num_experts"}, 0, kMaxExperts, 0));
  const Json* quantization = FindValue(whole_, "quantization_config");
  if (quantization == nullptr) return shape;
  const Json* block = FindValue(*quantization, "weight_block_size");
  if (block == nullptr) return shape;
  const bool two = block->is_array() && block->size() == 2 && (*block)[0].is_number_unsigned() &&
                   (*block)[1].is_number_unsigned();
  if (!two || (*block)[0].get<uint64_t>() - 1 >= 65536 || (*block)[1].get<uint64_t>() - 1 >= 65536)
    return MakeError(ErrorCode::kInvalidArgument,
                     "config.json: weight_block_size is no pair of numbers up to 65536");
  shape.scale_rows = (*block)[0].get<int64_t>();
  shape.scale_columns = (*block)[1].get<int64_t>();
  return shape;
}

Status NetworkWriter::SetWindow() {
  const Json* used = FindValue(config_, "use_sliding_window");
  if (used != nullptr && used->is_boolean() && !used->get<bool>()) return {};
  PUNA_ASSIGN_OR_RETURN(const int64_t window,
                        ConfigInteger(config_, "sliding_window", 0, kMaxInteger, 0));
  if (window > 0) Set("attention.sliding_window", static_cast<uint32_t>(window));
  return {};
}

// Llama 3.1: slow turns are stretched, fast ones not, those between a little.
Status NetworkWriter::SetLlama3Rope(const Json& rope, int64_t rope_size) {
  constexpr double kPi = 3.14159265358979323846;
  double base = 10000, factor = 8, low = 1, high = 4, length = 8192;
  PUNA_ASSIGN_OR_RETURN(base, ConfigNumber(config_, "rope_theta", base));
  PUNA_ASSIGN_OR_RETURN(factor, ConfigNumber(rope, "factor", factor));
  PUNA_ASSIGN_OR_RETURN(low, ConfigNumber(rope, "low_freq_factor", low));
  PUNA_ASSIGN_OR_RETURN(high, ConfigNumber(rope, "high_freq_factor", high));
  PUNA_ASSIGN_OR_RETURN(length, ConfigNumber(rope, "original_max_position_embeddings", length));
  if (base <= 0 || factor <= 0 || high <= low || low <= 0)
    return MakeError(ErrorCode::kInvalidArgument, "config.json: rope factors out of range");
  std::vector<float> factors;
  for (int64_t i = 0; i < rope_size; i += 2) {
    const double wave =
        2 * kPi * std::pow(base, static_cast<double>(i) / static_cast<double>(rope_size));
    const double smooth = std::clamp((length / wave - low) / (high - low), 0.0, 1.0);
    factors.push_back(static_cast<float>(1 / ((1 - smooth) / factor + smooth)));
  }
  tensors_->push_back(ComputedTensor("rope_freqs.weight", std::move(factors)));
  return {};
}

Status NetworkWriter::SetLongRope(const Json& rope, int64_t rope_size) {
  PUNA_ASSIGN_OR_RETURN(const int64_t longest,
                        ConfigInteger(config_, "max_position_embeddings", 1, kMaxInteger, 1));
  int64_t original = longest;
  for (const Json* object : {&rope, &config_}) {
    PUNA_ASSIGN_OR_RETURN(original, ConfigInteger(*object, "original_max_position_embeddings", 1,
                                                  kMaxInteger, original));
  }
  Set("rope.scaling.original_context_length", static_cast<uint32_t>(original));
  const double scale = static_cast<double>(longest) / static_cast<double>(original);
  double factor =
      scale <= 1 ? 1 : std::sqrt(1 + std::log(scale) / std::log(static_cast<double>(original)));
  PUNA_ASSIGN_OR_RETURN(factor, ConfigNumber(rope, "attention_factor", factor));
  Set("rope.scaling.attn_factor", static_cast<float>(factor));
  for (const char* kind : {"long", "short"}) {
    const Json* listed = FindValue(rope, fmt::format("{}_factor", kind));
    const bool fits = listed != nullptr && listed->is_array() &&
                      static_cast<int64_t>(listed->size()) == rope_size / 2;
    if (!fits) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "config.json: {}_factor is no list of {} numbers", kind, rope_size / 2);
    }
    std::vector<float> factors;
    for (const Json& value : *listed) {
      if (!value.is_number())
        return MakeError(ErrorCode::kInvalidArgument, "config.json: {}_factor has no numbers",
                         kind);
      factors.push_back(value.get<float>());
    }
    tensors_->push_back(
        ComputedTensor(fmt::format("rope_factors_{}.weight", kind), std::move(factors)));
  }
  return {};
}

Status NetworkWriter::SetRope(const GatherShape& shape) {
  PUNA_ASSIGN_OR_RETURN(const int64_t width,
                        ConfigInteger(config_, "hidden_size", 0, kMaxInteger, 0));
  PUNA_ASSIGN_OR_RETURN(const int64_t head_size,
                        ConfigInteger(config_, "head_dim", 1, kMaxInteger, width / shape.heads));
  PUNA_ASSIGN_OR_RETURN(const double part, ConfigNumber(config_, "partial_rotary_factor", 1));
  const auto rope_size =
      static_cast<int64_t>(std::clamp(part, 0.0, 1.0) * static_cast<double>(head_size));
  if (rope_size > 0) Set("rope.dimension_count", static_cast<uint32_t>(rope_size));
  const std::string local = JsonString(RopeObject(config_, "sliding_attention"), "rope_type");
  if (!local.empty() && local != "default") {
    return MakeError(ErrorCode::kUnsupported,
                     "rope scaling of type '{}' in local layers is not supported", local);
  }
  const Json& rope = RopeObject(config_);
  const std::string type = JsonString(rope, "rope_type", JsonString(rope, "type", "default"));
  PUNA_ASSIGN_OR_RETURN(const double factor, ConfigNumber(rope, "factor", 1));
  if (type == "linear" || type == "yarn") {
    Set("rope.scaling.type", type.c_str());
    Set("rope.scaling.factor", static_cast<float>(factor));
  }
  if (type == "yarn") {
    PUNA_ASSIGN_OR_RETURN(
        const int64_t original,
        ConfigInteger(rope, "original_max_position_embeddings", 1, kMaxInteger, 0));
    if (original > 0) Set("rope.scaling.original_context_length", static_cast<uint32_t>(original));
    for (const auto& [key, name] :
         {std::pair("rope.scaling.yarn_beta_fast", "beta_fast"),
          std::pair("rope.scaling.yarn_beta_slow", "beta_slow"),
          std::pair("rope.scaling.yarn_attn_factor", "attention_factor")}) {
      if (FindValue(rope, name) == nullptr) continue;
      PUNA_ASSIGN_OR_RETURN(const double value, ConfigNumber(rope, name, 0));
      Set(key, static_cast<float>(value));
    }
    return {};
  }
  if (type == "llama3") return SetLlama3Rope(rope, rope_size);
  if (type == "longrope" || type == "su") return SetLongRope(rope, rope_size);
  if (type == "linear" || type == "default" || type == "dynamic") return {};
  return MakeError(ErrorCode::kUnsupported, "rope scaling of type '{}' is not supported", type);
}

Status NetworkWriter::SetEncoder(GatherShape* shape) {
  Set("attention.causal", false);
  // Sentence Transformers' usual choice; a model that pools otherwise says so in its own module,
  // which convert.cc reads.
  PUNA_ASSIGN_OR_RETURN(const int64_t types,
                        ConfigInteger(config_, "type_vocab_size", 0, kMaxInteger, 1));
  metadata_->Set("tokenizer.ggml.token_type_count", static_cast<uint32_t>(types));
  // RoBERTa counts positions from the one after the padding token's number.
  const std::string kind = JsonString(config_, "model_type");
  if (kind == "xlm-roberta" || kind == "roberta" || kind == "camembert") {
    PUNA_ASSIGN_OR_RETURN(const int64_t padding,
                          ConfigInteger(config_, "pad_token_id", 0, kMaxInteger, 1));
    shape->skipped_positions = padding + 1;
  }
  return {};
}

// With a rope, n_positions is what the code allows; the smallest of these is what was trained.
Status NetworkWriter::SetTrainedLength() {
  PUNA_ASSIGN_OR_RETURN(const Json sentences,
                        checkpoint_.ReadJsonFile("sentence_bert_config.json"));
  int64_t length = kMaxInteger;
  for (const auto& [object, name] :
       {std::pair(&config_, "n_positions"), std::pair(&config_, "max_position_embeddings"),
        std::pair(&config_, "max_trained_positions"), std::pair(&sentences, "max_seq_length")}) {
    PUNA_ASSIGN_OR_RETURN(const int64_t limit,
                          ConfigInteger(*object, name, 1, kMaxInteger, length));
    length = std::min(length, limit);
  }
  if (length < kMaxInteger) Set("context_length", static_cast<uint32_t>(length));
  return {};
}

Result<GatherShape> NetworkWriter::Write() {
  metadata_->Set("general.architecture", family_.architecture);
  metadata_->Set("general.type", "model");
  PUNA_ASSIGN_OR_RETURN(GatherShape shape, ReadShape());
  if (family_.encoder) PUNA_RETURN_IF_ERROR(SetEncoder(&shape));
  if (family_.encoder && family_.rope == RopeUse::kYes) PUNA_RETURN_IF_ERROR(SetTrainedLength());
  if (shape.skipped_positions > 0) {
    PUNA_ASSIGN_OR_RETURN(const int64_t positions,
                          ConfigInteger(config_, "max_position_embeddings", 1, kMaxInteger, 0));
    if (positions <= shape.skipped_positions)
      return MakeError(ErrorCode::kInvalidArgument,
                       "config.json: max_position_embeddings is {}, expected more than {}",
                       positions, shape.skipped_positions);
    Set("context_length", static_cast<uint32_t>(positions - shape.skipped_positions));
  }
  PUNA_RETURN_IF_ERROR(SetKeys(family_.keys));
  PUNA_RETURN_IF_ERROR(SetKeys(CommonKeys()));
  PUNA_RETURN_IF_ERROR(SetWindow());
  // Of models that compute embeddings, whose tokens see the whole text.
  if (const Json* causal = FindValue(config_, "is_causal");
      causal != nullptr && causal->is_boolean() && !causal->get<bool>()) {
    Set("attention.causal", false);
  }
  if (family_.rope == RopeUse::kYes && !family_.encoder) PUNA_RETURN_IF_ERROR(SetRope(shape));
  return shape;
}

}  // namespace

Result<int64_t> ConfigInteger(const Json& config, std::string_view name, int64_t low, int64_t high,
                              int64_t absent) {
  const Json* value = FindValue(config, name);
  if (value == nullptr) return absent;
  const bool whole = value->is_number_integer() &&
                     !(value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX);
  if (!whole || value->get<int64_t>() < low || value->get<int64_t>() > high) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "config.json: {} is {}, expected a whole number from {} to {}", name,
                     DumpJson(*value).substr(0, 50), low, high);
  }
  return value->get<int64_t>();
}

Result<GatherShape> SetNetwork(const Checkpoint& checkpoint, const Family& family,
                               gguf::StreamWriter* metadata, std::vector<TensorSource>* tensors) {
  return NetworkWriter(checkpoint, family, metadata, tensors).Write();
}

}  // namespace puna::store
