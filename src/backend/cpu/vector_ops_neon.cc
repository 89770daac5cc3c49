// VectorOps for neon; empty where the compiler has no such instructions.
#include "backend/cpu/vector_ops.h"
#include "backend/cpu/vector_ops_tables.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace puna::backend::cpu {
#if defined(__aarch64__)
namespace {
#include "backend/cpu/simd_inl.h"

#include "backend/cpu/vector_ops_inl.h"

#include "backend/cpu/attention_inl.h"
}  // namespace

const VectorOps* NeonVectorOps() {
  static constexpr VectorOps kOps = PUNA_VECTOR_OPS;
  return &kOps;
}
#else
const VectorOps* NeonVectorOps() { return nullptr; }
#endif

}  // namespace puna::backend::cpu
