// The tables that the units of vector_ops_*.cc define; null where a build lacks the instruction
// set.
#ifndef PUNA_BACKEND_CPU_VECTOR_OPS_TABLES_H_
#define PUNA_BACKEND_CPU_VECTOR_OPS_TABLES_H_

#include "backend/cpu/vector_ops.h"

namespace puna::backend::cpu {

const VectorOps& ScalarVectorOps();
const VectorOps& Avx2VectorOps();
const VectorOps& Avx512VectorOps();
const VectorOps& NeonVectorOps();

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_VECTOR_OPS_TABLES_H_
