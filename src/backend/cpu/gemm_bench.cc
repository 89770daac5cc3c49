// Speed of packed products on one thread: GMAC/s, and the bytes of weights read per second.
//   gemm_bench --benchmark_filter='avx512vnni/Q4_K/2048x2048/512'
// The matrices of one shape are cycled through until they exceed the caches, so that few tokens are
// measured against memory.
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "backend/cpu/gemm.h"

namespace puna::backend::cpu {
namespace {

struct Shape {
  int64_t rows, cols;
};

// Random blocks whose scales are neither huge nor tiny: speed must not depend on overflow or
// denormals.
std::vector<uint8_t> RandomBlocks(quant::TensorType type, int64_t rows, int64_t cols) {
  const quant::TypeTraits& traits = quant::TraitsOf(type);
  std::mt19937 random(1);
  std::vector<uint8_t> one(traits.block_bytes * 64);
  std::vector<float> values(traits.block_elements);
  for (int64_t block = 0; block < 64; ++block) {
    bool good = false;
    while (!good) {
      for (int64_t i = 0; i < traits.block_bytes; ++i) {
        one[block * traits.block_bytes + i] = static_cast<uint8_t>(random());
      }
      traits.decode(one.data() + block * traits.block_bytes, traits.block_elements, values.data());
      good = true;
      for (float value : values) {
        good =
            good && std::abs(value) < 100 && (traits.block_elements > 1 || std::abs(value) > 1e-3);
      }
    }
  }
  std::vector<uint8_t> bytes(quant::BytesFor(type, rows * cols));
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = one[i % one.size()];
  return bytes;
}

void BM_Multiply(benchmark::State& state, Isa isa, quant::TensorType type, Shape shape,
                 int64_t tokens) {
  const std::vector<uint8_t> bytes = RandomBlocks(type, shape.rows, shape.cols);
  const Weight weight = {
      .name = "w", .type = type, .cols = shape.cols, .rows = shape.rows, .data = bytes.data()};
  const Weight* const parts[] = {&weight};
  // Large enough that one pass over all matrices leaves the caches; only few tokens are bound by
  // memory.
  const int64_t count =
      tokens <= 16 ? std::max<int64_t>(1, (int64_t{512} << 20) / PackedBytes(weight, isa)) : 1;
  std::vector<PackedMatrix> matrices;
  for (int64_t i = 0; i < count; ++i) {
    matrices.push_back(*AllocatePacked(parts, isa));
    PackedMatrix& matrix = matrices.back();
    if (i == 0) {
      PackTiles(parts, 0, 0, matrix.tiles(), &matrix);
    } else {
      std::copy_n(matrices[0].data.data(), matrix.data.size_bytes(), matrix.data.data());
    }
  }
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> in(tokens * shape.cols);
  for (float& value : in) value = normal(random);
  AlignedBytes prepared(InputBytes(matrices[0].input, tokens, shape.cols));
  PrepareInput(matrices[0], in.data(), shape.cols, 0, tokens, tokens, prepared.data());
  std::vector<float> out(tokens * shape.rows);
  size_t next = 0;
  for (auto _ : state) {
    const PackedMatrix& matrix = matrices[next];
    next = next + 1 == matrices.size() ? 0 : next + 1;
    Multiply(matrix, prepared.data(), tokens, 0, matrix.tiles(), out.data(), shape.rows);
    benchmark::ClobberMemory();
  }
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["GMAC/s"] = benchmark::Counter(1e-9 * shape.rows * shape.cols * tokens, rate);
  state.counters["GB/s"] = benchmark::Counter(1e-9 * matrices[0].data.size_bytes(), rate);
}

void BM_Prepare(benchmark::State& state, Isa isa, quant::TensorType type) {
  const std::vector<uint8_t> bytes = RandomBlocks(type, 16, 2048);
  const Weight weight = {.name = "w", .type = type, .cols = 2048, .rows = 16, .data = bytes.data()};
  const Weight* const parts[] = {&weight};
  const PackedMatrix matrix = *AllocatePacked(parts, isa);
  const std::vector<float> in(64 * 2048, 1.5f);
  AlignedBytes prepared(InputBytes(matrix.input, 64, 2048));
  for (auto _ : state) {
    PrepareInput(matrix, in.data(), 2048, 0, 64, 64, prepared.data());
    benchmark::ClobberMemory();
  }
  state.counters["Gvalues/s"] =
      benchmark::Counter(1e-9 * 64 * 2048, benchmark::Counter::kIsIterationInvariantRate);
}

void BM_Pack(benchmark::State& state, Isa isa, quant::TensorType type) {
  const std::vector<uint8_t> bytes = RandomBlocks(type, 512, 2048);
  const Weight weight = {
      .name = "w", .type = type, .cols = 2048, .rows = 512, .data = bytes.data()};
  const Weight* const parts[] = {&weight};
  PackedMatrix matrix = *AllocatePacked(parts, isa);
  for (auto _ : state) {
    PackTiles(parts, 0, 0, matrix.tiles(), &matrix);
    benchmark::ClobberMemory();
  }
  state.counters["GB/s"] =
      benchmark::Counter(1e-9 * bytes.size(), benchmark::Counter::kIsIterationInvariantRate);
}

[[maybe_unused]] const bool kRegistered = [] {
  using quant::TensorType;
  for (const Isa isa : AvailableIsas()) {
    for (const quant::TypeTraits& traits : quant::AllTypes()) {
      const TensorType type = traits.type;
      if (traits.decode == nullptr) continue;
      const std::string prefix =
          std::string(IsaName(isa)) + "/" + std::string(quant::TraitsOf(type).name);
      for (Shape shape : {Shape{2048, 2048}, Shape{8192, 2048}, Shape{2048, 8192}}) {
        for (int64_t tokens : {1, 2, 4, 8, 10, 16, 24, 64, 512}) {
          benchmark::RegisterBenchmark((prefix + "/" + std::to_string(shape.rows) + "x" +
                                        std::to_string(shape.cols) + "/" + std::to_string(tokens))
                                           .c_str(),
                                       BM_Multiply, isa, type, shape, tokens);
        }
      }
      benchmark::RegisterBenchmark((prefix + "/prepare").c_str(), BM_Prepare, isa, type);
      benchmark::RegisterBenchmark((prefix + "/pack").c_str(), BM_Pack, isa, type);
    }
  }
  return true;
}();

}  // namespace
}  // namespace puna::backend::cpu
