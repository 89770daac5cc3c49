// Which tensor gets which type in which mixture is what llama.cpp's quantizer does without an
// importance matrix (src/llama-quant.cpp), so that files made here cost what real ones cost.
#include "cli/synth_shapes.h"

#include <algorithm>
#include <cctype>

namespace puna::cli {
namespace {

using quant::TensorType;

constexpr Shape kShapes[] = {
    // For tests: everything small, and still a multiple of the largest block.
    {"tiny", "llama", 256, 2, 4, 2, 64, 512, 512, 2048, 10000, false, false},
    {"tiny-moe", "qwen3moe", 256, 2, 4, 2, 64, 512, 512, 2048, 10000, false, true, 8, 2, 256},
    {"tiny-gemma3", "gemma3", 256, 6, 4, 1, 64, 512, 512, 2048, 1e6F, true, true, 0, 0, 0, 64,
     true},
    {"llama-1b", "llama", 2048, 16, 32, 8, 64, 8192, 128256, 131072, 500000, false, false},
    {"llama-3b", "llama", 3072, 28, 24, 8, 128, 8192, 128256, 131072, 500000, true, false},
    {"llama-8b", "llama", 4096, 32, 32, 8, 128, 14336, 128256, 131072, 500000, false, false},
    {"qwen3-0.6b", "qwen3", 1024, 28, 16, 8, 128, 3072, 151936, 40960, 1e6F, true, true},
    {"qwen3-1.7b", "qwen3", 2048, 28, 16, 8, 128, 6144, 151936, 40960, 1e6F, true, true},
    {"qwen3-4b", "qwen3", 2560, 36, 32, 8, 128, 9728, 151936, 40960, 1e6F, true, true},
    {"qwen3-8b", "qwen3", 4096, 36, 32, 8, 128, 12288, 151936, 40960, 1e6F, false, true},
    // Qwen3-30B-A3B with 8 of its 48 layers: the same layers in a sixth of the memory.
    {"qwen3moe-tiny", "qwen3moe", 2048, 8, 32, 4, 128, 6144, 151936, 40960, 1e6F, false, true, 128,
     8, 768},
    {"gemma3-1b", "gemma3", 1152, 26, 4, 1, 256, 6912, 262144, 32768, 1e6F, true, true, 0, 0, 0,
     512, true},
};

// In which layers a tensor gets its better type.
enum class Where {
  kNever,
  kAlways,
  kFirstTwo,
  kFirstFour,
  kFirst16th,
  kFirst8th,
  kMoreBits,
  kWideGroups
};

bool Applies(Where where, int64_t layer, const Shape& shape) {
  const int64_t n = shape.layers;
  switch (where) {
    case Where::kNever:
      return false;
    case Where::kAlways:
      return true;
    case Where::kFirstTwo:
      return layer < 2;
    case Where::kFirstFour:
      return layer < 4;
    case Where::kFirst16th:
      return layer < n / 16;
    case Where::kFirst8th:
      return layer < n / 8;
    case Where::kMoreBits:  // the first and last eighth and every third layer between
      return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
    case Where::kWideGroups:  // four or more query heads share a value head
      return shape.heads / shape.kv_heads >= 4;
  }
  return false;
}

struct Rule {
  Where where = Where::kNever;
  TensorType better = TensorType::kF32;
  std::optional<TensorType> otherwise = std::nullopt;  // the main type
};

// The type that takes the place of one whose blocks of 256 do not fill the rows.
TensorType Fallback(TensorType type) {
  switch (type) {
    case TensorType::kQ4_K:
      return TensorType::kQ5_0;
    case TensorType::kQ5_K:
      return TensorType::kQ5_1;
    case TensorType::kQ6_K:
      return TensorType::kQ8_0;
    case TensorType::kQ2_K:
    case TensorType::kQ3_K:
    case TensorType::kTQ1_0:
    case TensorType::kTQ2_0:
      return TensorType::kQ4_0;
    default:
      return TensorType::kIQ4_NL;
  }
}

bool SameIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

}  // namespace

struct FileType::Mixture {
  std::string_view name;
  uint32_t number;  // general.file_type
  TensorType main;
  Rule value = {}, down = {}, attention_output = {};
};

std::span<const FileType::Mixture> AllMixtures() {
  using T = TensorType;
  using W = Where;
  static constexpr FileType::Mixture kMixtures[] = {
      {"F32", 0, T::kF32},
      {"F16", 1, T::kF16},
      {"BF16", 32, T::kBF16},
      {"Q4_0", 2, T::kQ4_0},
      {"Q4_1", 3, T::kQ4_1},
      {"Q5_0", 8, T::kQ5_0},
      {"Q5_1", 9, T::kQ5_1},
      {"Q8_0", 7, T::kQ8_0},
      {"Q2_K",
       10,
       T::kQ2_K,
       {W::kWideGroups, T::kQ4_K, T::kQ3_K},
       {W::kAlways, T::kQ3_K},
       {W::kAlways, T::kQ3_K}},
      {"Q3_K_S", 11, T::kQ3_K},
      {"Q3_K_M",
       12,
       T::kQ3_K,
       {W::kFirstTwo, T::kQ5_K, T::kQ4_K},
       {W::kFirst16th, T::kQ5_K, T::kQ4_K},
       {W::kAlways, T::kQ4_K}},
      {"Q3_K_L",
       13,
       T::kQ3_K,
       {W::kAlways, T::kQ5_K},
       {W::kAlways, T::kQ5_K},
       {W::kAlways, T::kQ5_K}},
      {"Q4_K_S", 14, T::kQ4_K, {W::kFirstFour, T::kQ5_K}, {W::kFirst8th, T::kQ5_K}},
      {"Q4_K_M", 15, T::kQ4_K, {W::kMoreBits, T::kQ6_K}, {W::kMoreBits, T::kQ6_K}},
      {"Q5_K_S", 16, T::kQ5_K},
      {"Q5_K_M", 17, T::kQ5_K, {W::kMoreBits, T::kQ6_K}, {W::kMoreBits, T::kQ6_K}},
      {"Q6_K", 18, T::kQ6_K},
      {"IQ4_NL", 25, T::kIQ4_NL, {W::kWideGroups, T::kQ5_K}, {W::kFirst8th, T::kQ5_K}},
      {"IQ4_XS", 30, T::kIQ4_XS, {W::kWideGroups, T::kQ5_K}, {W::kFirst8th, T::kQ5_K}},
  };
  return kMixtures;
}

std::span<const Shape> AllShapes() { return kShapes; }

const Shape* FindShape(std::string_view name) {
  for (const Shape& shape : kShapes) {
    if (shape.name == name) return &shape;
  }
  return nullptr;
}

std::optional<FileType> FileType::Find(std::string_view name) {
  FileType type;
  for (const Mixture& mixture : AllMixtures()) {
    if (!SameIgnoringCase(mixture.name, name)) continue;
    type.main_ = mixture.main;
    type.number_ = mixture.number;
    type.mixture_ = &mixture;
    return type;
  }
  const quant::TypeTraits* traits = quant::FindTypeByName(name);
  if (traits == nullptr || traits->encode == nullptr || traits->decode == nullptr)
    return std::nullopt;
  type.main_ = traits->type;
  return type;
}

TensorType FileType::TypeOf(TensorRole role, int64_t layer, const Shape& shape,
                            int64_t columns) const {
  TensorType type = main_;
  const bool is_float =
      main_ == TensorType::kF32 || main_ == TensorType::kF16 || main_ == TensorType::kBF16;
  const auto apply = [&](const Rule& rule) {
    if (Applies(rule.where, layer, shape)) {
      type = rule.better;
    } else {
      type = rule.otherwise.value_or(main_);
    }
  };
  if (mixture_ != nullptr && !is_float) {
    if (role == TensorRole::kOutput || (role == TensorRole::kEmbedding && shape.tied)) {
      const bool whole = columns % quant::TraitsOf(main_).block_elements == 0;
      if (!whole) return TensorType::kQ8_0;
      if (main_ != TensorType::kQ8_0) type = TensorType::kQ6_K;
    } else if (role == TensorRole::kValue) {
      apply(mixture_->value);
    } else if (role == TensorRole::kDown) {
      apply(mixture_->down);
    } else if (role == TensorRole::kAttentionOutput) {
      apply(mixture_->attention_output);
    }
  }
  if (columns % quant::TraitsOf(type).block_elements != 0) type = Fallback(type);
  if (columns % quant::TraitsOf(type).block_elements != 0) type = TensorType::kF16;
  return type;
}

}  // namespace puna::cli
