// A tensor of the file may be several weights of the plan (fused q/k/v, fused gate/up) and then its
// B is cut along its rows; A is the same for all of them. Both become float32: they are a percent
// of the model, and every backend can use them as they are.
#include "model/lora.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <string_view>

#include "base/log.h"
#include "model/arch/spec.h"

namespace puna::model {
namespace {

constexpr std::string_view kSuffixA = ".lora_a", kSuffixB = ".lora_b";
constexpr std::string_view kTokenEmbedding = "token_embd.weight";
// More than any sensible rank; bounds the work of a pass.
constexpr int64_t kMaxRank = 4096;

struct Pair {
  const gguf::Tensor* a = nullptr;
  const gguf::Tensor* b = nullptr;
};
using Pairs = std::map<std::string_view, Pair>;

template <typename... Args>
Error Invalid(fmt::format_string<Args...> format, Args&&... args) {
  return {ErrorCode::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...)};
}

Status CheckMetadata(const gguf::File& file, const ModelConfig& config) {
  PUNA_ASSIGN_OR_RETURN(const auto type, file.GetString("general.type"));
  if (type.value_or("") != "adapter") {
    return tl::unexpected(Invalid("metadata key general.type is \"{}\", expected \"adapter\"",
                                  type.value_or("").substr(0, 64)));
  }
  PUNA_ASSIGN_OR_RETURN(const auto kind, file.GetString("adapter.type"));
  if (kind.value_or("") != "lora") {
    return MakeError(ErrorCode::kUnsupported,
                     "metadata key adapter.type is \"{}\", expected \"lora\"",
                     kind.value_or("").substr(0, 64));
  }
  if (file.Find("adapter.alora.invocation_tokens") != nullptr) {
    return MakeError(ErrorCode::kUnsupported,
                     "the adapter is to be switched on by tokens of the text "
                     "(adapter.alora.invocation_tokens), which is not supported");
  }
  PUNA_ASSIGN_OR_RETURN(const auto architecture, file.GetString("general.architecture"));
  const std::string_view found = architecture.value_or("");
  // Names of one network (gpt-oss, gptoss) share their spec.
  if (found != config.architecture &&
      (arch::FindSpec(found) == nullptr ||
       arch::FindSpec(found) != arch::FindSpec(config.architecture))) {
    return tl::unexpected(Invalid("the adapter is for the architecture \"{}\", the model is \"{}\"",
                                  found.substr(0, 64), config.architecture));
  }
  return {};
}

Result<Pairs> ReadPairs(const gguf::File& file) {
  Pairs pairs;
  for (const gguf::Tensor& tensor : file.tensors()) {
    const std::string_view name = tensor.name;
    if (name.ends_with(kSuffixA)) {
      pairs[name.substr(0, name.size() - kSuffixA.size())].a = &tensor;
    } else if (name.ends_with(kSuffixB)) {
      pairs[name.substr(0, name.size() - kSuffixB.size())].b = &tensor;
    } else if (name.ends_with("_norm.weight")) {
      // Some trainers store norms beside the pairs; llama.cpp runs without them too.
      LogWarning("tensor {} of the adapter is no low-rank pair and is ignored", name);
      continue;
    } else {
      return tl::unexpected(
          Invalid("tensor {} of the adapter ends in neither .lora_a nor .lora_b", name));
    }
    const quant::TypeTraits& traits = quant::TraitsOf(tensor.type);
    if (traits.decode == nullptr || tensor.dims[0] % traits.block_elements != 0) {
      return tl::unexpected(Invalid("tensor {} of the adapter has type {}, expected one of weights",
                                    name, traits.name));
    }
  }
  for (const auto& [name, pair] : pairs) {
    if (pair.a == nullptr || pair.b == nullptr) {
      return tl::unexpected(Invalid("tensor {}{} of the adapter is missing", name,
                                    pair.a == nullptr ? kSuffixA : kSuffixB));
    }
  }
  if (pairs.empty()) return tl::unexpected(Invalid("the adapter changes no tensor"));
  return pairs;
}

Status CheckShape(const gguf::Tensor& tensor, std::array<int64_t, 3> wanted) {
  if (tensor.dims == std::array<int64_t, 4>{wanted[0], wanted[1], wanted[2], 1}) return {};
  const std::string experts = wanted[2] == 1 ? "" : fmt::format(", {}", wanted[2]);
  return tl::unexpected(Invalid("tensor {} of the adapter has shape {}, expected [{}, {}{}]",
                                tensor.name, tensor.shape(), wanted[0], wanted[1], experts));
}

// Of the token embeddings the rank is the length of the rows of both.
Status CheckPair(const Pair& pair, const backend::Weight& weight, bool turned) {
  const int64_t rows = weight.tensor_rows != 0 ? weight.tensor_rows : weight.rows;
  const int64_t rank = pair.b->dims[0];
  if (rank < 1 || rank > kMaxRank) {
    return tl::unexpected(Invalid("tensor {} of the adapter has rank {}, expected 1 to {}",
                                  pair.b->name, rank, kMaxRank));
  }
  if ((turned ? pair.a->dims[0] : pair.a->dims[1]) != rank) {
    return tl::unexpected(Invalid("tensor {} of the adapter has rank {}, but {} has rank {}",
                                  pair.a->name, turned ? pair.a->dims[0] : pair.a->dims[1],
                                  pair.b->name, rank));
  }
  if (turned) {
    PUNA_RETURN_IF_ERROR(CheckShape(*pair.a, {rank, rows, 1}));
    return CheckShape(*pair.b, {rank, weight.cols, 1});
  }
  PUNA_RETURN_IF_ERROR(CheckShape(*pair.a, {weight.cols, rank, weight.experts}));
  return CheckShape(*pair.b, {rank, rows, weight.experts});
}

std::vector<float> Values(const gguf::Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  quant::TraitsOf(tensor.type).decode(tensor.data.data(), tensor.elements(), values.data());
  return values;
}

// Columns of `matrix` [experts][all][rank], of the rows that `weight` has: [experts][rank][rows].
std::vector<float> Columns(const std::vector<float>& matrix, const backend::Weight& weight,
                           int64_t all, int64_t rank, float scale) {
  const int64_t step =
      weight.row_stride_bytes != 0 ? weight.row_stride_bytes / weight.RowBytes() : 1;
  std::vector<float> out;
  out.reserve(static_cast<size_t>(weight.experts * rank * weight.rows));
  for (int64_t expert = 0; expert < weight.experts; ++expert) {
    for (int64_t r = 0; r < rank; ++r) {
      for (int64_t row = 0; row < weight.rows; ++row) {
        const int64_t from = expert * all + weight.first_row + row * step;
        out.push_back(scale * matrix[static_cast<size_t>(from * rank + r)]);
      }
    }
  }
  return out;
}

backend::LowRankChange MakeChange(const Pair& pair, backend::WeightId id,
                                  const backend::Weight& weight, bool turned, double alpha) {
  backend::LowRankChange change{.weight = id, .rank = pair.b->dims[0]};
  change.cols = weight.cols;
  change.rows = weight.rows;
  const auto scale =
      static_cast<float>(alpha != 0 ? alpha / static_cast<double>(change.rank) : 1.0);
  const int64_t all = weight.tensor_rows != 0 ? weight.tensor_rows : weight.rows;
  if (turned) {
    backend::Weight whole;  // all columns of lora_b, as they are
    whole.rows = weight.cols;
    change.a = Columns(Values(*pair.b), whole, weight.cols, change.rank, 1);
    change.b = Columns(Values(*pair.a), weight, all, change.rank, scale);
  } else {
    change.a = Values(*pair.a);
    change.b = Columns(Values(*pair.b), weight, all, change.rank, scale);
  }
  return change;
}

}  // namespace

Result<std::shared_ptr<const backend::Adapter>> BindAdapter(const gguf::File& file,
                                                            const ModelConfig& config,
                                                            const backend::Plan& plan) {
  PUNA_RETURN_IF_ERROR(CheckMetadata(file, config));
  PUNA_ASSIGN_OR_RETURN(const auto alpha, file.GetNumber("adapter.lora.alpha"));
  if (!std::isfinite(alpha.value_or(0)))
    return tl::unexpected(Invalid("metadata key adapter.lora.alpha is {}", *alpha));
  PUNA_ASSIGN_OR_RETURN(const Pairs pairs, ReadPairs(file));
  std::multimap<std::string_view, backend::WeightId> weights;
  for (size_t id = 0; id < plan.weights.size(); ++id)
    weights.emplace(plan.weights[id].name, static_cast<backend::WeightId>(id));
  const std::vector<bool> changeable = backend::ChangeableWeights(plan);

  auto adapter = std::make_shared<backend::Adapter>();
  adapter->by_weight.assign(plan.weights.size(), -1);
  for (const auto& [name, pair] : pairs) {
    const auto [begin, end] = weights.equal_range(name);
    if (begin == end) {
      return tl::unexpected(
          Invalid("the adapter changes tensor {}, which the model does not have", name));
    }
    for (auto entry = begin; entry != end; ++entry) {
      const backend::WeightId id = entry->second;
      const backend::Weight& weight = plan.weights[static_cast<size_t>(id)];
      if (!changeable[static_cast<size_t>(id)]) {
        return MakeError(ErrorCode::kUnsupported,
                         "the adapter changes tensor {}, which is no matrix product of this model",
                         name);
      }
      const bool turned = name == kTokenEmbedding;
      PUNA_RETURN_IF_ERROR(CheckPair(pair, weight, turned));
      adapter->by_weight[static_cast<size_t>(id)] = static_cast<int>(adapter->changes.size());
      adapter->changes.push_back(MakeChange(pair, id, weight, turned, alpha.value_or(0)));
    }
  }
  return adapter;
}

}  // namespace puna::model
