#define PUNA_NEON
#include <arm_neon.h>

#include <utility>

#include "backend/cpu/vector_ops.h"
#include "backend/cpu/vector_ops_tables.h"

namespace puna::backend::cpu {
namespace {
#include "backend/cpu/simd_inl.h"

#include "backend/cpu/vector_ops_inl.h"

#include "backend/cpu/attention_tiles_inl.h"

#include "backend/cpu/attention_softmax_inl.h"

#include "backend/cpu/attention_pairs_inl.h"

#include "backend/cpu/attention_inl.h"

#include "backend/cpu/recurrent_inl.h"
}  // namespace

const VectorOps& NeonVectorOps() {
  static constexpr VectorOps kOps = PUNA_VECTOR_OPS;
  return kOps;
}

}  // namespace puna::backend::cpu
