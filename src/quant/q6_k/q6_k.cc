// Each half of a block (128 values) is four groups of 32. The low nibbles of groups 0 and 1 fill
// the low nibbles of 64 bytes, those of groups 2 and 3 their high nibbles; the high bits of group g
// are bits 2 g of 32 bytes.
#include "quant/q6_k/q6_k.h"

namespace puna::quant {
namespace {

void Decode(const BlockQ6_K& block, float* out) {
  const float d = LoadHalf(block.d);
  for (int sub = 0; sub < 16; ++sub) {
    const float scale = d * static_cast<float>(block.scales[sub]);
    const int group = sub % 8 / 2;  // of 32 values in this half of the block
    const uint8_t* ql = block.ql + sub / 8 * 64 + group % 2 * 32 + sub % 2 * 16;
    const uint8_t* qh = block.qh + sub / 8 * 32 + sub % 2 * 16;
    const int shift = group / 2 * 4;
    for (int j = 0; j < 16; ++j) {
      const int q = (ql[j] >> shift & 15) | (qh[j] >> (2 * group) & 3) << 4;
      out[16 * sub + j] = scale * static_cast<float>(q - 32);
    }
  }
}

}  // namespace

void DecodeQ6_K(const uint8_t* blocks, int64_t n, float* out) {
  DecodeRow<BlockQ6_K, Decode>(blocks, n, out);
}

}  // namespace puna::quant
