#include "quant/iq3_xxs/iq3_xxs.h"

#include "quant/iq_grids.h"

namespace puna::quant {
namespace {

void Decode(const BlockIQ3_XXS& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int sub = 0; sub < 8; ++sub) {
    const uint32_t signs_and_scale = LoadU32(block.scales_and_signs + 4 * sub);
    const float scale = d * (0.5f + static_cast<float>(signs_and_scale >> 28)) * 0.5f;
    for (int group = 0; group < 4; ++group, out += 8) {
      const unsigned signs = EvenSigns(signs_and_scale >> (7 * group) & 127);
      const uint8_t* indices = block.qs + 8 * sub + 2 * group;
      for (int j = 0; j < 8; ++j) {
        out[j] = scale * Iq3XxsValue(kIq3XxsGrid[indices[j / 4]], j % 4) * SignAt(signs, j);
      }
    }
  }
}

}  // namespace

void DecodeIQ3_XXS(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockIQ3_XXS, Decode>(blocks, n, out);
}

}  // namespace puna::quant
