// VectorOps for avx2; empty where the compiler has no such instructions.
#include "backend/cpu/vector_ops.h"
#include "backend/cpu/vector_ops_tables.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace puna::backend::cpu {
#if defined(__AVX2__)
namespace {
#include "backend/cpu/simd_inl.h"

#include "backend/cpu/vector_ops_inl.h"

#include "backend/cpu/attention_inl.h"
}  // namespace

const VectorOps* Avx2VectorOps() {
  static constexpr VectorOps kOps = PUNA_VECTOR_OPS;
  return &kOps;
}
#else
const VectorOps* Avx2VectorOps() { return nullptr; }
#endif

}  // namespace puna::backend::cpu
