// Time of one Sample() over a vocabulary of 151,936 logits, by options.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "sampler/sampler.h"

namespace puna::sampler {
namespace {

void BM_Sample(benchmark::State& state, double temperature, int64_t top_k, double top_p,
               double repeat_penalty, float deviation = 3) {
  std::vector<float> logits(151936);
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, deviation);
  for (float& logit : logits) logit = normal(random);
  SamplingOptions options;
  options.temperature = temperature;
  options.top_k = top_k;
  options.top_p = top_p;
  options.repeat_penalty = repeat_penalty;
  options.seed = 1;
  Sampler sampler(options);
  for (auto _ : state) sampler.Accept(sampler.Sample(logits));
}
BENCHMARK_CAPTURE(BM_Sample, greedy, 0.0, 40, 0.9, 1.0)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Sample, defaults, 0.8, 40, 0.9, 1.0)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Sample, penalties, 0.8, 40, 0.9, 1.1)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Sample, no_top_k, 0.8, 0, 0.9, 1.0)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Sample, no_top_k_peaked, 0.8, 0, 0.9, 1.0, 8)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Sample, no_top_k_flat, 0.8, 0, 0.9, 1.0, 0.1)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(BM_Sample, pure, 1.0, 0, 1.0, 1.0)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace puna::sampler
