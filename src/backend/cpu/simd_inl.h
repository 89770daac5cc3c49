// Vectors of the instruction set that the including unit is compiled for. To be included within an
// unnamed namespace by units with their own -m flags, which is why it has no namespace of its own
// and every function is forced inline: nothing compiled with wide instructions may have a name that
// the linker could share with a unit compiled without them.
//
// Built on the compiler's vector types, so that arithmetic is written with operators and an
// instruction set without special treatment (the scalar unit, any new processor) works at once;
// intrinsics only where an operator does not give the one instruction. The unit for NEON says so by
// PUNA_NEON: every 64-bit ARM compiler has it, also for the scalar unit.

#define PUNA_INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float F32 __attribute__((vector_size(4 * kLanes)));
typedef int32_t I32 __attribute__((vector_size(4 * kLanes)));
typedef float F32Unaligned __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

PUNA_INLINE F32 Load(const float* p) { return *reinterpret_cast<const F32Unaligned*>(p); }
PUNA_INLINE void Store(float* p, F32 v) { *reinterpret_cast<F32Unaligned*>(p) = v; }
PUNA_INLINE F32 Set(float v) { return v - F32{}; }
PUNA_INLINE I32 SetInt(int32_t v) { return v - I32{}; }
PUNA_INLINE I32 Bits(F32 v) { return reinterpret_cast<I32>(v); }
PUNA_INLINE F32 FromBits(I32 v) { return reinterpret_cast<F32>(v); }
PUNA_INLINE I32 Iota() {
  I32 v{};
  for (int i = 0; i < kLanes; ++i) v[i] = i;
  return v;
}

// The first n lanes, the others zero; 0 < n < kLanes.
PUNA_INLINE F32 LoadPart(const float* p, int64_t n) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#else
  F32 v{};
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
#endif
}
PUNA_INLINE void StorePart(float* p, F32 v, int64_t n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
#else
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
#endif
}

PUNA_INLINE F32 Fma(F32 a, F32 b, F32 c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(PUNA_NEON)
  return vfmaq_f32(c, a, b);
#else
  return a * b + c;
#endif
}
PUNA_INLINE F32 Max(F32 a, F32 b) {
#if defined(__AVX512F__)
  return _mm512_max_ps(a, b);
#elif defined(__AVX2__)
  return _mm256_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}
PUNA_INLINE F32 Min(F32 a, F32 b) {
#if defined(__AVX512F__)
  return _mm512_min_ps(a, b);
#elif defined(__AVX2__)
  return _mm256_min_ps(a, b);
#else
  return a < b ? a : b;
#endif
}
PUNA_INLINE float Sum(F32 v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps(v);
#else
  float sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
#endif
}
PUNA_INLINE float Largest(F32 v) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps(v);
#else
  float largest = v[0];
  for (int i = 1; i < kLanes; ++i) largest = v[i] > largest ? v[i] : largest;
  return largest;
#endif
}
PUNA_INLINE I32 ToInt(F32 v) { return __builtin_convertvector(v, I32); }
typedef int32_t I32Unaligned __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
PUNA_INLINE I32 LoadInt(const int32_t* p) { return *reinterpret_cast<const I32Unaligned*>(p); }
PUNA_INLINE F32 ToFloat(I32 v) { return __builtin_convertvector(v, F32); }

// kLanes binary16 values as float32, exact.
PUNA_INLINE F32 LoadHalf(const uint16_t* p) {
#if defined(__AVX512F__)
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__F16C__)
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif defined(PUNA_NEON)
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
  // Exponent and mantissa moved into place are the value times 2^-112, subnormals included;
  // infinities and NaN then get float32's largest exponent.
  I32 half{};
  for (int i = 0; i < kLanes; ++i) half[i] = p[i];
  const I32 magnitude = half & 0x7fff;
  const I32 shifted = Bits(FromBits(magnitude << 13) * Set(0x1p112f));
  const I32 bits = magnitude >= 0x7c00 ? shifted | 0x7f800000 : shifted;
  return FromBits(bits | (half & 0x8000) << 16);
#endif
}
// Rounds kLanes values to binary16, to nearest even.
PUNA_INLINE void StoreHalf(uint16_t* p, F32 v) {
#if defined(__AVX512F__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_maskz_cvtps_ph(0xffff, v, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
#elif defined(PUNA_NEON)
  vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
#else
  for (int i = 0; i < kLanes; ++i) p[i] = quant::FloatToHalf(v[i]);
#endif
}
// kLanes int8 values as float32.
PUNA_INLINE F32 LoadInt8(const int8_t* p) {
#if defined(__AVX512F__)
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif defined(__AVX2__)
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  I32 v{};
  for (int i = 0; i < kLanes; ++i) v[i] = p[i];
  return ToFloat(v);
#endif
}

// To the nearest whole number, for |v| < 2^22: adding 1.5 * 2^23 leaves no bits for the fraction.
PUNA_INLINE F32 RoundToWhole(F32 v) {
  const F32 magic = Set(12582912.0f);
  return (v + magic) - magic;
}

// To the nearest whole number, for |v| < 2^22.
PUNA_INLINE I32 ToNearest(F32 v) {
#if defined(__AVX512F__)
  return reinterpret_cast<I32>(_mm512_cvtps_epi32(v));
#elif defined(__AVX2__)
  return reinterpret_cast<I32>(_mm256_cvtps_epi32(v));
#else
  return ToInt(RoundToWhole(v));
#endif
}
// The lower 16 bits of kLanes integers that fit into them.
PUNA_INLINE void StoreShort(int16_t* p, I32 v) {
#if defined(__AVX512F__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtepi32_epi16(reinterpret_cast<__m512i>(v)));
#elif defined(__AVX2__)
  const __m256i whole = reinterpret_cast<__m256i>(v);
  const __m256i halves = _mm256_permute4x64_epi64(_mm256_packs_epi32(whole, whole), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(halves));
#else
  int16_t values[kLanes];
  for (int i = 0; i < kLanes; ++i) values[i] = static_cast<int16_t>(v[i]);
  __builtin_memcpy(p, values, sizeof(values));
#endif
}
// sum + the products of both 16-bit halves of each lane, signed.
PUNA_INLINE I32 DotPairs(I32 a, I32 b, I32 sum) {
#if defined(__AVX512VNNI__)
  return reinterpret_cast<I32>(_mm512_dpwssd_epi32(
      reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return sum + reinterpret_cast<I32>(
                   _mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
  const I32 low_a = (a << 16) >> 16, low_b = (b << 16) >> 16;
  return sum + low_a * low_b + (a >> 16) * (b >> 16);
#endif
}

// v * 2^n for whole n; zero where that underflows far.
PUNA_INLINE F32 ScaleByPower(F32 v, F32 n) {
#if defined(__AVX512F__)
  return _mm512_scalef_ps(v, n);
#else
  // Two factors, as one cannot have an exponent below -126.
  const I32 whole = ToInt(n), half = whole >> 1;
  return v * FromBits((half + 127) << 23) * FromBits((whole - half + 127) << 23);
#endif
}

// 1 / v within 2 ulp for 1e-37 < v < 1e38.
PUNA_INLINE F32 Reciprocal(F32 v) {
#if defined(__AVX512F__)
  // 14 bits, doubled by one step of Newton's: a quarter of the time of the division.
  const F32 guess = _mm512_rcp14_ps(v);
  return guess * Fma(-v, guess, Set(2.0f));
#else
  return 1.0f / v;
#endif
}

// 2^x within 2 ulp for x < 128; 0 for -inf, exactly 1 for 0. With n = floor(x) and r = x - n, 2^r
// is 1 + r q(r), q of degree 4 with the least largest relative error on [0, 1] (Remez).
PUNA_INLINE F32 Exp2(F32 x) {
#if defined(__AVX512F__)
  // The scaling takes the floor of its exponent by itself.
  const F32 n = x, r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#else
  const F32 clamped = Max(x, Set(-160.0f));
  const F32 n = RoundToWhole(clamped - 0.5f), r = clamped - n;
#endif
  F32 q = Set(0.00186713005f);
  q = Fma(q, r, Set(0.00901703071f));
  q = Fma(q, r, Set(0.0557999127f));
  q = Fma(q, r, Set(0.240164444f));
  q = Fma(q, r, Set(0.693151295f));
  return ScaleByPower(Fma(q, r, Set(1.0f)), n);
}

// e^x within 2 ulp; 0 below -110 and e^87 above 87. x = n ln 2 + r, e^r by a polynomial on |r| <=
// ln 2 / 2 (1 + r + r^2 q(r), q of degree 4 through Chebyshev nodes). ln 2 is split so that n times
// its first part is exact.
PUNA_INLINE F32 Exp(F32 x) {
  const F32 clamped = Max(Min(x, Set(87.0f)), Set(-110.0f));
  const F32 n = RoundToWhole(clamped * 1.44269504f);
  const F32 r = Fma(n, Set(2.12194440e-4f), Fma(n, Set(-0.693359375f), clamped));
  F32 q = Set(0.0013926134f);
  q = Fma(q, r, Set(0.008363179f));
  q = Fma(q, r, Set(0.041666556f));
  q = Fma(q, r, Set(0.16666577f));
  q = Fma(q, r, Set(0.5f));
  return ScaleByPower(Fma(r * r, q, r) + 1.0f, n);
}

// Within 3e-8 + 2 ulp. Near zero x + x^3 q(x^2) (q of degree 4 through Chebyshev nodes), elsewhere
// by e^2|x|.
PUNA_INLINE F32 Tanh(F32 x) {
  const F32 z = x * x;
  F32 q = Set(-0.006045165f);
  q = Fma(q, z, Set(0.02096133f));
  q = Fma(q, z, Set(-0.053843264f));
  q = Fma(q, z, Set(0.13332719f));
  q = Fma(q, z, Set(-0.33333328f));
  const F32 near_zero = Fma(x * z, q, x);
  const F32 magnitude = Max(x, -x);
  const F32 far = 1.0f - 2.0f * Reciprocal(Exp(magnitude * 2.0f) + 1.0f);
  const F32 signed_far = FromBits(Bits(far) | (Bits(x) & INT32_MIN));
  return z < 0.4f ? near_zero : signed_far;
}

// Within 2e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
PUNA_INLINE F32 Erf(F32 x) {
  const F32 magnitude = Max(x, -x);
  const F32 t = Reciprocal(Fma(magnitude, Set(0.3275911f), Set(1.0f)));
  F32 p = Set(1.061405429f);
  p = Fma(p, t, Set(-1.453152027f));
  p = Fma(p, t, Set(1.421413741f));
  p = Fma(p, t, Set(-0.284496736f));
  p = Fma(p, t, Set(0.254829592f));
  const F32 y = 1.0f - p * t * Exp(-(x * x));
  return FromBits(Bits(y) | (Bits(x) & INT32_MIN));
}

PUNA_INLINE F32 Sigmoid(F32 x) { return Reciprocal(1.0f + Exp(-x)); }
