#include "backend/input_observer.h"

#include <gtest/gtest.h>

#include <map>

#include "backend/cpu/test_plans.h"

namespace puna::backend::cpu {
namespace {

// Square sums of each column, and how many rows there were.
class SquareSums final : public InputObserver {
 public:
  struct Entry {
    int64_t rows = 0;
    std::vector<float> sums;
  };

  void Observe(WeightId weight, int64_t expert, const ObservedRows& rows) override {
    Entry& entry = entries[{weight, expert}];
    entry.rows += rows.count;
    entry.sums.resize(static_cast<size_t>(rows.width));
    for (int64_t row = 0; row < rows.count; ++row) {
      for (int64_t i = 0; i < rows.width; ++i) {
        const float value = rows.scale * rows.values[row * rows.stride + i];
        entry.sums[static_cast<size_t>(i)] += value * value;
      }
    }
  }

  std::map<std::pair<WeightId, int64_t>, Entry> entries;
};

struct Network {
  std::shared_ptr<const Plan> plan;
  WeightId table, first, gate, down;
};

// A product, one per head, and experts with or without a gate.
Network Build(bool weigh_input, bool gated) {
  constexpr int64_t kWidth = 48, kHeads = 3, kExperts = 8, kUsed = 2, kHidden = 40;
  PlanBuilder b(7);
  b.plan().vocabulary = 50;
  b.plan().routes = 1;
  const View x = b.Buffer(kWidth), y = b.Buffer(kWidth), z = b.Buffer(kWidth);
  const View logits = b.Buffer(kExperts), result = b.Buffer(kWidth);
  Network network{};
  network.table = b.Add(1, 50, kWidth, 1);
  network.first = b.Matrix(kWidth, kWidth);
  b.Do(EmbedOp{network.table, x});
  b.Do(MatMulOp{x, y, network.first});
  b.Do(HeadMatMulOp{y, z, kWidth / kHeads, kWidth / kHeads,
                    b.Add(kHeads, kWidth / kHeads, kWidth / kHeads, 0.3f)});
  b.Do(MatMulOp{z, logits, b.Matrix(kExperts, kWidth)});
  b.Do(RouteOp{logits, 0, RouterScore::kSoftmax, kExperts, kUsed});
  ExpertsOp op{z, result, 0};
  network.gate = gated ? b.Add(kExperts, kHidden, kWidth, 0.2f) : kNoWeight;
  op.gate = network.gate;
  op.up = b.Add(kExperts, kHidden, kWidth, 0.2f);
  network.down = op.down = b.Add(kExperts, kWidth, kHidden, 0.2f);
  op.weigh_input = weigh_input;
  b.Do(op);
  network.plan = b.Finish(result);
  return network;
}

SquareSums Observe(const std::string& backend_name, const Network& network, int threads) {
  SquareSums sums;
  const auto backend = CreateObservedBackend({.name = backend_name, .threads = threads}, &sums);
  CHECK(backend.has_value()) << backend.error().message;
  Runner runner(backend->get(), network.plan, {.max_batch_tokens = 64});
  runner.Run({{0, 33}, {1, 5}});
  runner.Run({{0, 1}});
  return sums;
}

TEST(InputObserver, CpuTellsWhatTheReferenceTells) {
  for (const bool weigh_input : {false, true}) {
    for (const bool gated : {false, true}) {
      const Network network = Build(weigh_input, gated);
      const SquareSums expected = Observe("reference", network, 1);
      for (const int threads : {1, 3}) {
        const SquareSums actual = Observe("cpu", network, threads);
        ASSERT_EQ(actual.entries.size(), expected.entries.size());
        for (const auto& [key, entry] : expected.entries) {
          const auto found = actual.entries.find(key);
          ASSERT_NE(found, actual.entries.end()) << key.first << " expert " << key.second;
          EXPECT_EQ(found->second.rows, entry.rows) << key.first << " expert " << key.second;
          EXPECT_LT(Nmse(found->second.sums, entry.sums), 1e-9)
              << key.first << " expert " << key.second;
        }
      }
    }
  }
}

// The input of the first product are rows of the embedding table, and every token meets two
// experts.
TEST(InputObserver, TellsInputs) {
  const Network network = Build(false, true);
  const SquareSums sums = Observe("cpu", network, 2);
  const Weight& table = network.plan->weights[static_cast<size_t>(network.table)];
  const auto backend = MakeBackend("cpu");
  const Runner runner(backend.get(), network.plan, {});
  std::vector<float> expected(48);
  const auto add = [&](int sequence, int64_t position) {
    const auto* row =
        reinterpret_cast<const float*>(table.Row(0, runner.TokenAt(sequence, position)));
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += row[i] * row[i];
  };
  for (int64_t i = 0; i < 34; ++i) add(0, i);
  for (int64_t i = 0; i < 5; ++i) add(1, i);
  const SquareSums::Entry& first = sums.entries.at({network.first, 0});
  EXPECT_EQ(first.rows, 39);
  EXPECT_LT(Nmse(first.sums, expected), 1e-12);
  int64_t gate_rows = 0, down_rows = 0;
  for (const auto& [key, entry] : sums.entries) {
    if (key.first == network.gate) gate_rows += entry.rows;
    if (key.first == network.down) down_rows += entry.rows;
  }
  EXPECT_EQ(gate_rows, 2 * 39);
  EXPECT_EQ(down_rows, 2 * 39);
}

}  // namespace
}  // namespace puna::backend::cpu
