// What a processor and its operating system offer together. Safe to call anywhere.
#ifndef PUNA_BACKEND_CPU_KERNELS_CPU_FEATURES_H_
#define PUNA_BACKEND_CPU_KERNELS_CPU_FEATURES_H_

namespace puna::backend::cpu {

struct CpuFeatures {
  bool avx2 = false;      // AVX2, FMA and F16C, and the system saves ymm registers
  bool avx_vnni = false;  // and the VEX form of the byte dot products
  bool avx512_vnni =
      false;  // F, BW, VL, DQ, VNNI on top of avx2, and the system saves zmm and mask registers
  bool avx512_vbmi = false;  // and its byte permutations over two registers
  bool avx512_bf16 = false;  // and the products of bfloat16 pairs
  bool dotprod = false;      // the int8 dot products of ARMv8.2
  bool i8mm = false;         // and the int8 products of 2x8 matrices
  bool amx_int8 =
      false;  // avx512_bf16 and tiles with their int8 products, and the system saves tiles
};

const CpuFeatures& GetCpuFeatures();

// Asks the system for the tile registers, which it grants to a process, not by default. Answers
// from the second call on are the first one's.
bool RequestTiles();

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_KERNELS_CPU_FEATURES_H_
