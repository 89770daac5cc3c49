// AVX-512 with VNNI: the table, the preparation of inputs, and the float32 panel product of the
// generic kernel.
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#include "backend/cpu/kernels/generic.h"
#include "backend/cpu/kernels/kernels_avx512.h"
#include "backend/cpu/kernels/prepare_input.h"
#include "backend/cpu/kernels/r16.h"
#include "backend/cpu/kernels/r16_float.h"
#endif
#include "backend/cpu/kernels/kernel_table.h"

namespace puna::backend::cpu {

#if defined(__x86_64__)
namespace {

// The units are compiled for F, BW, VL, DQ, VNNI, and AVX2, FMA, F16C below them; the operating
// system must save the registers (XCR0: xmm, ymm, mask, zmm 0-15, zmm 16-31).
bool Available() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kFma = 1u << 12, kOsxsave = 1u << 27, kF16c = 1u << 29;
  constexpr unsigned kBasic = kFma | kOsxsave | kF16c;
  if ((c & kBasic) != kBasic) return false;
  unsigned xcr0 = 0, high = 0;
  asm volatile("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
  if ((xcr0 & 0xe6) != 0xe6) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kAvx2 = 1u << 5, kF = 1u << 16, kDq = 1u << 17, kBw = 1u << 30, kVl = 1u << 31;
  constexpr unsigned kWide = kAvx2 | kF | kDq | kBw | kVl;
  constexpr unsigned kVnni = 1u << 11;
  return (b & kWide) == kWide && (c & kVnni) != 0;
}

template <int kTokens>
void PanelTile(const float* panel, int64_t count, const float* input, float* sums) {
  __m512 sum[kTokens];
  for (int t = 0; t < kTokens; ++t) sum[t] = _mm512_load_ps(sums + t * kGroupRows);
  for (int64_t k = 0; k < count; ++k) {
    const __m512 w = _mm512_load_ps(panel + k * kGroupRows);
    for (int t = 0; t < kTokens; ++t) {
      sum[t] = _mm512_fmadd_ps(w, _mm512_set1_ps(input[t * kChunk + k]), sum[t]);
    }
  }
  for (int t = 0; t < kTokens; ++t) _mm512_store_ps(sums + t * kGroupRows, sum[t]);
}

void MultiplyPanel(const float* panel, int64_t count, const float* input, int64_t tokens,
                   float* sums) {
  for (; tokens >= 12; tokens -= 12, input += 12 * kChunk, sums += 12 * kGroupRows) {
    PanelTile<12>(panel, count, input, sums);
  }
  for (; tokens >= 4; tokens -= 4, input += 4 * kChunk, sums += 4 * kGroupRows) {
    PanelTile<4>(panel, count, input, sums);
  }
  for (; tokens > 0; --tokens, input += kChunk, sums += kGroupRows)
    PanelTile<1>(panel, count, input, sums);
}

void MultiplyGeneric(const MultiplyTask& task) { GenericMultiply(task, &MultiplyPanel); }

constexpr GemmKernels kGeneric = {
    .name = "generic avx512vnni",
    .input = InputFormat::kF32,
    .group_bytes = &GenericGroupBytes,
    .pack = &GenericPack,
    .unpack = &GenericUnpack,
    .multiply = &MultiplyGeneric,
};

template <const R16Format& format>
constexpr TypeKernels Row(const char* name, void (*multiply)(const MultiplyTask&)) {
  return {.type = format.type,
          .kernels = {
              .name = name,
              .input = format.super ? InputFormat::kInt8Block256 : InputFormat::kInt8Block32,
              .group_bytes = &R16Packing<format>::GroupBytes,
              .pack = &R16Packing<format>::Pack,
              .unpack = &R16Packing<format>::Unpack,
              .multiply = multiply,
          }};
}

template <typename Element>
constexpr TypeKernels FloatRow(quant::TensorType type, const char* name,
                               void (*multiply)(const MultiplyTask&)) {
  return {.type = type,
          .kernels = {
              .name = name,
              .input = InputFormat::kF32,
              .group_bytes = &FloatPacking<Element>::GroupBytes,
              .pack = &FloatPacking<Element>::Pack,
              .unpack = &FloatPacking<Element>::Unpack,
              .multiply = multiply,
          }};
}

constexpr TypeKernels kTypes[] = {
    FloatRow<FloatBits>(quant::TensorType::kF32, "f32 avx512vnni", &MultiplyF32Avx512),
    FloatRow<HalfBits>(quant::TensorType::kF16, "f16 avx512vnni", &MultiplyF16Avx512),
    FloatRow<Bfloat16Bits>(quant::TensorType::kBF16, "bf16 avx512vnni", &MultiplyBF16Avx512),
    Row<kR16Q4_K>("q4_k avx512vnni", &MultiplyQ4_KAvx512),
    Row<kR16Q6_K>("q6_k avx512vnni", &MultiplyQ6_KAvx512),
    Row<kR16Q8_0>("q8_0 avx512vnni", &MultiplyQ8_0Avx512),
    Row<kR16Q4_0>("q4_0 avx512vnni", &MultiplyQ4_0Avx512),
    Row<kR16Q5_K>("q5_k avx512vnni", &MultiplyQ5_KAvx512),
    Row<kR16Q4_1>("q4_1 avx512vnni", &MultiplyQ4_1Avx512),
    Row<kR16Q5_0>("q5_0 avx512vnni", &MultiplyQ5_0Avx512),
    Row<kR16Q5_1>("q5_1 avx512vnni", &MultiplyQ5_1Avx512),
    Row<kR16Q2_K>("q2_k avx512vnni", &MultiplyQ2_KAvx512),
    Row<kR16Q3_K>("q3_k avx512vnni", &MultiplyQ3_KAvx512),
    Row<kR16IQ4_NL>("iq4_nl avx512vnni", &MultiplyIQ4_NLAvx512),
    Row<kR16IQ4_XS>("iq4_xs avx512vnni", &MultiplyIQ4_XSAvx512),
    Row<kR16MXFP4>("mxfp4 avx512vnni", &MultiplyMXFP4Avx512),
};

constexpr IsaKernels kAvx512 = {
    .isa = Isa::kAvx512Vnni,
    .name = "avx512vnni",
    .available = &Available,
    .generic = &kGeneric,
    .types = kTypes,
    .type_count = sizeof(kTypes) / sizeof(kTypes[0]),
    .prepare = {&PrepareF32, &PrepareInt8Block32, &PrepareInt8Block256},
};

}  // namespace

const IsaKernels* Avx512Kernels() { return &kAvx512; }
#else
const IsaKernels* Avx512Kernels() { return nullptr; }
#endif

}  // namespace puna::backend::cpu
