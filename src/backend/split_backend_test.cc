#include "backend/split_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "backend/cpu/test_networks.h"
#include "backend/experts_split.h"
#include "backend/plan_split.h"

namespace puna::backend {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace cpu;  // NOLINT: the plans and batches of its tests

constexpr int64_t kPlenty = int64_t{1} << 40;

// The reference backend in the place of a device with little memory, or one whose memory is gone
// when it is taken, or one that cannot be used.
class SmallDevice final : public Backend {
 public:
  explicit SmallDevice(int64_t bytes, int64_t really = kPlenty) : bytes_(bytes), really_(really) {}
  std::string_view name() const override { return "small"; }
  Result<std::unique_ptr<Program>> Compile(std::shared_ptr<const Plan> plan,
                                           const CompileOptions& options) override {
    if (really_ < 0) return MakeError(ErrorCode::kInternal, "the driver is confused");
    if (Predict(*plan, options).weights > really_)
      return MakeError(ErrorCode::kResourceExhausted, "somebody else was faster");
    return inner_->Compile(std::move(plan), options);
  }
  MemoryUse Predict(const Plan& plan, const CompileOptions& options) const override {
    return inner_->Predict(plan, options);
  }
  std::vector<DeviceMemory> devices() const override { return {{bytes_}}; }

 private:
  std::unique_ptr<Backend> inner_ = MakeBackend("reference");
  int64_t bytes_, really_;
};

template <typename... Devices>
std::unique_ptr<Backend> Split(Devices... devices) {
  std::vector<std::unique_ptr<Backend>> all;
  (all.push_back(std::make_unique<SmallDevice>(devices)), ...);
  return CreateSplitBackend(std::move(all), MakeBackend("cpu"));
}

Shape FourLayers() {
  Shape shape;
  shape.layers = 4;
  shape.experts = 3;
  return shape;
}

Shape FourDenseLayers() {
  Shape shape;
  shape.layers = 4;
  return shape;
}

CompileOptions Options(int64_t layers = -1) {
  CompileOptions options{.kv_type = KvType::kF32, .kv_pages = 101, .max_batch_tokens = 200};
  options.share.layers = layers;
  return options;
}

int64_t LayersOnDevice(Backend* backend, const std::shared_ptr<const Plan>& plan,
                       const CompileOptions& options = Options()) {
  return (*backend->Compile(plan, options))->memory_use().on_device.layers;
}

int64_t BytesOf(const Plan& part) {
  const MemoryUse use = MakeBackend("reference")->Predict(part, Options());
  return use.fixed() + use.kv_page * Options().kv_pages;
}
// What the last `layers` take, and what the others do.
int64_t Need(const Plan& plan, int64_t layers) {
  const PlanCut cut = *FindCuts(plan)[static_cast<size_t>(layers)];
  return BytesOf(SplitPlan(plan, {&cut, 1})[1]);
}
int64_t NeedBefore(const Plan& plan, int64_t layers) {
  const PlanCut cut = *FindCuts(plan)[static_cast<size_t>(layers)];
  return BytesOf(SplitPlan(plan, {&cut, 1})[0]);
}

TEST(SplitBackend, EveryShareGivesTheSame) {
  const auto plan = Decoder(FourLayers());
  ASSERT_EQ(CountLayers(*plan), 4);
  const auto reference = MakeBackend("reference");
  for (const int64_t layers : {-1, 4, 3, 2, 1, 0}) {
    const auto split = Split(kPlenty);
    Runner expected(reference.get(), plan, Options(layers)),
        actual(split.get(), plan, Options(layers));
    const std::string where = actual.program().Describe();
    if (layers % 4 > 0) {
      EXPECT_THAT(where, HasSubstr(std::to_string(layers) + " on reference"));
      EXPECT_THAT(where, HasSubstr(std::to_string(4 - layers) + " on cpu"));
    } else {
      EXPECT_THAT(where, StartsWith(layers == 0 ? "cpu" : "reference"));
    }
    for (const std::vector<Piece>& batch : kMixed)
      EXPECT_LT(Nmse(actual.Run(batch), expected.Run(batch)), 1e-11) << layers;
    actual.Fork(0, 5, 40);
    expected.Fork(0, 5, 40);
    EXPECT_LT(Nmse(actual.Run({{5, 2}}), expected.Run({{5, 2}})), 1e-11) << layers;
    EXPECT_TRUE(actual.Run({{5, 2}}, /*stride=*/0).empty());
  }
}

TEST(SplitBackend, MemoryIsAsPredicted) {
  const auto plan = Decoder(FourLayers());
  for (const int64_t layers : {-1, 3, 1, 0}) {
    const auto split = Split(kPlenty);
    const MemoryUse use = (*split->Compile(plan, Options(layers)))->memory_use(),
                    predicted = split->Predict(*plan, Options(layers));
    EXPECT_EQ(use.weights, predicted.weights) << layers;
    EXPECT_EQ(use.kv_page, predicted.kv_page) << layers;
    EXPECT_EQ(use.on_device.weights, predicted.on_device.weights) << layers;
    EXPECT_EQ(use.on_device.activations, predicted.on_device.activations) << layers;
    EXPECT_EQ(use.on_device.kv_page, predicted.on_device.kv_page) << layers;
    EXPECT_EQ(use.on_device.layers, layers < 0 ? 4 : layers);
    EXPECT_EQ(predicted.on_device.layers, layers < 0 ? 4 : layers);
    if (layers > 0) {
      const int64_t page = MakeBackend("reference")->Predict(*plan, Options()).kv_page;
      EXPECT_EQ(use.on_device.kv_page, page * layers / 4);
      EXPECT_LT(use.on_device.weights, use.weights);
    }
  }
}

TEST(SplitBackend, TakesAsManyLayersAsFit) {
  const auto plan = Decoder(FourDenseLayers());
  for (const int64_t layers : {1, 2, 3}) {
    const int64_t need = Need(*plan, layers);
    EXPECT_EQ(LayersOnDevice(Split(need).get(), plan), layers);
    EXPECT_EQ(LayersOnDevice(Split(need).get(), plan, Options(2)), std::min<int64_t>(layers, 2));
    EXPECT_EQ(LayersOnDevice(Split(need - 1).get(), plan), layers - 1);
    CompileOptions options = Options();
    options.share.promised_bytes = 1000;
    EXPECT_EQ(LayersOnDevice(Split(need).get(), plan, options), layers - 1);
    EXPECT_EQ(LayersOnDevice(Split(need + 1001).get(), plan, options), layers);
  }
}

// Of the embeddings a token reads a row, of everything else all: they are the first to go to the
// CPU. The output matrix is the last.
TEST(SplitBackend, EmbeddingsLeaveTheDeviceFirstAndTheOutputMatrixLast) {
  const Shape shape = FourDenseLayers();
  const auto plan = Decoder(shape), tied = Decoder([&] {
                                      Shape one = shape;
                                      one.tied = true;
                                      return one;
                                    }());
  const auto reference = MakeBackend("reference");
  const int64_t whole = BytesOf(*plan), layers_alone = Need(*plan, 4);
  const int64_t table = plan->weights[0].rows * plan->weights[0].RowBytes();
  EXPECT_EQ(LayersOnDevice(Split(whole).get(), plan), 4);
  const auto split = Split(whole - 1);
  Runner expected(reference.get(), plan, Options()), actual(split.get(), plan, Options());
  EXPECT_THAT(actual.program().Describe(), StartsWith("layers: embeddings on cpu"));
  EXPECT_THAT(actual.program().Describe(), HasSubstr(", 4 on reference"));
  const MemoryUse use = actual.program().memory_use();
  EXPECT_EQ(use.on_device.layers, 4);
  EXPECT_EQ(use.on_device.kv_page, use.kv_page);
  const int64_t row = plan->weights[0].RowBytes();  // that is left of what a part does not have
  EXPECT_EQ(use.on_device.weights, reference->Predict(*plan, Options()).weights - table + row);
  for (const std::vector<Piece>& batch : kMixed)
    EXPECT_LT(Nmse(actual.Run(batch), expected.Run(batch)), 1e-11);
  EXPECT_EQ(LayersOnDevice(Split(layers_alone).get(), plan), 4);
  EXPECT_EQ(LayersOnDevice(Split(layers_alone - 1).get(), plan), 3);
  // One table for both: the device needs it all the same.
  EXPECT_EQ(LayersOnDevice(Split(BytesOf(*tied) - table).get(), tied), 3);
  // The smallest share has the output matrix.
  const std::vector<Plan> parts = SplitPlan(*plan, {&*FindCuts(*plan)[1], 1});
  EXPECT_EQ(parts[0].weights.back().rows, 1);
  EXPECT_EQ(parts[1].weights.back().rows, plan->weights.back().rows);
}

TEST(SplitBackend, SeveralDevicesShareByWhatIsFree) {
  const auto plan = Decoder(FourDenseLayers());
  const int64_t one = Need(*plan, 1), two = Need(*plan, 2), three = Need(*plan, 3);
  const int64_t first_three = NeedBefore(*plan, 1), first_two = NeedBefore(*plan, 2);
  const auto reference = MakeBackend("reference");
  std::map<std::string, std::unique_ptr<Backend>> expected;
  expected["layers: 2 on reference, 2 on reference"] = Split(three, three);
  expected["layers: 3 on reference, 1 on reference"] = Split(first_three, one);
  expected[", 2 on reference, 1 on reference"] = Split(first_two - 1, one);
  expected["reference"] = Split(one, kPlenty);
  for (const auto& [where, backend] : expected) {
    Runner whole(reference.get(), plan, Options()), actual(backend.get(), plan, Options());
    EXPECT_THAT(actual.program().Describe(), ::testing::EndsWith(where));
    for (const std::vector<Piece>& batch : kMixed)
      EXPECT_LT(Nmse(actual.Run(batch), whole.Run(batch)), 1e-11) << where;
  }
  CompileOptions second = Options();
  second.share.device = 1;
  EXPECT_EQ(LayersOnDevice(Split(kPlenty, two).get(), plan, second), 2);
  second.share.device = 2;
  EXPECT_EQ(Split(kPlenty, two)->Compile(plan, second).error().code, ErrorCode::kInvalidArgument);
}

// Few of a mixture's experts are read for a token, so all of them leave the device before a layer
// does.
TEST(SplitBackend, ExpertsLeaveTheDeviceBeforeLayersDo) {
  for (const bool shared : {false, true}) {
    Shape shape = FourLayers();
    shape.shared_expert = shared;
    const auto plan = Decoder(shape);
    const PlanCut lookups = *FindCuts(*plan)[4];
    const Plan layers = SplitPlan(*plan, {&lookups, 1})[1];
    ASSERT_EQ(CountExperts(layers), 4);
    const auto reference = MakeBackend("reference");
    for (const int64_t distant : {1, 4}) {
      const ExpertsApart apart = TakeExpertsApart(layers, distant);
      ASSERT_TRUE(ValidatePlan(apart.plan).has_value());
      for (const Plan& experts : apart.experts) ASSERT_TRUE(ValidatePlan(experts).has_value());
      const int64_t need = BytesOf(apart.plan);
      const auto split = Split(need);
      Runner expected(reference.get(), plan, Options()), actual(split.get(), plan, Options());
      EXPECT_THAT(actual.program().Describe(),
                  HasSubstr(fmt::format("4 on reference (experts of {} on the CPU)", distant)));
      const MemoryUse use = actual.program().memory_use(),
                      predicted = split->PredictNow(*plan, Options());
      EXPECT_EQ(use.on_device.layers, 4);
      EXPECT_EQ(use.on_device.fixed() + use.on_device.kv_page * Options().kv_pages, need);
      EXPECT_EQ(use.weights, predicted.weights);
      EXPECT_EQ(use.activations, predicted.activations);
      EXPECT_EQ(use.on_device.weights, predicted.on_device.weights);
      for (const std::vector<Piece>& batch : kMixed) {
        EXPECT_LT(Nmse(actual.Run(batch), expected.Run(batch)), 1e-11) << distant;
        EXPECT_LT(Nmse(actual.Run(batch, 5), expected.Run(batch, 5)), 1e-11) << distant;
      }
      EXPECT_TRUE(actual.Run({{5, 2}}, /*stride=*/0).empty());
    }
    const int64_t least = BytesOf(TakeExpertsApart(layers, 4).plan);
    EXPECT_LT(LayersOnDevice(Split(least - 1).get(), plan), 4);
  }
}

TEST(SplitBackend, GoesOnWithLessWhereADeviceFails) {
  const auto plan = Decoder(FourDenseLayers());
  const auto with = [](std::unique_ptr<Backend> device) {
    std::vector<std::unique_ptr<Backend>> devices;
    devices.push_back(std::move(device));
    return CreateSplitBackend(std::move(devices), MakeBackend("cpu"));
  };
  const PlanCut cut = *FindCuts(*plan)[2];
  const int64_t weights =
      MakeBackend("reference")->Predict(SplitPlan(*plan, {&cut, 1})[1], Options()).weights;
  EXPECT_EQ(LayersOnDevice(with(std::make_unique<SmallDevice>(kPlenty, weights)).get(), plan), 2);
  EXPECT_EQ(LayersOnDevice(with(std::make_unique<SmallDevice>(kPlenty, 0)).get(), plan), 0);
  EXPECT_EQ(LayersOnDevice(with(std::make_unique<SmallDevice>(kPlenty, -1)).get(), plan), 0);

  // In the order that it does where less is free: experts before layers.
  const auto mixture = Decoder(FourLayers());
  const PlanCut lookups = *FindCuts(*mixture)[4];
  const Plan apart = TakeExpertsApart(SplitPlan(*mixture, {&lookups, 1})[1], 2).plan;
  const int64_t without = MakeBackend("reference")->Predict(apart, Options()).weights;
  const auto split = with(std::make_unique<SmallDevice>(kPlenty, without));
  const auto program = *split->Compile(mixture, Options());
  EXPECT_EQ(program->memory_use().on_device.layers, 4);
  EXPECT_THAT(program->Describe(), HasSubstr("(experts of "));
  // Less for one who asks for less, as an engine does whose device was full while it ran.
  CompileOptions less = Options();
  less.share.promised_bytes = PromiseAllBut(BytesOf(apart), *split, less.share);
  EXPECT_EQ(less.share.promised_bytes, kPlenty - BytesOf(apart));
  const auto plenty = with(std::make_unique<SmallDevice>(kPlenty));
  EXPECT_THAT((*plenty->Compile(mixture, less))->Describe(),
              HasSubstr("4 on reference (experts of 2 on the CPU)"));
}

TEST(SplitBackend, ProgressIsOfThePartsTogether) {
  CompileOptions options = Options(2);
  std::vector<std::pair<int64_t, int64_t>> told;
  options.progress = [&](int64_t done, int64_t all) {
    told.emplace_back(done, all);
    return true;
  };
  const auto split = Split(kPlenty);
  ASSERT_TRUE(split->Compile(Decoder(FourLayers()), options).has_value());
  ASSERT_GT(told.size(), 2u);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.back().first, told.back().second);
  EXPECT_EQ(told.front().second, told.back().second);
  options.progress = [](int64_t, int64_t) { return false; };
  EXPECT_EQ(split->Compile(Decoder(FourLayers()), options).error().code, ErrorCode::kCancelled);
}

// Two streams cross every border, and of a third only a part.
std::shared_ptr<const Plan> TwoStreams() {
  PlanBuilder b(1);
  b.plan().vocabulary = 9;
  const View a = b.Buffer(8), c = b.Buffer(8), wide = b.Buffer(24), heads = b.Buffer(24);
  b.Do(EmbedOp{b.Add(1, 9, 8, 1.0f), a});
  b.Do(EmbedOp{b.Add(1, 9, 8, 1.0f), c});
  b.Do(EmbedOp{b.Add(1, 9, 24, 1.0f), wide});
  for (int layer = 0; layer < 3; ++layer) {
    b.plan().cache_layers.push_back({1, 8, 8, 0});
    const View out = b.Buffer(8);
    b.Do(AttentionOp{a, c, c, out, layer, 1, 1, 8, 8});
    b.Do(AddOp{a, out, a});
    b.Do(AddOp{c, out, c});
    b.Do(AddOp{c, {wide.buffer, 8, 8}, c});
    // Written head by head, and read as a whole.
    b.Do(HeadMatMulOp{{wide.buffer, 0, 20}, {heads.buffer, 0, 20}, 12, 12, b.Add(2, 8, 8, 0.3f)});
    b.Do(CopyHeadsOp{{a.buffer, 0, 8}, {heads.buffer, 8, 16}, 2, 4, 4, 12});
    const View mixed = b.Buffer(8);
    b.Do(MatMulOp{heads, mixed, b.Matrix(8, 24)});
    b.Do(AddOp{a, mixed, a});
  }
  b.Do(AddOp{a, c, a});
  return b.Finish(a);
}

TEST(SplitBackend, SeveralViewsCrossSideBySide) {
  const auto plan = TwoStreams();
  const auto reference = MakeBackend("reference");
  for (const int64_t layers : {2, 1}) {
    const auto split = Split(kPlenty);
    Runner expected(reference.get(), plan, Options()), actual(split.get(), plan, Options(layers));
    EXPECT_THAT(actual.program().Describe(), HasSubstr(std::to_string(layers) + " on reference"));
    for (const std::vector<Piece>& batch : kMixed)
      EXPECT_LT(Nmse(actual.Run(batch), expected.Run(batch)), 1e-11) << layers;
  }
}

TEST(PlanSplit, WhatCrossesIsWhatIsReadBehind) {
  const auto plan = TwoStreams();
  const auto cuts = FindCuts(*plan);
  ASSERT_EQ(cuts.size(), 4u);
  ASSERT_TRUE(cuts[1] && cuts[2] && cuts[3]);
  EXPECT_EQ(cuts[3]->op, 3u);  // behind what is looked up
  int64_t width = 0;
  for (const View& view : cuts[1]->crossing) width += view.width;
  EXPECT_EQ(width, 8 + 8 + 20);  // two streams, and of the wide one what is read
}

TEST(PlanSplit, PartsAreValidAndHaveTheirOwnLayers) {
  const auto plan = Decoder(FourLayers());
  const auto cuts = FindCuts(*plan);
  const PlanCut borders[] = {*cuts[3], *cuts[1]};
  const std::vector<Plan> parts = SplitPlan(*plan, borders);
  ASSERT_EQ(parts.size(), 3u);
  size_t ops = 0;
  for (const Plan& part : parts) {
    const Status valid = ValidatePlan(part);
    EXPECT_TRUE(valid.has_value()) << valid.error().message;
    ops += part.ops.size();
  }
  EXPECT_EQ(ops, plan->ops.size());
  EXPECT_EQ(parts[0].cache_layers.size(), 1u);
  EXPECT_EQ(parts[1].cache_layers.size(), 2u);
  EXPECT_EQ(parts[2].cache_layers.size(), 1u);
  EXPECT_EQ(parts[1].input.width, parts[0].output.width);
  EXPECT_EQ(parts[2].input.width, FourLayers().width);
}

// A layer reads the keys of the first: no border lies between.
TEST(PlanSplit, NotWhereACacheLayerIsUsedOnBothSides) {
  PlanBuilder b(1);
  b.plan().vocabulary = 9;
  const View a = b.Buffer(8);
  b.Do(EmbedOp{b.Add(1, 9, 8, 1.0f), a});
  b.plan().cache_layers = {{1, 8, 8, 0}, {1, 8, 8, 0}};
  for (const int layer : {0, 0, 1}) {
    const View out = b.Buffer(8);
    b.Do(AttentionOp{a, a, a, out, layer, 1, 1, 8, 8});
    b.Do(AddOp{a, out, a});
  }
  const auto cuts = FindCuts(*b.Finish(a));
  ASSERT_EQ(cuts.size(), 4u);
  EXPECT_TRUE(cuts[1].has_value());
  EXPECT_FALSE(cuts[2].has_value());
}

}  // namespace
}  // namespace puna::backend
