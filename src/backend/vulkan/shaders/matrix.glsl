// Matrices that a subgroup holds together: A of kM x kK and B of kK x kN float16 values, and sums of
// kM x kN float32 values. A and B are read from `tiles`, shared memory in units of eight values (A by
// rows, B by columns, `pitch` units from one to the next). Sums are written there, too, by columns, from
// float `to` on.
// Three makes of the same: VK_NV_cooperative_matrix, VK_KHR_cooperative_matrix (PUNA_KHR_MATRIX), and
// one that needs neither and computes the same slowly, for tests (PUNA_PLAIN_MATRIX).
layout(constant_id = 9) const uint kM = 16;
layout(constant_id = 10) const uint kN = 16;
layout(constant_id = 11) const uint kK = 16;
layout(constant_id = 12) const uint kSubgroup = 32;  // invocations of a subgroup

#if defined(PUNA_PLAIN_MATRIX)

struct MatrixA {
  uint at, pitch;
};
#define MatrixB MatrixA
const uint kSumsEach = (kM * kN + kSubgroup - 1) / kSubgroup;
struct MatrixSums {
  float v[kSumsEach];
};

#define LOAD_A(m, from, step) m = MatrixA(from, step)
#define LOAD_B(m, from, step) m = MatrixA(from, step)
// An argument may have an i, j or k of its own.
#define CLEAR(m) [[dont_unroll]] for (uint e = 0; e < kSumsEach; ++e) m.v[e] = 0

#define MULTIPLY_ADD(sums, a, b)                                                                  \
  [[dont_unroll]] for (uint e = 0; e < kSumsEach; ++e) {                                          \
    const uint own_sum = e * kSubgroup + gl_SubgroupInvocationID;                                 \
    [[dont_unroll]] for (uint inner = 0; own_sum < kM * kN && inner < kK; ++inner)                \
      sums.v[e] += HalfIn(a, own_sum % kM, inner) * HalfIn(b, own_sum / kM, inner);               \
  }

#define STORE_SUMS(m, to)                                         \
  [[dont_unroll]] for (uint e = 0; e < kSumsEach; ++e) {          \
    const uint own_sum = e * kSubgroup + gl_SubgroupInvocationID; \
    if (own_sum < kM * kN) tiles[(to + own_sum) / 4][own_sum % 4] = floatBitsToUint(m.v[e]); \
  }

#define HalfIn(m, line, k) \
  unpackHalf2x16(tiles[m.at + (line) * m.pitch + (k) / 8][(k) % 8 / 2])[(k) % 2]

#elif defined(PUNA_KHR_MATRIX)

#define MatrixA coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA>
#define MatrixB coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB>
#define MatrixSums coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>
#define LOAD_A(m, from, pitch) coopMatLoad(m, tiles, from, pitch, gl_CooperativeMatrixLayoutRowMajor)
#define LOAD_B(m, from, pitch) coopMatLoad(m, tiles, from, pitch, gl_CooperativeMatrixLayoutColumnMajor)
#define CLEAR(m) m = MatrixSums(0.0)
#define MULTIPLY_ADD(sums, a, b) sums = coopMatMulAdd(a, b, sums)
#define STORE_SUMS(m, to) coopMatStore(m, tiles, (to) / 4, kM / 4, gl_CooperativeMatrixLayoutColumnMajor)

#else

#define MatrixA fcoopmatNV<16, gl_ScopeSubgroup, kM, kK>
#define MatrixB fcoopmatNV<16, gl_ScopeSubgroup, kK, kN>
#define MatrixSums fcoopmatNV<32, gl_ScopeSubgroup, kM, kN>
#define LOAD_A(m, from, pitch) coopMatLoadNV(m, tiles, from, pitch, false)
#define LOAD_B(m, from, pitch) coopMatLoadNV(m, tiles, from, pitch, true)
#define CLEAR(m) m = MatrixSums(0.0)
#define MULTIPLY_ADD(sums, a, b) sums = coopMatMulAddNV(a, b, sums)
#define STORE_SUMS(m, to) coopMatStoreNV(m, tiles, (to) / 4, kM / 4, true)

#endif
