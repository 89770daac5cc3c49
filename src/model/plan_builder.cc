#include "model/plan_builder.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>

#include "model/ollama_names.h"

namespace puna::model {

PlanBuilder::PlanBuilder(const ModelConfig& config, std::shared_ptr<const gguf::File> file,
                         const PlanOptions& options)
    : config_(config), options_(options), owned_(std::make_shared<Owned>()) {
  owned_->file = std::move(file);
  plan_.vocabulary = config.vocabulary;
  plan_.owner = owned_;
}

void PlanBuilder::Fail(ErrorCode code, std::string message) {
  if (ok()) status_ = tl::unexpected<Error>(Error{code, std::move(message)});
}

backend::Plan PlanBuilder::Take() { return std::move(plan_); }

std::string PlanBuilder::Name(int64_t layer, std::string_view name) {
  return fmt::format("blk.{}.{}", layer, name);
}

bool PlanBuilder::Has(std::string_view tensor) const {
  return TensorInFile(*owned_->file, tensor) != nullptr;
}

std::string PlanBuilder::FirstOf(std::initializer_list<std::string> names) const {
  for (const std::string& name : names) {
    if (Has(name)) return name;
  }
  return *names.begin();
}

int64_t PlanBuilder::RowsOf(std::string_view tensor) const {
  const gguf::Tensor* found = TensorInFile(*owned_->file, tensor);
  return found == nullptr ? 0 : found->dims[1];
}

int64_t PlanBuilder::ColsOf(std::string_view tensor) const {
  const gguf::Tensor* found = TensorInFile(*owned_->file, tensor);
  return found == nullptr ? 0 : found->dims[0];
}

const gguf::Tensor* PlanBuilder::Find(const std::string& name,
                                      std::initializer_list<int64_t> dims) {
  if (!ok()) return nullptr;
  const gguf::Tensor* tensor = TensorInFile(*owned_->file, name);
  if (tensor == nullptr) {
    Fail(ErrorCode::kCorrupt,
         fmt::format("tensor {} is missing, expected shape {}", name, std::span(dims)));
    return nullptr;
  }
  std::array<int64_t, 4> wanted = {1, 1, 1, 1};
  std::copy(dims.begin(), dims.end(), wanted.begin());
  if (tensor->dims != wanted) {
    Fail(ErrorCode::kCorrupt, fmt::format("tensor {} has shape {}, expected {}", name,
                                          tensor->shape(), std::span(dims)));
    return nullptr;
  }
  const quant::TypeTraits& traits = quant::TraitsOf(tensor->type);
  if (traits.decode == nullptr) {
    Fail(ErrorCode::kCorrupt,
         fmt::format("tensor {} has type {}, expected one that holds weights", name, traits.name));
    return nullptr;
  }
  if (tensor->dims[0] % traits.block_elements != 0) {
    Fail(ErrorCode::kCorrupt,
         fmt::format("tensor {} has rows of {} values, expected a multiple of {} for type {}", name,
                     tensor->dims[0], traits.block_elements, traits.name));
    return nullptr;
  }
  return tensor;
}

WeightId PlanBuilder::AddWeight(const gguf::Tensor& tensor, int64_t cols, RowSlice slice,
                                int64_t experts) {
  backend::Weight weight;
  weight.name = tensor.name;
  weight.type = tensor.type;
  weight.cols = cols;
  weight.rows = slice.count;
  weight.experts = experts;
  const int64_t row_bytes = weight.RowBytes();
  weight.data = tensor.data.data() + slice.first * row_bytes;
  weight.file = tensor.file;
  weight.first_row = slice.first;
  weight.tensor_rows = slice.total;
  if (slice.step != 1) weight.row_stride_bytes = slice.step * row_bytes;
  if (experts > 1 && slice.count != slice.total)
    weight.expert_stride_bytes = slice.total * row_bytes;
  plan_.weights.push_back(std::move(weight));
  return static_cast<WeightId>(plan_.weights.size()) - 1;
}

WeightId PlanBuilder::Matrix(const std::string& name, int64_t in, int64_t out) {
  const gguf::Tensor* tensor = Find(name, {in, out});
  if (tensor == nullptr) return backend::kNoWeight;
  const auto [entry, is_new] = whole_.try_emplace(name, backend::kNoWeight);
  if (is_new) entry->second = AddWeight(*tensor, in, {.count = out, .total = out}, 1);
  return entry->second;
}

WeightId PlanBuilder::MatrixRows(const std::string& name, int64_t in, RowSlice slice) {
  const gguf::Tensor* tensor = Find(name, {in, slice.total});
  return tensor == nullptr ? backend::kNoWeight : AddWeight(*tensor, in, slice, 1);
}

WeightId PlanBuilder::Vector(const std::string& name, int64_t width) {
  const gguf::Tensor* tensor = Find(name, {width});
  return tensor == nullptr ? backend::kNoWeight
                           : AddWeight(*tensor, width, {.count = 1, .total = 1}, 1);
}

WeightId PlanBuilder::Reshaped(const std::string& name, std::initializer_list<int64_t> dims,
                               int64_t cols, RowSlice rows) {
  const gguf::Tensor* tensor = Find(name, dims);
  return tensor == nullptr ? backend::kNoWeight : AddWeight(*tensor, cols, rows, 1);
}

WeightId PlanBuilder::FlatMatrix(const std::string& name, int64_t cols, int64_t rows) {
  return Reshaped(name, {cols, rows}, cols * rows, {.count = 1, .total = 1});
}

WeightId PlanBuilder::OptionalVector(const std::string& name, int64_t width) {
  return Has(name) ? Vector(name, width) : backend::kNoWeight;
}

WeightId PlanBuilder::OptionalVectorSlice(const std::string& name, RowSlice slice) {
  if (slice.count == slice.total) return OptionalVector(name, slice.total);
  return Has(name) ? CopySlice(Find(name, {slice.total}), slice, 1) : backend::kNoWeight;
}

WeightId PlanBuilder::Experts(const std::string& name, int64_t in, RowSlice slice,
                              int64_t experts) {
  const gguf::Tensor* tensor = Find(name, {in, slice.total, experts});
  return tensor == nullptr ? backend::kNoWeight : AddWeight(*tensor, in, slice, experts);
}

WeightId PlanBuilder::OptionalExpertVectors(const std::string& name, RowSlice slice,
                                            int64_t experts) {
  if (!Has(name)) return backend::kNoWeight;
  const gguf::Tensor* tensor = Find(name, {slice.total, experts});
  if (slice.count != slice.total) return CopySlice(tensor, slice, experts);
  return tensor == nullptr ? backend::kNoWeight
                           : AddWeight(*tensor, slice.total, {.count = 1, .total = 1}, experts);
}

WeightId PlanBuilder::CopySlice(const gguf::Tensor* tensor, RowSlice slice, int64_t experts) {
  if (tensor == nullptr) return backend::kNoWeight;
  std::vector<float> all(static_cast<size_t>(tensor->elements()));
  quant::TraitsOf(tensor->type).decode(tensor->data.data(), tensor->elements(), all.data());
  std::vector<float>& copy = owned_->vectors.emplace_back();
  for (int64_t expert = 0; expert < experts; ++expert) {
    for (int64_t i = 0; i < slice.count; ++i) {
      copy.push_back(all[static_cast<size_t>(expert * slice.total + slice.first + i * slice.step)]);
    }
  }
  plan_.weights.push_back({.name = std::string(tensor->name),
                           .cols = slice.count,
                           .experts = experts,
                           .data = reinterpret_cast<const uint8_t*>(copy.data())});
  return static_cast<WeightId>(plan_.weights.size()) - 1;
}

std::vector<float> PlanBuilder::Values(const std::string& name, int64_t count) {
  const gguf::Tensor* tensor = Find(name, {count});
  if (tensor == nullptr) return {};
  std::vector<float> values(static_cast<size_t>(count));
  quant::TraitsOf(tensor->type).decode(tensor->data.data(), count, values.data());
  return values;
}

WeightId PlanBuilder::Reciprocals(const std::string& name, int64_t width) {
  std::vector<float>& values = owned_->vectors.emplace_back(Values(name, width));
  if (!ok()) return backend::kNoWeight;
  for (float& value : values) value = 1 / value;
  plan_.weights.push_back(
      {.name = name, .cols = width, .data = reinterpret_cast<const uint8_t*>(values.data())});
  return static_cast<WeightId>(plan_.weights.size()) - 1;
}

std::string PlanBuilder::FeedForwardNorm(int64_t layer) const {
  const std::string& name = config_.norms.feed_forward;
  const bool usual =
      !name.empty() && !Has(Name(layer, name + ".weight")) && Has(Name(layer, "ffn_norm.weight"));
  return usual ? "ffn_norm" : name;
}

View PlanBuilder::Scratch(std::string_view name, int64_t width) {
  auto entry = buffers_.find(name);
  if (entry == buffers_.end()) {
    entry = buffers_.emplace(std::string(name), static_cast<int>(plan_.buffer_widths.size())).first;
    plan_.buffer_widths.push_back(0);
  }
  int64_t& buffer_width = plan_.buffer_widths[static_cast<size_t>(entry->second)];
  buffer_width = std::max(buffer_width, width);
  return {entry->second, 0, width};
}

int PlanBuilder::AddCacheLayer(const backend::CacheLayer& layer) {
  plan_.cache_layers.push_back(layer);
  return static_cast<int>(plan_.cache_layers.size()) - 1;
}

int PlanBuilder::AddStateLayer(int64_t values) {
  if (!UsesCache()) return -1;
  plan_.state_layers.push_back({values});
  return static_cast<int>(plan_.state_layers.size()) - 1;
}

void PlanBuilder::Linear(const std::string& name, View in, View out, bool with_bias) {
  const WeightId weight = Matrix(name + ".weight", in.width, out.width);
  const WeightId bias = with_bias ? OptionalVector(name + ".bias", out.width) : backend::kNoWeight;
  Add(backend::MatMulOp{.in = in, .out = out, .weight = weight, .bias = bias});
}

const gguf::Tensor* PlanBuilder::ScaleOf(WeightId id) const {
  constexpr std::string_view kSuffix = ".weight";
  if (id == backend::kNoWeight) return nullptr;
  const std::string& name = plan_.weights[static_cast<size_t>(id)].name;
  if (!name.ends_with(kSuffix)) return nullptr;
  return TensorInFile(*owned_->file, name.substr(0, name.size() - kSuffix.size()) + ".scale");
}

void PlanBuilder::ScaleProducts() {
  std::vector<backend::Op> ops = std::move(plan_.ops);
  plan_.ops.clear();
  size_t encoder_ops = plan_.encoder_ops;
  for (size_t i = 0; i < ops.size() && ok(); ++i) {
    if (i == plan_.encoder_ops) encoder_ops = plan_.ops.size();
    if (const auto* experts = std::get_if<backend::ExpertsOp>(&ops[i])) {
      for (const WeightId id : {experts->gate, experts->up}) {
        const gguf::Tensor* scale = ScaleOf(id);
        if (scale == nullptr) continue;
        Fail(
            ErrorCode::kUnsupported,
            fmt::format("tensor {}: experts are only scaled after their last matrix", scale->name));
      }
    }
    auto* product = std::get_if<backend::MatMulOp>(&ops[i]);
    const gguf::Tensor* scale = product == nullptr ? nullptr : ScaleOf(product->weight);
    // A longer vector of that name is something else: Gemma 4 has one that scales a router's input.
    if (scale == nullptr || scale->elements() != 1) {
      plan_.ops.push_back(std::move(ops[i]));
      continue;
    }
    const View out = product->out;
    const WeightId bias = std::exchange(product->bias, backend::kNoWeight);
    plan_.ops.push_back(std::move(ops[i]));
    const std::vector<float> values = Values(std::string(scale->name), 1);
    if (ok()) Add(backend::ScaleOp{.inout = out, .scale = values[0]});
    if (bias != backend::kNoWeight) Add(backend::AffineOp{.in = out, .out = out, .bias = bias});
  }
  plan_.encoder_ops = encoder_ops;
}

void PlanBuilder::Norm(const std::string& name, View in, View out) {
  backend::NormOp op{.kind = config_.norm_kind, .in = in, .out = out, .group = in.width};
  op.epsilon = static_cast<float>(config_.norm_epsilon);
  if (config_.norm_weights) op.weight = Vector(FirstOf({name + ".weight", name}), in.width);
  op.bias = OptionalVector(name + ".bias", in.width);
  Add(op);
}

}  // namespace puna::model
