// Speed of the scalar decoders and encoders, in bytes of float32 per second.
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "quant/quant.h"

namespace puna::quant {
namespace {

constexpr int64_t kValues = 64 * 1024;

std::vector<float> Weights() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> values(kValues);
  for (float& value : values) value = normal(random);
  return values;
}

void Encode(benchmark::State& state, const TypeTraits& traits) {
  const std::vector<float> values = Weights();
  std::vector<uint8_t> blocks(static_cast<size_t>(BytesFor(traits.type, kValues)));
  for (auto _ : state) {
    traits.encode(values.data(), kValues, nullptr, blocks.data());
    benchmark::DoNotOptimize(blocks.data());
  }
  state.SetBytesProcessed(state.iterations() * kValues * 4);
}

void Decode(benchmark::State& state, const TypeTraits& traits) {
  const std::vector<uint8_t> blocks(static_cast<size_t>(BytesFor(traits.type, kValues)), 0x11);
  std::vector<float> values(kValues);
  for (auto _ : state) {
    traits.decode(blocks.data(), kValues, values.data());
    benchmark::DoNotOptimize(values.data());
  }
  state.SetBytesProcessed(state.iterations() * kValues * 4);
}

const bool kRegistered = [] {
  for (const TypeTraits& traits : AllTypes()) {
    const std::string name(traits.name);
    if (traits.encode != nullptr) {
      benchmark::RegisterBenchmark(("encode/" + name).c_str(),
                                   [&traits](auto& state) { Encode(state, traits); });
    }
    if (traits.decode != nullptr) {
      benchmark::RegisterBenchmark(("decode/" + name).c_str(),
                                   [&traits](auto& state) { Decode(state, traits); });
    }
  }
  return true;
}();

}  // namespace
}  // namespace puna::quant
