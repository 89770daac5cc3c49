// Two tables (types, and what no type touches) and the few rules that hold for all types.
#include "store/file_type.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <numeric>

#include <fmt/format.h>

#include "base/check.h"

namespace puna::store {
namespace {

using T = quant::TensorType;
using W = When;
constexpr auto kReadOnly = std::optional<T>();

constexpr FileType kFileTypes[] = {
    {"F32", 0, T::kF32},
    {"F16", 1, T::kF16},
    {.name = "Q4_0", .number = 2, .main = T::kQ4_0, .down = {{{W::kFirst8thWeighted, T::kQ4_1}}}},
    {"Q4_1", 3, T::kQ4_1},
    {"Q8_0", 7, T::kQ8_0},
    {.name = "Q5_0", .number = 8, .main = T::kQ5_0, .down = {{{W::kFirst8thWeighted, T::kQ5_1}}}},
    {"Q5_1", 9, T::kQ5_1},
    {.name = "Q2_K",
     .number = 10,
     .main = T::kQ2_K,
     .value = {{{W::kWideGroups, T::kQ4_K}, {W::kAlways, T::kQ3_K}}},
     .down = {{{W::kAlways, T::kQ3_K}}},
     .attention_output = {{{W::kAlways, T::kQ3_K}}},
     .eight_experts_output = T::kQ5_K},
    {.name = "Q3_K_S", .number = 11, .main = T::kQ3_K, .eight_experts_output = T::kQ5_K},
    {.name = "Q3_K_M",
     .number = 12,
     .main = T::kQ3_K,
     .value = {{{W::kFirstTwo, T::kQ5_K}, {W::kAlways, T::kQ4_K}}},
     .down = {{{W::kFirst16th, T::kQ5_K}, {W::kAlways, T::kQ4_K}}},
     .attention_output = {{{W::kAlways, T::kQ4_K}}},
     .eight_experts_output = T::kQ5_K},
    {.name = "Q3_K_L",
     .number = 13,
     .main = T::kQ3_K,
     .value = {{{W::kAlways, T::kQ5_K}}},
     .down = {{{W::kAlways, T::kQ5_K}}},
     .attention_output = {{{W::kAlways, T::kQ5_K}}}},
    {.name = "Q4_K_S",
     .number = 14,
     .main = T::kQ4_K,
     .value = {{{W::kFirstFour, T::kQ5_K}}},
     .down = {{{W::kFirst8th, T::kQ5_K}}},
     .eight_experts_output = T::kQ5_K},
    {.name = "Q4_K_M",
     .number = 15,
     .main = T::kQ4_K,
     .value = {{{W::kMoreBits, T::kQ6_K}}},
     .down = {{{W::kMoreBits, T::kQ6_K}}},
     .eight_experts_output = T::kQ5_K},
    {"Q5_K_S", 16, T::kQ5_K},
    {.name = "Q5_K_M",
     .number = 17,
     .main = T::kQ5_K,
     .value = {{{W::kMoreBits, T::kQ6_K}}},
     .down = {{{W::kMoreBits, T::kQ6_K}}}},
    {"Q6_K", 18, T::kQ6_K},
    {"IQ2_XXS", 19, kReadOnly},
    {"IQ2_XS", 20, kReadOnly},
    {.name = "Q2_K_S",
     .number = 21,
     .main = T::kQ2_K,
     .value = {{{W::kWideGroups, T::kQ4_K}}},
     .down = {{{W::kFirst8th, T::kQ4_K}}}},
    {"IQ3_XS", 22, kReadOnly},
    {"IQ3_XXS", 23, kReadOnly},
    {"IQ1_S", 24, kReadOnly},
    {.name = "IQ4_NL",
     .number = 25,
     .main = T::kIQ4_NL,
     .value = {{{W::kWideGroups, T::kQ5_K}}},
     .down = {{{W::kFirst8thPlain, T::kQ5_K}}},
     .eight_experts_output = T::kQ5_K},
    {"IQ3_S", 26, kReadOnly},
    {"IQ3_M", 27, kReadOnly},
    {"IQ2_S", 28, kReadOnly},
    {"IQ2_M", 29, kReadOnly},
    {.name = "IQ4_XS",
     .number = 30,
     .main = T::kIQ4_XS,
     .value = {{{W::kWideGroups, T::kQ5_K}}},
     .down = {{{W::kFirst8thPlain, T::kQ5_K}}},
     .eight_experts_output = T::kQ5_K},
    {"IQ1_M", 31, kReadOnly},
    {"BF16", 32, T::kBF16},
    {"TQ1_0", 36, kReadOnly},
    {"TQ2_0", 37, kReadOnly},
    {"MXFP4", 38, T::kMXFP4},
};

// Falcon's feed-forward suffers less than the others'.
struct FalconRules {
  uint32_t number;
  TypeRules down, attention_output;
};
constexpr FalconRules kFalcon[] = {
    {10, {{{W::kAlways, T::kQ3_K}}}, {}},
    {12, {{{W::kFirst16th, T::kQ5_K}, {W::kMoreBits, T::kQ4_K}}}, {}},
    {13, {{{W::kAlways, T::kQ4_K}}}, {{{W::kAlways, T::kQ4_K}}}},
    {14, {}, {}},
    {15, {{{W::kFirst16th, T::kQ6_K}, {W::kMoreBits, T::kQ5_K}}}, {}},
};

constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"Q3_K", "Q3_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q5_K", "Q5_K_M"}, {"MXFP4_MOE", "MXFP4"}};

// Matrices that keep their type: a name that contains one of these, or is one of the others.
constexpr std::string_view kKeptParts[] = {"_norm.weight",
                                           "ffn_gate_inp.weight",
                                           "ffn_gate_tid2eid.weight",
                                           "altup",
                                           "laurel",
                                           "per_layer_model_proj",
                                           "ssm_conv1d",
                                           "shortconv.conv.weight",
                                           "indexer.k_proj.weight",
                                           "indexer.q_proj.weight",
                                           "time_mix_first.weight",
                                           "time_mix_w0.weight",
                                           "time_mix_w1.weight",
                                           "time_mix_w2.weight",
                                           "time_mix_v0.weight",
                                           "time_mix_v1.weight",
                                           "time_mix_v2.weight",
                                           "time_mix_a0.weight",
                                           "time_mix_a1.weight",
                                           "time_mix_a2.weight",
                                           "time_mix_g1.weight",
                                           "time_mix_g2.weight",
                                           "time_mix_decay_w1.weight",
                                           "time_mix_decay_w2.weight",
                                           "time_mix_lerp_fused.weight",
                                           "attn_rel_b.weight",
                                           ".position_embd",
                                           "sam.pos_embd",
                                           "sam.neck.",
                                           "sam.net_",
                                           ".rel_pos",
                                           ".patch_embd",
                                           ".patch_merger",
                                           "a.rvq.codebook",
                                           "mm.a.code_embd"};
constexpr std::string_view kKeptNames[] = {"position_embd.weight", "token_types.weight"};

enum class Role { kOutput, kEmbedding, kValue, kKey, kAttentionOutput, kDown, kOther };

Role RoleOf(std::string_view name) {
  static constexpr std::pair<std::string_view, Role> kParts[] = {
      {"attn_qkv.weight", Role::kValue}, {"attn_kv_b.weight", Role::kValue},
      {"attn_v.weight", Role::kValue},   {"attn_k.weight", Role::kKey},
      {"attn_q.weight", Role::kOther},   {"attn_output.weight", Role::kAttentionOutput},
      {"ffn_up", Role::kOther},          {"ffn_gate", Role::kOther},
      {"ffn_down", Role::kDown}};
  if (name == "output.weight") return Role::kOutput;
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight") return Role::kEmbedding;
  for (const auto& [part, role] : kParts) {
    if (name.find(part) != std::string_view::npos) return role;
  }
  return Role::kOther;
}

bool SameIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::toupper(x) == std::toupper(y);
  });
}

// The number in "blk.N.", else -1.
int64_t LayerOf(std::string_view name) {
  if (!name.starts_with("blk.")) return -1;
  int64_t layer = -1;
  const auto [end, code] = std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  return code == std::errc() && end != name.data() + name.size() && *end == '.' ? layer : -1;
}

// Models in which eight or more heads share the values, so that better ones cost little.
bool HasSmallValues(const ModelShape& shape) {
  if (shape.architecture == "llama") return shape.layers == 80 && shape.heads != shape.kv_heads;
  if (shape.architecture == "jais2") return shape.layers == 68;
  return shape.layers == 80 && (shape.architecture == "deci" || shape.architecture == "olmo" ||
                                shape.architecture == "qwen2");
}

bool Fills(T type, int64_t columns) { return columns % quant::TraitsOf(type).block_elements == 0; }

T WithFittingBlocks(T type, int64_t columns) {
  if (Fills(type, columns)) return type;
  T smaller = type;
  switch (type) {
    case T::kQ4_K:
      smaller = T::kQ5_0;
      break;
    case T::kQ5_K:
      smaller = T::kQ5_1;
      break;
    case T::kQ6_K:
      smaller = T::kQ8_0;
      break;
    case T::kIQ4_XS:
      smaller = T::kIQ4_NL;
      break;
    case T::kQ2_K:
    case T::kQ3_K:
      smaller = T::kQ4_0;
      break;
    default:
      break;
  }
  return Fills(smaller, columns) ? smaller : T::kF16;
}

// One run of ChooseTypes. Tensors come layer by layer, because some rules count.
class Chooser {
 public:
  Chooser(const FileType& type, const ModelShape& shape, std::span<const TensorShape> tensors)
      : type_(type), shape_(shape) {
    for (const TensorShape& tensor : tensors) {
      if (RoleOf(tensor.name) == Role::kValue) ++values_;
      if (tensor.name == "output.weight") tied_ = false;
    }
    down_ = type.down;
    attention_output_ = type.attention_output;
    for (const FalconRules& rules : kFalcon) {
      if (!IsFalcon() || rules.number != type.number) continue;
      down_ = rules.down;
      attention_output_ = rules.attention_output;
    }
  }

  T TypeOf(const TensorShape& tensor) {
    if (!MayChangeType(tensor)) return tensor.type;
    const T main = *type_.main;
    if (main == T::kF32 || main == T::kF16 || main == T::kBF16) return main;
    const T wanted = type_.uniform ? main : Wanted(tensor);
    return WithFittingBlocks(wanted, tensor.dims[0]);
  }

 private:
  bool IsFalcon() const { return shape_.architecture == "falcon"; }

  bool Applies(When when, int64_t layer, int64_t n) const {
    switch (when) {
      case W::kNever:
        return false;
      case W::kAlways:
        return true;
      case W::kFirstTwo:
        return layer < 2;
      case W::kFirstFour:
        return layer < 4;
      case W::kFirst16th:
        return layer < n / 16;
      case W::kFirst8th:
        return layer < n / 8;
      case W::kFirst8thPlain:
        return layer < n / 8 && !shape_.weighted;
      case W::kFirst8thWeighted:
        return layer < n / 8 && shape_.weighted;
      case W::kMoreBits:
        return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
      case W::kWideGroups:
        return shape_.kv_heads > 0 && shape_.heads / shape_.kv_heads >= 4;
    }
    return false;
  }

  T FirstOf(const TypeRules& rules, int64_t layer, int64_t n) const {
    for (const TypeRule& rule : rules) {
      if (Applies(rule.when, layer, n)) return rule.type;
    }
    return *type_.main;
  }

  T OutputType(int64_t columns) const {
    const T main = *type_.main;
    if (main == T::kMXFP4 || main == T::kQ8_0 || IsFalcon() || !Fills(main, columns))
      return T::kQ8_0;
    return T::kQ6_K;
  }

  T ValueType() {
    T type = FirstOf(type_.value, value_, values_);
    ++value_;
    if (HasSmallValues(shape_) && (type == T::kQ3_K || type == T::kQ4_K)) type = T::kQ5_K;
    return shape_.experts == 8 ? T::kQ8_0 : type;
  }

  T Wanted(const TensorShape& tensor) {
    const Role role = RoleOf(tensor.name);
    const T main = *type_.main;
    if (role == Role::kOutput || (role == Role::kEmbedding && tied_))
      return OutputType(tensor.dims[0]);
    if (main == T::kMXFP4) {  // for experts; what every token meets is kept better
      const bool experts = tensor.dims.size() > 2 && tensor.dims[2] > 1;
      return experts ? main : T::kQ8_0;
    }
    switch (role) {
      case Role::kValue:
        return ValueType();
      case Role::kKey:
        return shape_.experts == 8 ? T::kQ8_0 : main;
      case Role::kDown: {
        // Experts may come one by one, so that counting would not tell the layer.
        const int64_t layer = shape_.experts > 1 ? LayerOf(tensor.name) : down_count_++;
        return FirstOf(down_, layer, shape_.layers);
      }
      case Role::kAttentionOutput:
        if (!IsFalcon() && shape_.experts == 8) return type_.eight_experts_output.value_or(main);
        return FirstOf(attention_output_, 0, shape_.layers);
      default:
        return main;
    }
  }

  const FileType& type_;
  const ModelShape& shape_;
  TypeRules down_, attention_output_;
  bool tied_ = true;
  int64_t values_ = 0, value_ = 0, down_count_ = 0;
};

// A number, or the first of an array of one per layer.
int64_t FirstInteger(const gguf::File& file, const std::string& key, int64_t absent) {
  if (const auto number = file.GetInteger(key); number && *number) return **number;
  const auto array = file.GetArray(key);
  if (!array || *array == nullptr || (*array)->size() == 0) return absent;
  const auto kind = (*array)->kind();
  const bool whole = kind == gguf::Array::Kind::kUnsigned || kind == gguf::Array::Kind::kSigned;
  return whole ? (*array)->integer_at(0) : absent;
}

}  // namespace

std::span<const FileType> AllFileTypes() { return kFileTypes; }

const FileType* FindFileType(std::string_view name) {
  for (const auto& [alias, canonical] : kAliases) {
    if (SameIgnoringCase(alias, name)) name = canonical;
  }
  const auto* row = std::find_if(std::begin(kFileTypes), std::end(kFileTypes),
                                 [&](const auto& t) { return SameIgnoringCase(t.name, name); });
  return row == std::end(kFileTypes) ? nullptr : row;
}

const FileType* FindFileType(int64_t number) {
  const auto* row = std::find_if(std::begin(kFileTypes), std::end(kFileTypes),
                                 [&](const auto& t) { return int64_t{*t.number} == number; });
  return row == std::end(kFileTypes) ? nullptr : row;
}

FileType UniformFileType(quant::TensorType type) {
  return {.name = quant::TraitsOf(type).name, .main = type, .uniform = true};
}

std::string WritableFileTypes() {
  std::string names;
  for (const FileType& type : kFileTypes) {
    if (type.main) names += (names.empty() ? "" : ", ") + std::string(type.name);
  }
  return names;
}

ModelShape ShapeOf(const gguf::File& file) {
  ModelShape shape;
  if (const auto name = file.GetString("general.architecture"); name && *name)
    shape.architecture = **name;
  const auto count = [&](const char* key, int64_t absent) {
    return FirstInteger(file, fmt::format("{}.{}", shape.architecture, key), absent);
  };
  shape.layers = count("block_count", 0);
  shape.experts = count("expert_count", 0);
  shape.heads = count("attention.head_count", 0);
  shape.kv_heads = count("attention.head_count_kv", shape.heads);
  return shape;
}

bool MayChangeType(const TensorShape& tensor) {
  const auto contains = [&](std::string_view part) {
    return tensor.name.find(part) != std::string_view::npos;
  };
  const auto matrix_dims = std::count_if(tensor.dims.begin() + (tensor.dims.empty() ? 0 : 1),
                                         tensor.dims.end(), [](int64_t dim) { return dim > 1; });
  return matrix_dims > 0 && tensor.name.ends_with("weight") &&
         quant::TraitsOf(tensor.type).decode != nullptr &&
         std::none_of(std::begin(kKeptParts), std::end(kKeptParts), contains) &&
         std::find(std::begin(kKeptNames), std::end(kKeptNames), tensor.name) ==
             std::end(kKeptNames);
}

std::vector<quant::TensorType> ChooseTypes(const FileType& type, const ModelShape& shape,
                                           std::span<const TensorShape> tensors) {
  CHECK(type.main.has_value()) << type.name;
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(LayerOf(tensors[a].name), tensors[a].name) <
           std::pair(LayerOf(tensors[b].name), tensors[b].name);
  });
  Chooser chooser(type, shape, tensors);
  std::vector<quant::TensorType> types(tensors.size());
  for (const size_t i : order) types[i] = chooser.TypeOf(tensors[i]);
  return types;
}

}  // namespace puna::store
