// The recurrent ops of every instruction set and of the vulkan backend against the reference
// backend, over batches that cut sequences, start from checkpoints and leave some.
#include <gtest/gtest.h>

#include <functional>

#include "backend/backend.h"
#include "backend/cpu/test_plans.h"
#include "base/check.h"
#include "tests/support/vulkan_device.h"

namespace puna::backend::cpu {
namespace {

constexpr int64_t kSlots = 5;
constexpr double kTolerance = 1e-10;  // NMSE

struct Part {
  int64_t start, tokens;
  int32_t read;
  std::vector<StateWrite> writes;
};

std::vector<float> RunBatch(Program* program, const Plan& plan, const std::vector<Part>& pieces) {
  std::vector<int32_t> tokens, rows;
  std::vector<Segment> segments;
  for (const Part& part : pieces) {
    segments.push_back({.first_row = static_cast<int64_t>(tokens.size()),
                        .tokens = part.tokens,
                        .start_position = part.start,
                        .state = part.read,
                        .state_writes = part.writes});
    for (int64_t i = 0; i < part.tokens; ++i) {
      rows.push_back(static_cast<int32_t>(rows.size()));
      tokens.push_back(static_cast<int32_t>((part.start + i) * 17 % plan.vocabulary));
    }
  }
  std::vector<float> out(rows.size() * static_cast<size_t>(plan.output.width));
  const Status ran =
      program->Run({.tokens = tokens, .segments = segments, .output_rows = rows}, out);
  CHECK(ran.has_value()) << ran.error().message;
  return out;
}

const std::vector<std::vector<Part>> kBatches = {
    {{0, 7, -1, {{2, 3}, {7, 0}}}, {0, 3, -1, {{3, 1}}}},             // with a checkpoint inside
    {{7, 1, 0, {{1, 0}}}, {3, 5, 1, {{1, 4}, {2, 1}, {5, 2}}}},       // in place; elsewhere
    {{2, 2, 3, {{2, 2}}}, {2, 1, 3, {{1, 1}}}, {8, 3, 0, {{3, 0}}}},  // two from one checkpoint
    {{4, 4, 2, {}}},                                                  // nothing kept
};

using MakeOp = std::function<View(PlanBuilder*)>;

// Names of instruction sets, and the device.
std::vector<std::string> Targets() {
  std::vector<std::string> targets = AvailableIsaNames();
  targets.emplace_back("vulkan");
  return targets;
}

class RecurrentStep : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "vulkan") {
      PUNA_VULKAN_OR_SKIP(device);
      backends_.push_back(device);
      return;
    }
    for (const int threads : {1, 3}) {
      owned_.push_back(*CreateBackend({.name = "cpu", .threads = threads, .isa = GetParam()}));
      backends_.push_back(owned_.back().get());
    }
  }

  void Check(const std::string& what, const MakeOp& make) {
    PlanBuilder b(5);
    b.plan().vocabulary = 40;
    const View out = make(&b);
    const std::shared_ptr<const Plan> plan = b.Finish(out);
    const CompileOptions options{.state_slots = kSlots, .max_batch_tokens = 32};
    const auto reference = *CreateBackend({.name = "reference"});
    const auto expected = *reference->Compile(plan, options);
    for (Backend* backend : backends_) {
      const auto actual = *backend->Compile(plan, options);
      EXPECT_EQ(actual->memory_use().state_slot, backend->Predict(*plan, options).state_slot);
      for (size_t i = 0; i < kBatches.size(); ++i) {
        const std::vector<float> want = RunBatch(expected.get(), *plan, kBatches[i]);
        const std::vector<float> got = RunBatch(actual.get(), *plan, kBatches[i]);
        EXPECT_LT(Nmse(got, want), kTolerance) << what << ", batch " << i;
      }
    }
  }

  // An input of the op: random rows, one per token.
  static View Input(PlanBuilder* b, int64_t width, float deviation = 0.7f) {
    const View view = b->Buffer(width);
    b->Do(EmbedOp{.table = b->Add(1, 40, width, deviation), .out = view});
    return view;
  }
  static int State(PlanBuilder* b, int64_t values) {
    b->plan().state_layers.push_back({values});
    return static_cast<int>(b->plan().state_layers.size()) - 1;
  }

  std::vector<std::unique_ptr<Backend>> owned_;
  std::vector<Backend*> backends_;
};
INSTANTIATE_TEST_SUITE_P(Targets, RecurrentStep, ::testing::ValuesIn(Targets()),
                         [](const auto& info) { return info.param; });

TEST_P(RecurrentStep, Convolution) {
  for (const int64_t width : {1, 17, 64, 150}) {
    for (const int64_t kernel : {2, 3, 4}) {
      Check("convolution", [&](PlanBuilder* b) {
        const View in = Input(b, width), out = b->Buffer(width), shifted = b->Buffer(width);
        b->Do(ConvolutionOp{.in = in,
                            .out = out,
                            .state = State(b, (kernel - 1) * width),
                            .kernel = kernel,
                            .weight = b->Matrix(width, kernel),
                            .bias = kernel == 3 ? kNoWeight : b->Vector(width)});
        b->Do(ConvolutionOp{
            .in = out, .out = shifted, .state = State(b, (kernel - 1) * width), .kernel = kernel});
        b->Do(AddOp{.a = out, .b = shifted, .out = out});
        return out;
      });
    }
  }
}

TEST_P(RecurrentStep, Scan) {
  struct Shape {
    int64_t heads, head_size, state_size, groups;
    bool per_value;
  };
  for (const Shape& s :
       {Shape{70, 1, 16, 1, true}, Shape{200, 1, 3, 2, true}, Shape{5, 1, 8, 1, false},
        Shape{4, 16, 128, 2, false}, Shape{6, 5, 7, 3, false}}) {
    Check("scan of heads of " + std::to_string(s.head_size), [&](PlanBuilder* b) {
      const int64_t width = s.heads * s.head_size;
      const View out = b->Buffer(width);
      b->Do(ScanOp{.x = Input(b, width),
                   .dt = Input(b, s.heads),
                   .b = Input(b, s.groups * s.state_size),
                   .c = Input(b, s.groups * s.state_size),
                   .out = out,
                   .state = State(b, width * s.state_size),
                   .heads = s.heads,
                   .head_size = s.head_size,
                   .state_size = s.state_size,
                   .groups = s.groups,
                   .decay = b->Vector(s.per_value ? s.heads * s.state_size : s.heads, -1),
                   .skip = b->Vector(s.heads)});
      return out;
    });
  }
}

TEST_P(RecurrentStep, Delta) {
  struct Shape {
    int64_t heads, k_heads, k_size, v_size;
    bool per_value, tiled;
  };
  for (const Shape& s : {Shape{4, 2, 32, 32, false, false}, Shape{4, 2, 16, 24, false, true},
                         Shape{3, 3, 20, 20, true, false}, Shape{2, 1, 1, 1, false, false}}) {
    Check("delta of size " + std::to_string(s.k_size), [&](PlanBuilder* b) {
      const View out = b->Buffer(s.heads * s.v_size), beta = Input(b, s.heads);
      const float size = 1 / std::sqrt(static_cast<float>(s.k_size));  // keys of about length 1
      b->Do(UnaryOp{.activation = Activation::kSigmoid, .in = beta, .out = beta});
      b->Do(DeltaOp{.q = Input(b, s.k_heads * s.k_size, size),
                    .k = Input(b, s.k_heads * s.k_size, size),
                    .v = Input(b, s.heads * s.v_size),
                    .decay = Input(b, s.per_value ? s.heads * s.k_size : s.heads),
                    .beta = beta,
                    .out = out,
                    .state = State(b, s.heads * s.k_size * s.v_size),
                    .heads = s.heads,
                    .k_heads = s.k_heads,
                    .k_size = s.k_size,
                    .v_size = s.v_size,
                    .scale = 0.3f,
                    .tiled = s.tiled,
                    .rate = b->Vector(s.heads, -1)});
      return out;
    });
  }
}

TEST_P(RecurrentStep, Wkv) {
  for (const int64_t size : {1, 8, 24, 64}) {
    for (const int kind : {6, 7, 0}) {
      Check("wkv " + std::to_string(kind), [&](PlanBuilder* b) {
        const int64_t heads = 3, width = heads * size;
        const float small = 1 / std::sqrt(static_cast<float>(size));
        WkvOp op{.r = Input(b, width),
                 .w = Input(b, width),
                 .k = Input(b, width),
                 .v = Input(b, width),
                 .out = b->Buffer(width),
                 .heads = heads,
                 .size = size,
                 .scale = 0.5f};
        b->Do(UnaryOp{.activation = Activation::kSigmoid, .in = op.w, .out = op.w});
        op.state = State(b, width * size);
        if (kind == 6) op.bonus = b->Vector(width);
        if (kind == 7) {
          op.erase = Input(b, width, small);
          op.write = Input(b, width, small);
        }
        b->Do(op);
        return op.out;
      });
    }
  }
}

TEST_P(RecurrentStep, AffineAndExp) {
  for (const int64_t width : {1, 16, 37}) {
    Check("affine", [&](PlanBuilder* b) {
      const View in = Input(b, width), out = b->Buffer(width);
      b->Do(
          AffineOp{.in = in, .out = out, .weight = b->Vector(width, 1), .bias = b->Vector(width)});
      b->Do(AffineOp{.in = out, .out = out, .bias = b->Vector(width)});
      b->Do(UnaryOp{.activation = Activation::kExp, .in = out, .out = out});
      return out;
    });
  }
}

}  // namespace
}  // namespace puna::backend::cpu
