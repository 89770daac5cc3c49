// For tests: the vulkan backend against the reference backend, on the plans that test the cpu
// backend.
#ifndef PUNA_BACKEND_VULKAN_VULKAN_FIXTURE_H_
#define PUNA_BACKEND_VULKAN_VULKAN_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "backend/cpu/test_networks.h"
#include "backend/vulkan/vulkan_backend.h"
#include "tests/support/vulkan_device.h"

namespace puna::backend::vulkan {

using namespace cpu;  // NOLINT: the plans and batches of its tests

// Sums of float32 in another order, and functions that may be off by a few units in the last place:
// some hundreds of roundings of 2^-24, squared.
inline constexpr double kFloatTolerance = 1e-11;

class Vulkan : public ::testing::Test {
 protected:
  void SetUp() override {
    PUNA_VULKAN_OR_SKIP(backend);
    backend_ = backend;
  }

  // NMSE between both backends, the worst of the batches.
  double Compare(const std::shared_ptr<const Plan>& plan,
                 const std::vector<std::vector<Piece>>& batches, const CompileOptions& options,
                 int64_t stride = 1) {
    const auto reference = MakeBackend("reference");
    Runner expected(reference.get(), plan, options), actual(backend_, plan, options);
    EXPECT_THAT(actual.program().Describe(), ::testing::HasSubstr("vulkan:"));
    const MemoryUse predicted = backend_->Predict(*plan, options),
                    used = actual.program().memory_use();
    EXPECT_EQ(predicted.weights, used.weights);
    EXPECT_EQ(predicted.kv_page, used.kv_page);
    EXPECT_EQ(predicted.activations, used.activations);
    double worst = 0;
    for (const std::vector<Piece>& batch : batches)
      worst = std::max(worst, Nmse(actual.Run(batch, stride), expected.Run(batch, stride)));
    return worst;
  }

  static CompileOptions Options(KvType kv = KvType::kF32) {
    return {.kv_type = kv, .kv_pages = 101, .max_batch_tokens = 200};
  }

  Backend* backend_ = nullptr;
};

// Two products of the same rows, one of a part of them, and one of what the first wrote over them.
inline std::shared_ptr<const Plan> ProductPlan(quant::TensorType type, int64_t cols, int64_t rows,
                                               float scale, bool biased = true,
                                               quant::TensorType inputs = quant::TensorType::kF32) {
  PlanBuilder b(static_cast<uint32_t>(rows));
  b.plan().vocabulary = 50;
  const View in = b.Buffer(cols), all = b.Buffer(4 * rows);
  const bool rounded = inputs != quant::TensorType::kF32;
  b.Do(EmbedOp{b.Add(1, 50, cols, 1.0f, 0, inputs), in, scale});
  for (int64_t i = 0; i < 4; ++i) {
    const View part{in.buffer, 0, i == 2 ? cols / 2 / 32 * 32 : cols};
    const View source = part.width == 0 ? in : part;
    b.Do(MatMulOp{source,
                  {all.buffer, i * rows, rows},
                  b.Matrix(rows, source.width, type),
                  i == 1 && biased ? b.Vector(rows) : kNoWeight});
    if (i == 2) b.Do(ScaleOp{in, -0.5f, 0, 0, 0, rounded ? kNoWeight : b.Vector(cols)});
  }
  return b.Finish(all);
}

}  // namespace puna::backend::vulkan

#endif  // PUNA_BACKEND_VULKAN_VULKAN_FIXTURE_H_
