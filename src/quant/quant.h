// The number formats of GGUF tensors: one folder each below quant/, and the table of them all.
//
// A format stores a row as blocks of `block_elements` values in `block_bytes` bytes. Decoding is
// exact: it gives, bit for bit, the float32 that the definition of the format gives. Encoding picks
// the block that is nearest under the format's usual search. Everything here is scalar and
// portable; fast kernels live in backend/cpu and are tested against this. Thread safe, no state.
#ifndef PUNA_QUANT_QUANT_H_
#define PUNA_QUANT_QUANT_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace puna::quant {

// The numbers are GGUF's own (ggml_type). Removed or never-published numbers are not listed and not
// readable.
enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kMXFP4InOrder = 4,  // in early gpt-oss files of Ollama; elsewhere the number is retired
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,
  kQ1_0 = 41,
  kQ2_0 = 42,
};

// One row of the table.
struct TypeTraits {
  TensorType type;
  std::string_view name;   // as in GGUF tools: "Q4_K", "F16", "MXFP4"
  int64_t block_elements;  // a row length must be a multiple of it
  int64_t block_bytes;
  // Decodes `n` values (a multiple of block_elements) from `blocks` to `out`. Null for integer
  // types that are no weights.
  void (*decode)(const uint8_t* blocks, int64_t n, float* out);
  // Encodes `n` finite values. `importance` weighs the error of each value and may be null. Null
  // where there is no encoder.
  void (*encode)(const float* values, int64_t n, const float* importance, uint8_t* blocks);
};

// Null if GGUF's number is unknown to puna.
const TypeTraits* FindType(uint32_t gguf_number);
// Never null for an enumerator.
const TypeTraits& TraitsOf(TensorType type);
// By name, in any case; null if unknown.
const TypeTraits* FindTypeByName(std::string_view name);
// All rows, in the order of the GGUF numbers.
std::span<const TypeTraits> AllTypes();

// Bytes of `elements` values. REQUIRES: elements is a multiple of the block.
int64_t BytesFor(TensorType type, int64_t elements);

// IEEE binary16 and bfloat16 (round to nearest even), exact in both directions, NaN kept.
float HalfToFloat(uint16_t bits);
uint16_t FloatToHalf(float value);
float Bfloat16ToFloat(uint16_t bits);
uint16_t FloatToBfloat16(float value);

}  // namespace puna::quant

#endif  // PUNA_QUANT_QUANT_H_
