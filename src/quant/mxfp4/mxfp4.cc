#include "quant/mxfp4/mxfp4.h"

#include "quant/quant_levels.h"

namespace puna::quant {
namespace {

// 2^(e - 128): half of E8M0's value, because kFp4Levels are doubled. The two smallest are
// subnormal. The standard's NaN (255) is read as 2^127, as GGUF tools do.
float HalfScale(uint8_t e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23);
}

void Decode(const BlockMXFP4& block, float* out) {
  const float d = HalfScale(block.e[0]);
  for (int j = 0; j < 16; ++j) {
    out[j] = kFp4Levels[block.qs[j] & 15] * d;
    out[j + 16] = kFp4Levels[block.qs[j] >> 4] * d;
  }
}

}  // namespace

void DecodeMXFP4(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockMXFP4, Decode>(blocks, n, out);
}

}  // namespace puna::quant
