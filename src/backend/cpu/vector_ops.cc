#include "backend/cpu/vector_ops.h"

#include "backend/cpu/vector_ops_tables.h"
#include "base/rounding.h"

namespace puna::backend::cpu {
namespace {

// 16 tokens of `size` values, scales included.
int64_t TileBytes(KvNumbers numbers, int64_t size) {
  int64_t bytes = 0;
  switch (numbers) {
    case KvNumbers::kF32:
      bytes = size * kPageTokens * 4;
      break;
    case KvNumbers::kF16:
      bytes = size * kPageTokens * 2;
      break;
    case KvNumbers::kI16:
      bytes = RoundUp(size, 2) * kPageTokens * 2 + kPageTokens * 4;
      break;
    case KvNumbers::kQ8_0:
      bytes = size * kPageTokens + (size + 31) / 32 * kPageTokens * 2;
      break;
  }
  return RoundUp(bytes, 64);
}

}  // namespace

KvNumbers KvNumbersOf(KvType type, const CacheLayer& layer, Isa isa) {
  switch (type) {
    case KvType::kF32:
      return KvNumbers::kF32;
    case KvType::kQ8_0:
      return KvNumbers::kQ8_0;
    case KvType::kF16:
      break;
  }
  if (layer.v_size == 0) return KvNumbers::kF16;
  switch (isa) {
    case Isa::kAvx2:
    case Isa::kAvxVnni:
    case Isa::kAvx512Vnni:
    case Isa::kAvx512Bf16:
    case Isa::kAmx:
      return KvNumbers::kI16;
    default:
      return KvNumbers::kF16;
  }
}

int64_t KTileBytes(KvNumbers numbers, int64_t k_size) { return TileBytes(numbers, k_size); }
int64_t VTileBytes(KvNumbers numbers, int64_t v_size) {
  return TileBytes(numbers, PaddedValueSize(v_size));
}

// What CarveScratch (attention_inl.h) takes, for up to as many tokens as rows.
int64_t AttendScratchFloats(int64_t rows, int64_t k_size, int64_t v_size) {
  const int64_t v_padded = PaddedValueSize(v_size);
  return RoundUp(rows * k_size, 16) + rows * kAttendKeyBlock + k_size * kAttendKeyBlock +
         kAttendKeyBlock * v_padded + 2 * rows * v_padded + RoundUp(rows * 2, 16) +
         10 * RoundUp(rows, 16) + RoundUp(rows * 4, 16) + 2 * kAttendKeyBlock;
}

const VectorOps& VectorOpsOf(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
    case Isa::kAvxVnni:
      return Avx2VectorOps();
    case Isa::kAvx512Vnni:
    case Isa::kAvx512Bf16:
    case Isa::kAmx:
      return Avx512VectorOps();
#elif defined(__aarch64__)
    case Isa::kNeon:
    case Isa::kDotprod:
    case Isa::kI8mm:
      return NeonVectorOps();
#endif
    default:
      return ScalarVectorOps();
  }
}

}  // namespace puna::backend::cpu
