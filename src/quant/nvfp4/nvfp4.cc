#include "quant/nvfp4/nvfp4.h"

#include "quant/quant_levels.h"

namespace puna::quant {
namespace {

// Half of the E4M3 value (bias 7), because kFp4Levels are doubled. The standard's NaN (127) is read
// as zero and the sign bit is ignored, as GGUF tools do.
float HalfScale(uint8_t bits) {
  const int exponent = bits >> 3 & 15;
  const int mantissa = bits & 7;
  if (bits == 127) return 0;
  if (exponent == 0) return std::ldexp(static_cast<float>(mantissa), -10);
  return std::ldexp(static_cast<float>(8 + mantissa), exponent - 11);
}

void Decode(const BlockNVFP4& block, float* out) {
  for (int sub = 0; sub < 4; ++sub, out += 16) {
    const float d = HalfScale(block.d[sub]);
    const uint8_t* qs = block.qs + sub * 8;
    for (int j = 0; j < 8; ++j) {
      out[j] = kFp4Levels[qs[j] & 15] * d;
      out[j + 8] = kFp4Levels[qs[j] >> 4] * d;
    }
  }
}

}  // namespace

void DecodeNVFP4(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockNVFP4, Decode>(blocks, n, out);
}

}  // namespace puna::quant
