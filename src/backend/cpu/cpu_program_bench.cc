// How fast a network of a real shape runs, with random weights: prompts, generation, several users,
// and depth.
//
//   cpu_program_bench [--benchmark_filter=...]     PUNA_BENCH_SHAPE=llama-1b|qwen3-0.6b
//   PUNA_BENCH_TYPE=Q4_K|Q8_0|... PUNA_BENCH_THREADS=n  PUNA_BENCH_KV=f16|q8_0|f32
//
// The speed of the kernels does not depend on the values, so a matrix repeats a few encoded rows.
// tokens_per_second counts the tokens of all users.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "backend/cpu/test_plans.h"

namespace puna::backend::cpu {
namespace {

std::string Setting(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value == nullptr ? fallback : value;
}

struct BenchShape {
  const char* name;
  int64_t width, layers, heads, kv_heads, head_size, hidden, vocabulary;
  bool qk_norm;
};
constexpr BenchShape kShapes[] = {{"llama-1b", 2048, 16, 32, 8, 64, 8192, 128256, false},
                                  {"qwen3-0.6b", 1024, 28, 16, 8, 128, 3072, 151936, true}};

// 64 encoded rows, over and over.
WeightId RepeatedMatrix(PlanBuilder* b, int64_t rows, int64_t cols, quant::TensorType type) {
  constexpr int64_t kRows = 64;
  const WeightId id = b->Matrix(kRows, cols, type);
  return b->Repeat(id, rows);
}

std::shared_ptr<const Plan> BenchPlan(const BenchShape& s, quant::TensorType type) {
  PlanBuilder b(1);
  b.plan().vocabulary = s.vocabulary;
  const View h = b.Buffer(s.width), normed = b.Buffer(s.width), q = b.Buffer(s.heads * s.head_size);
  const View k = b.Buffer(s.kv_heads * s.head_size), v = b.Buffer(k.width),
             attended = b.Buffer(q.width);
  const View result = b.Buffer(s.width), gate = b.Buffer(s.hidden), up = b.Buffer(s.hidden);
  const View last = b.Buffer(s.width), logits = b.Buffer(s.vocabulary);
  auto product = [&](View in, View out) {
    b.Do(MatMulOp{in, out, RepeatedMatrix(&b, out.width, in.width, type)});
  };
  b.Do(EmbedOp{RepeatedMatrix(&b, s.vocabulary, s.width, type), h});
  for (int64_t layer = 0; layer < s.layers; ++layer) {
    b.Do(NormOp{NormKind::kRms, h, normed, s.width, 1e-5f, b.Vector(s.width, 1)});
    product(normed, q);
    product(normed, k);
    product(normed, v);
    if (s.qk_norm) {
      b.Do(NormOp{NormKind::kRms, q, q, s.head_size, 1e-5f, b.Vector(s.head_size, 1)});
      b.Do(NormOp{NormKind::kRms, k, k, s.head_size, 1e-5f, b.Vector(s.head_size, 1)});
    }
    b.Do(RopeOp{RopeKind::kHalves, q, s.head_size, 0, b.Frequencies(s.head_size / 2)});
    b.Do(RopeOp{RopeKind::kHalves, k, s.head_size, 0, b.Frequencies(s.head_size / 2)});
    b.plan().cache_layers.push_back({s.kv_heads, s.head_size, s.head_size, 0});
    b.Do(AttentionOp{q, k, v, attended, static_cast<int>(layer), s.heads, s.kv_heads, s.head_size,
                     s.head_size, 0.125f});
    product(attended, result);
    b.Do(AddOp{h, result, h});
    b.Do(NormOp{NormKind::kRms, h, normed, s.width, 1e-5f, b.Vector(s.width, 1)});
    product(normed, gate);
    product(normed, up);
    b.Do(GatedOp{Activation::kSilu, gate, up, gate});
    product(gate, result);
    b.Do(AddOp{h, result, h});
  }
  b.Do(SelectRowsOp{h, last});
  b.Do(NormOp{NormKind::kRms, last, last, s.width, 1e-5f, b.Vector(s.width, 1)});
  product(last, logits);
  return b.Finish(logits);
}

struct Machinery {
  std::unique_ptr<Backend> backend;
  std::shared_ptr<const Plan> plan;
  std::unique_ptr<Program> program;
};
constexpr int64_t kUsers = 16, kMaxTokens = 8192;

Machinery& Get() {
  static Machinery* machinery = [] {
    auto* m = new Machinery;
    const std::string name = Setting("PUNA_BENCH_SHAPE", "llama-1b");
    const BenchShape* shape = &kShapes[0];
    for (const BenchShape& candidate : kShapes) {
      if (name == candidate.name) shape = &candidate;
    }
    m->backend = MakeBackend("cpu", Setting("PUNA_BENCH_ISA", ""),
                             std::atoi(Setting("PUNA_BENCH_THREADS", "0").c_str()));
    m->plan = BenchPlan(*shape, quant::FindTypeByName(Setting("PUNA_BENCH_TYPE", "Q4_K"))->type);
    CompileOptions options;
    options.kv_type = *ParseKvType(Setting("PUNA_BENCH_KV", "f16"));
    options.kv_pages = kUsers * kMaxTokens / kPageTokens;
    m->program = *m->backend->Compile(m->plan, options);
    return m;
  }();
  return *machinery;
}

// `users` sequences, each with `depth` tokens in the cache, get `tokens` more each; outputs for the
// last of each.
void Pass(Machinery* m, int64_t users, int64_t tokens, int64_t depth) {
  std::vector<int32_t> ids(static_cast<size_t>(users * tokens), 17), outputs;
  std::vector<std::vector<int32_t>> pages(static_cast<size_t>(users));
  std::vector<Segment> segments;
  for (int64_t user = 0; user < users; ++user) {
    for (int64_t i = 0; i * kPageTokens < depth + tokens; ++i) {
      pages[static_cast<size_t>(user)].push_back(
          static_cast<int32_t>(user * kMaxTokens / kPageTokens + i));
    }
    segments.push_back({user * tokens, tokens, depth, pages[static_cast<size_t>(user)]});
    outputs.push_back(static_cast<int32_t>((user + 1) * tokens - 1));
  }
  std::vector<float> out(static_cast<size_t>(users * m->plan->output.width));
  m->program->Run({ids, segments, outputs}, out);
}

void Run(benchmark::State& state) {
  Machinery& m = Get();
  const int64_t users = state.range(0), tokens = state.range(1), depth = state.range(2);
  for (int64_t at = 0; at < depth; at += 512) Pass(&m, 1, std::min<int64_t>(512, depth - at), at);
  Pass(&m, users, tokens, depth);
  for (auto _ : state) Pass(&m, users, tokens, depth);
  state.counters["tokens_per_second"] = benchmark::Counter(
      static_cast<double>(state.iterations() * users * tokens), benchmark::Counter::kIsRate);
}
BENCHMARK(Run)
    ->ArgNames({"users", "tokens", "depth"})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond)
    ->Args({1, 512, 0})
    ->Args({1, 1, 0})
    ->Args({1, 4, 0})
    ->Args({1, 8, 0})
    ->Args({4, 1, 0})
    ->Args({8, 1, 0})
    ->Args({16, 1, 0})
    ->Args({1, 32, 0})
    ->Args({1, 64, 0})
    ->Args({1, 512, 4096})
    ->Args({1, 1, 4096});

}  // namespace
}  // namespace puna::backend::cpu
