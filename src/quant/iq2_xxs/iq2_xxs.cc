#include "quant/iq2_xxs/iq2_xxs.h"

#include "quant/iq_grids.h"

namespace puna::quant {
namespace {

void Decode(const BlockIQ2_XXS& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int sub = 0; sub < 8; ++sub) {
    const uint8_t* indices = block.qs + 8 * sub;
    const uint32_t signs_and_scale = LoadU32(indices + 4);
    const float scale = d * (0.5f + static_cast<float>(signs_and_scale >> 28)) * 0.25f;
    for (int group = 0; group < 4; ++group, out += 8) {
      const unsigned signs = EvenSigns(signs_and_scale >> (7 * group) & 127);
      for (int j = 0; j < 8; ++j)
        out[j] = scale * Iq2Value(kIq2XxsGrid[indices[group]], j) * SignAt(signs, j);
    }
  }
}

}  // namespace

void DecodeIQ2_XXS(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockIQ2_XXS, Decode>(blocks, n, out);
}

}  // namespace puna::quant
