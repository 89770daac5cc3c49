#include "quant/mxfp4/mxfp4.h"

#include "quant/quant_fit.h"
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

void DecodeInOrder(const BlockMXFP4InOrder& block, float* out) {
  const float d = HalfScale(block.e[0]);
  for (int j = 0; j < 16; ++j) {
    out[2 * j] = kFp4Levels[block.qs[j] & 15] * d;
    out[2 * j + 1] = kFp4Levels[block.qs[j] >> 4] * d;
  }
}

// The index of the level nearest to `x`, in units of the halved scale.
int NearestFp4(float x) {
  static constexpr float kMidpoints[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};
  int index = 0;
  for (const float midpoint : kMidpoints) index += std::fabs(x) > midpoint ? 1 : 0;
  return x < 0 && index > 0 ? index + 8 : index;
}

float ErrorWith(const float* x, const float* weights, float d) {
  const float inverse = 1 / d;
  float error = 0;
  for (int j = 0; j < 32; ++j) {
    const float difference = x[j] - d * kFp4Levels[NearestFp4(x[j] * inverse)];
    error += weights[j] * difference * difference;
  }
  return error;
}

// The largest level is 6 (1.5 * 2^2), so the exponent of the largest value less 2 is the natural
// scale, and the next one is better where clipping a value between 6 and 8 costs more than a
// coarser grid for all.
uint8_t ChooseExponent(const float* x, const float* weights) {
  float largest = 0;
  for (int j = 0; j < 32; ++j) largest = std::max(largest, std::fabs(x[j]));
  if (largest < 1e-30f) return 0;
  const int natural = std::ilogb(largest) - 2 + 127;
  const auto lower = static_cast<uint8_t>(std::max(natural, 0));
  const auto upper = static_cast<uint8_t>(lower + 1);
  return ErrorWith(x, weights, HalfScale(upper)) < ErrorWith(x, weights, HalfScale(lower)) ? upper
                                                                                           : lower;
}

void Encode(const float* x, const float* importance, BlockMXFP4* block) {
  float weights[32];
  ErrorWeights(x, 32, importance, weights);
  block->e[0] = ChooseExponent(x, weights);
  const float inverse = block->e[0] == 0 ? 0 : 1 / HalfScale(block->e[0]);
  for (int j = 0; j < 16; ++j) {
    block->qs[j] =
        static_cast<uint8_t>(NearestFp4(x[j] * inverse) | NearestFp4(x[j + 16] * inverse) << 4);
  }
}

}  // namespace

void DecodeMXFP4(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockMXFP4, Decode>(blocks, n, out);
}

void DecodeMXFP4InOrder(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockMXFP4InOrder, DecodeInOrder>(blocks, n, out);
}

void EncodeMXFP4(const float* values, int64_t n, const float* importance, uint8_t* blocks) {
  EncodeRow<BlockMXFP4, Encode>(values, n, importance, blocks);
}

}  // namespace puna::quant
