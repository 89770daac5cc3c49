// Attention and row operations on one thread, by instruction set. items_per_second counts
// multiply-adds of attention, or values of row operations.
#include <benchmark/benchmark.h>

#include <vector>

#include "backend/cpu/vector_ops.h"

namespace puna::backend::cpu {
namespace {

// `tokens` queries at the end of `keys` keys, 4 query heads a kv head of size 64.
void Attention(benchmark::State& state, Isa isa, KvNumbers numbers) {
  if (!IsaAvailable(isa)) return state.SkipWithError("not available");
  const VectorOps& ops = VectorOpsOf(isa);
  const int64_t tokens = state.range(0), keys = state.range(1), size = 64, heads = 4;
  AttendArgs args;
  args.tile = {numbers, size, size, 0, KTileBytes(numbers, size)};
  args.page_bytes = KTileBytes(numbers, size) + VTileBytes(numbers, size);
  std::vector<uint8_t> pool(static_cast<size_t>(keys / kPageTokens * args.page_bytes + 64));
  args.pool = pool.data() + (64 - reinterpret_cast<uintptr_t>(pool.data()) % 64) % 64;
  std::vector<float> q(static_cast<size_t>(tokens * heads * size)), out(q.size()), row(64);
  for (size_t i = 0; i < q.size(); ++i) q[i] = static_cast<float>(i * 7 % 31) / 31 - 0.5f;
  for (int64_t key = 0; key < keys; ++key) {
    for (size_t i = 0; i < row.size(); ++i)
      row[i] = static_cast<float>((i + static_cast<size_t>(key)) * 11 % 29) / 7 - 2;
    ops.append(args.tile, const_cast<uint8_t*>(args.pool) + key / kPageTokens * args.page_bytes,
               key % kPageTokens, row.data(), row.data());
  }
  args.q = q.data();
  args.q_stride = args.out_stride = heads * size;
  args.out = out.data();
  args.tokens = tokens;
  args.heads = heads;
  args.key_end = keys;
  args.first_key = keys - tokens;
  args.scale = 0.125f;
  std::vector<float> scratch(static_cast<size_t>(AttendScratchFloats(tokens * heads, size, size)));
  args.scratch = scratch.data();
  for (auto _ : state) ops.attend(args);
  state.SetItemsProcessed(state.iterations() * tokens * heads * keys * size * 2);
}
BENCHMARK_CAPTURE(Attention, avx512_f16, Isa::kAvx512Vnni, KvNumbers::kF16)
    ->Args({16, 4096})
    ->Args({32, 4096})
    ->Args({48, 4096})
    ->Args({1, 4096})
    ->Args({16, 256});
BENCHMARK_CAPTURE(Attention, avx512_i16, Isa::kAvx512Vnni, KvNumbers::kI16)
    ->Args({16, 4096})
    ->Args({32, 4096})
    ->Args({48, 4096})
    ->Args({1, 4096})
    ->Args({16, 256});
BENCHMARK_CAPTURE(Attention, avx2_i16, Isa::kAvx2, KvNumbers::kI16)
    ->Args({16, 4096})
    ->Args({1, 4096});
BENCHMARK_CAPTURE(Attention, avx512_f32, Isa::kAvx512Vnni, KvNumbers::kF32)
    ->Args({16, 4096})
    ->Args({1, 4096});
BENCHMARK_CAPTURE(Attention, avx512_q8_0, Isa::kAvx512Vnni, KvNumbers::kQ8_0)
    ->Args({16, 4096})
    ->Args({1, 4096});
BENCHMARK_CAPTURE(Attention, avx2_f16, Isa::kAvx2, KvNumbers::kF16)
    ->Args({16, 4096})
    ->Args({1, 4096});

void Rows(benchmark::State& state, int op) {
  const VectorOps& ops = VectorOpsOf(*ChooseIsa(""));
  const int64_t n = state.range(0);
  std::vector<float> a(static_cast<size_t>(n), 0.3f), b(a), c(a);
  for (auto _ : state) {
    switch (op) {
      case 0:
        ops.norm(NormKind::kRms, a.data(), n, 1e-5f, b.data(), nullptr, c.data());
        break;
      case 1:
        ops.gated(Activation::kSilu, a.data(), b.data(), n, c.data());
        break;
      case 2:
        ops.gated(Activation::kGeluTanh, a.data(), b.data(), n, c.data());
        break;
      case 3:
        ops.add(a.data(), b.data(), 1, n, c.data());
        break;
      case 4:
        ops.rope(RopeKind::kHalves, c.data(), n / 2, a.data(), b.data());
        break;
      case 5:
        ops.rope(RopeKind::kInterleaved, c.data(), n / 2, a.data(), b.data());
        break;
    }
    benchmark::DoNotOptimize(c.data());
  }
  state.SetItemsProcessed(state.iterations() * n);
}
BENCHMARK_CAPTURE(Rows, rms_norm, 0)->Arg(2048);
BENCHMARK_CAPTURE(Rows, silu_gate, 1)->Arg(8192);
BENCHMARK_CAPTURE(Rows, gelu_gate, 2)->Arg(8192);
BENCHMARK_CAPTURE(Rows, add, 3)->Arg(2048);
BENCHMARK_CAPTURE(Rows, rope_halves, 4)->Arg(64);
BENCHMARK_CAPTURE(Rows, rope_interleaved, 5)->Arg(64);

}  // namespace
}  // namespace puna::backend::cpu
