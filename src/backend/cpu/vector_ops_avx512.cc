// VectorOps for avx512; empty where the compiler has no such instructions.
#include "backend/cpu/vector_ops.h"
#include "backend/cpu/vector_ops_tables.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the deliberately undefined operands inside its own AVX-512 intrinsics for mistakes
// (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#endif

namespace puna::backend::cpu {
#if defined(__AVX512F__)
namespace {
#include "backend/cpu/simd_inl.h"

#include "backend/cpu/vector_ops_inl.h"

#include "backend/cpu/attention_inl.h"
}  // namespace

const VectorOps* Avx512VectorOps() {
  static constexpr VectorOps kOps = PUNA_VECTOR_OPS;
  return &kOps;
}
#else
const VectorOps* Avx512VectorOps() { return nullptr; }
#endif

}  // namespace puna::backend::cpu
