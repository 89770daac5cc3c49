#include "backend/reference/reference_weights.h"

namespace puna::backend::reference {
namespace {

// Weights up to this many values are kept as float32.
constexpr int64_t kDecodeOnceValues = int64_t{1} << 20;

int64_t Values(const Weight& weight) { return weight.experts * weight.rows * weight.cols; }

}  // namespace

int64_t DecodedBytes(const Plan& plan) {
  int64_t bytes = 0;
  for (const Weight& weight : plan.weights) {
    if (Values(weight) <= kDecodeOnceValues)
      bytes += Values(weight) * static_cast<int64_t>(sizeof(float));
  }
  return bytes;
}

Status WeightTable::Decode(const CompileOptions& options) {
  int64_t total_bytes = 0, done_bytes = 0;
  for (const Weight& weight : plan_.weights)
    total_bytes += weight.experts * weight.rows * weight.RowBytes();
  for (size_t id = 0; id < plan_.weights.size(); ++id) {
    const Weight& weight = plan_.weights[id];
    const quant::TypeTraits& traits = quant::TraitsOf(weight.type);
    if (traits.decode == nullptr) {
      return MakeError(ErrorCode::kUnsupported, "tensor {} has type {}, which holds no weights",
                       weight.name, traits.name);
    }
    if (Values(weight) <= kDecodeOnceValues) {
      decoded_[id].resize(static_cast<size_t>(Values(weight)));
      float* out = decoded_[id].data();
      for (int64_t expert = 0; expert < weight.experts; ++expert) {
        for (int64_t row = 0; row < weight.rows; ++row, out += weight.cols) {
          traits.decode(weight.Row(expert, row), weight.cols, out);
        }
      }
    }
    done_bytes += weight.experts * weight.rows * weight.RowBytes();
    if (options.progress && !options.progress(done_bytes, total_bytes)) {
      return MakeError(ErrorCode::kCancelled, "loading was cancelled");
    }
  }
  return {};
}

std::span<const float> WeightTable::Row(WeightId id, int64_t expert, int64_t row) {
  const Weight& weight = at(id);
  const std::vector<float>& decoded = decoded_[static_cast<size_t>(id)];
  if (!decoded.empty())
    return {decoded.data() + (expert * weight.rows + row) * weight.cols,
            static_cast<size_t>(weight.cols)};
  scratch_.resize(static_cast<size_t>(weight.cols));
  quant::TraitsOf(weight.type).decode(weight.Row(expert, row), weight.cols, scratch_.data());
  return scratch_;
}

std::vector<float> WeightTable::Vector(WeightId id, int64_t expert) {
  if (id == kNoWeight) return {};
  const std::span<const float> row = Row(id, expert, 0);
  return {row.begin(), row.end()};
}

}  // namespace puna::backend::reference
