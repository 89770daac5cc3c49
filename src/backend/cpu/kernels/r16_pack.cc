// GGUF blocks to and from the r16 layout. A row's chunk is first spelled out (RowChunk: one byte
// per level and scale), in the order of the columns; that is the only part that knows the types'
// own blocks. The rest is the same for all types.
#include <algorithm>
#include <utility>

#include "backend/cpu/kernels/r16.h"
#include "backend/cpu/kernels/r16_planes.h"
#include "base/check.h"
#include "quant/iq4_nl/iq4_nl.h"
#include "quant/iq4_xs/iq4_xs.h"
#include "quant/mxfp4/mxfp4.h"
#include "quant/nvfp4/nvfp4.h"
#include "quant/q1_0/q1_0.h"
#include "quant/q2_0/q2_0.h"
#include "quant/q2_k/q2_k.h"
#include "quant/q3_k/q3_k.h"
#include "quant/q4_0/q4_0.h"
#include "quant/q4_1/q4_1.h"
#include "quant/q4_k/q4_k.h"
#include "quant/q5_0/q5_0.h"
#include "quant/q5_1/q5_1.h"
#include "quant/q5_k/q5_k.h"
#include "quant/q6_k/q6_k.h"
#include "quant/q8_0/q8_0.h"
#include "quant/quant_block.h"
#include "quant/quant_k_scales.h"
#include "quant/tq1_0/tq1_0.h"
#include "quant/tq2_0/tq2_0.h"

namespace puna::backend::cpu {
namespace {

using quant::LoadU16;
using quant::LoadU32;
using quant::StoreU16;
using quant::StoreU32;

// Up to 256 columns of one row.
struct RowChunk {
  uint8_t level[kChunk];
  uint16_t d[16];  // as stored: bits of a half, or a byte; [0] where there is one per 256
  uint16_t m[8];
  int8_t scale[16];
  uint8_t min[16];
};

// out[i] = or |= the bits `mask` of in[i] * 2^kShift, i < kWidth. Loading is bound by this and by
// memory, hence vectors.
template <int kWidth, int kShift, bool kOr = false>
void SetBits(const uint8_t* in, uint8_t mask, uint8_t* out) {
  using Lanes = typename Planes<kWidth>::Lanes;
  const Lanes value = *reinterpret_cast<const Lanes*>(in);
  Lanes bits = {};
  if constexpr (kOr) bits = *reinterpret_cast<const Lanes*>(out);
  AddBits<kShift, kWidth>(value, mask, &bits);
  *reinterpret_cast<Lanes*>(out) = bits;
}
template <int kWidth, int kShift>
void OrBits(const uint8_t* in, uint8_t mask, uint8_t* out) {
  SetBits<kWidth, kShift, true>(in, mask, out);
}
// Calls body.operator()<0>() to body.operator()<7>().
template <typename Body>
void ForEachOf8(Body body) {
  [&]<int... i>(std::integer_sequence<int, i...>) { (body.template operator()<i>(), ...); }
  (std::make_integer_sequence<int, 8>());
}

// Bit j of `bits` to bit 4 of level[j], j < 32. Eight at a time: each byte of a product with ones
// keeps its own bit, and adding 127 carries it to the top of the byte.
void OrFifthBits(uint32_t bits, uint8_t* level) {
  for (int i = 0; i < 4; ++i) {
    constexpr uint64_t kOnes = 0x0101010101010101u;
    const uint64_t own = (bits >> (8 * i) & 255) * kOnes & 0x8040201008040201u;
    uint64_t eight;
    std::memcpy(&eight, level + 8 * i, 8);
    eight |= ((own + 127 * kOnes) >> 7 & kOnes) << 4;
    std::memcpy(level + 8 * i, &eight, 8);
  }
}

// ---- Types with blocks of 32: one call per block.

template <typename Block>
void ReadNibbles16(const Block& block, uint8_t* level) {
  const auto* qs = reinterpret_cast<const uint8_t*>(block.qs);
  SetBits<16, 0>(qs, 15, level);
  SetBits<16, -4>(qs, 15, level + 16);
}

template <typename Block>
void WriteNibbles16(const uint8_t* level, Block* block) {
  for (int j = 0; j < 16; ++j)
    block->qs[j] = static_cast<uint8_t>((level[j] & 15) | level[j + 16] << 4);
}

// The parts that a block has decide what is read.
template <typename Block>
void ReadBlock(const Block& block, int index, RowChunk* chunk) {
  uint8_t* level = chunk->level + index * 32;
  if constexpr (requires { block.e; }) {
    chunk->d[index] = block.e[0];
  } else {
    chunk->d[index] = LoadU16(block.d);
  }
  if constexpr (requires { block.m; }) chunk->m[index] = LoadU16(block.m);
  if constexpr (sizeof(block.qs) == 32) {
    for (int j = 0; j < 32; ++j) level[j] = static_cast<uint8_t>(block.qs[j]) ^ 0x80;
  } else {
    ReadNibbles16(block, level);
  }
  if constexpr (requires { block.qh; }) {
    OrFifthBits(LoadU32(block.qh), level);
  }
}

template <typename Block>
void WriteBlock(const RowChunk& chunk, int index, Block* block) {
  const uint8_t* level = chunk.level + index * 32;
  if constexpr (requires { block->e; }) {
    block->e[0] = static_cast<uint8_t>(chunk.d[index]);
  } else {
    StoreU16(chunk.d[index], block->d);
  }
  if constexpr (requires { block->m; }) StoreU16(chunk.m[index], block->m);
  if constexpr (sizeof(block->qs) == 32) {
    for (int j = 0; j < 32; ++j) block->qs[j] = static_cast<int8_t>(level[j] ^ 0x80);
  } else {
    WriteNibbles16(level, block);
  }
  if constexpr (requires { block->qh; }) {
    uint32_t high = 0;
    for (int j = 0; j < 32; ++j) high |= static_cast<uint32_t>(level[j] >> 4 & 1) << j;
    StoreU32(high, block->qh);
  }
}

template <typename Block>
struct Blocks32 {
  static void Read(const uint8_t* bytes, int64_t cols, RowChunk* chunk) {
    const auto* blocks = reinterpret_cast<const Block*>(bytes);
    for (int i = 0; i < cols / 32; ++i) ReadBlock(blocks[i], i, chunk);
  }
  static void Write(const RowChunk& chunk, int64_t cols, uint8_t* bytes) {
    auto* blocks = reinterpret_cast<Block*>(bytes);
    for (int i = 0; i < cols / 32; ++i) WriteBlock(chunk, i, &blocks[i]);
  }
};

// ---- Types with blocks of 64 and 128.

struct BlocksNvFp4 {
  static void Read(const uint8_t* bytes, int64_t cols, RowChunk* chunk) {
    const auto* blocks = reinterpret_cast<const quant::BlockNVFP4*>(bytes);
    for (int i = 0; i < cols / 16; ++i) {
      const quant::BlockNVFP4& block = blocks[i / 4];
      const uint8_t* qs = block.qs + i % 4 * 8;
      uint8_t* level = chunk->level + i * 16;
      chunk->d[i] = block.d[i % 4];
      for (int j = 0; j < 8; ++j) level[j] = qs[j] & 15;
      for (int j = 0; j < 8; ++j) level[j + 8] = qs[j] >> 4;
    }
  }
  static void Write(const RowChunk& chunk, int64_t cols, uint8_t* bytes) {
    auto* blocks = reinterpret_cast<quant::BlockNVFP4*>(bytes);
    for (int i = 0; i < cols / 16; ++i) {
      quant::BlockNVFP4& block = blocks[i / 4];
      const uint8_t* level = chunk.level + i * 16;
      block.d[i % 4] = static_cast<uint8_t>(chunk.d[i]);
      for (int j = 0; j < 8; ++j)
        block.qs[i % 4 * 8 + j] = static_cast<uint8_t>(level[j] | level[j + 8] << 4);
    }
  }
};

// Q1_0 and Q2_0: levels one after the other, of so many bits. Those of one bit are read as 0 and 2.
template <typename Block>
struct BlocksInOrder {
  static constexpr int kEach = Block::kElements / static_cast<int>(sizeof(Block::qs));
  static constexpr int kBits = 8 / kEach, kMask = (1 << kBits) - 1, kDouble = kBits == 1 ? 1 : 0;

  static void Read(const uint8_t* bytes, int64_t cols, RowChunk* chunk) {
    const auto* blocks = reinterpret_cast<const Block*>(bytes);
    for (int i = 0; i < cols / Block::kElements; ++i) {
      uint8_t* level = chunk->level + i * Block::kElements;
      chunk->d[i] = LoadU16(blocks[i].d);
      for (int j = 0; j < Block::kElements; ++j) {
        const int bits = blocks[i].qs[j / kEach] >> (j % kEach * kBits) & kMask;
        level[j] = static_cast<uint8_t>(bits << kDouble);
      }
    }
  }
  static void Write(const RowChunk& chunk, int64_t cols, uint8_t* bytes) {
    auto* blocks = reinterpret_cast<Block*>(bytes);
    for (int i = 0; i < cols / Block::kElements; ++i) {
      const uint8_t* level = chunk.level + i * Block::kElements;
      StoreU16(chunk.d[i], blocks[i].d);
      std::fill_n(blocks[i].qs, sizeof(Block::qs), uint8_t{0});
      for (int j = 0; j < Block::kElements; ++j) {
        blocks[i].qs[j / kEach] |= static_cast<uint8_t>(level[j] >> kDouble << (j % kEach * kBits));
      }
    }
  }
};

// ---- K-quants: one block per chunk.

// Q4_K and Q5_K: 64 columns share 32 bytes of nibbles; the fifth bits lie across.
template <typename Block>
struct BlockK45 {
  static void Read(const uint8_t* bytes, int64_t, RowChunk* chunk) {
    const auto& block = *reinterpret_cast<const Block*>(bytes);
    chunk->d[0] = LoadU16(block.d);
    chunk->m[0] = LoadU16(block.dmin);
    const quant::KScales scales = quant::UnpackKScales(block.scales);
    for (int i = 0; i < 8; ++i) {
      chunk->scale[i] = static_cast<int8_t>(scales.scale[i]);
      chunk->min[i] = scales.min[i];
    }
    for (int pair = 0; pair < 4; ++pair) {
      SetBits<32, 0>(block.qs + pair * 32, 15, chunk->level + pair * 64);
      SetBits<32, -4>(block.qs + pair * 32, 15, chunk->level + pair * 64 + 32);
    }
    if constexpr (requires { block.qh; }) {
      ForEachOf8([&]<int i>() { OrBits<32, 4 - i>(block.qh, 16, chunk->level + i * 32); });
    }
  }
  static void Write(const RowChunk& chunk, int64_t, uint8_t* bytes) {
    auto& block = *reinterpret_cast<Block*>(bytes);
    StoreU16(chunk.d[0], block.d);
    StoreU16(chunk.m[0], block.dmin);
    quant::KScales scales;
    for (int i = 0; i < 8; ++i) {
      scales.scale[i] = static_cast<uint8_t>(chunk.scale[i]);
      scales.min[i] = chunk.min[i];
    }
    quant::PackKScales(scales, block.scales);
    for (int pair = 0; pair < 4; ++pair) {
      const uint8_t* level = chunk.level + pair * 64;
      for (int j = 0; j < 32; ++j) {
        block.qs[pair * 32 + j] = static_cast<uint8_t>((level[j] & 15) | (level[j + 32] & 15) << 4);
      }
    }
    if constexpr (requires { block.qh; }) {
      for (int j = 0; j < 32; ++j) {
        int bits = 0;
        for (int i = 0; i < 8; ++i) bits |= (chunk.level[i * 32 + j] >> 4) << i;
        block.qh[j] = static_cast<uint8_t>(bits);
      }
    }
  }
};

struct BlockK6 {
  static void Read(const uint8_t* bytes, int64_t, RowChunk* chunk) {
    const auto& block = *reinterpret_cast<const quant::BlockQ6_K*>(bytes);
    chunk->d[0] = LoadU16(block.d);
    for (int i = 0; i < 16; ++i) chunk->scale[i] = block.scales[i];
    ForEachOf8([&]<int group>() {  // of 32 columns; four to a half of the block
      uint8_t* level = chunk->level + group * 32;
      SetBits<32, -(group % 4 / 2 * 4)>(block.ql + group / 4 * 64 + group % 2 * 32, 15, level);
      OrBits<32, 4 - group % 4 * 2>(block.qh + group / 4 * 32, 3 << 4, level);
    });
  }
  static void Write(const RowChunk& chunk, int64_t, uint8_t* bytes) {
    auto& block = *reinterpret_cast<quant::BlockQ6_K*>(bytes);
    StoreU16(chunk.d[0], block.d);
    for (int i = 0; i < 16; ++i) block.scales[i] = chunk.scale[i];
    for (int half = 0; half < 2; ++half) {
      const uint8_t* level = chunk.level + half * 128;
      for (int j = 0; j < 64; ++j) {
        block.ql[half * 64 + j] = static_cast<uint8_t>((level[j] & 15) | (level[j + 64] & 15) << 4);
      }
      for (int j = 0; j < 32; ++j) {
        block.qh[half * 32 + j] =
            static_cast<uint8_t>(level[j] >> 4 | level[j + 32] >> 4 << 2 | level[j + 64] >> 4 << 4 |
                                 level[j + 96] >> 4 << 6);
      }
    }
  }
};

// Two-bit levels of Q2_K and Q3_K: four groups of 32 columns share 32 bytes.
void ReadTwoBits(const uint8_t* qs, uint8_t* level) {
  ForEachOf8([&]<int group>() {
    SetBits<32, -(group % 4 * 2)>(qs + group / 4 * 32, 3, level + group * 32);
  });
}

void WriteTwoBits(const uint8_t* level, uint8_t* qs) {
  for (int half = 0; half < 2; ++half) {
    for (int j = 0; j < 32; ++j) {
      int bits = 0;
      for (int group = 0; group < 4; ++group)
        bits |= (level[half * 128 + group * 32 + j] & 3) << (2 * group);
      qs[half * 32 + j] = static_cast<uint8_t>(bits);
    }
  }
}

struct BlockK2 {
  static void Read(const uint8_t* bytes, int64_t, RowChunk* chunk) {
    const auto& block = *reinterpret_cast<const quant::BlockQ2_K*>(bytes);
    chunk->d[0] = LoadU16(block.d);
    chunk->m[0] = LoadU16(block.dmin);
    for (int i = 0; i < 16; ++i) chunk->scale[i] = static_cast<int8_t>(block.scales[i]);
    ReadTwoBits(block.qs, chunk->level);
  }
  static void Write(const RowChunk& chunk, int64_t, uint8_t* bytes) {
    auto& block = *reinterpret_cast<quant::BlockQ2_K*>(bytes);
    StoreU16(chunk.d[0], block.d);
    StoreU16(chunk.m[0], block.dmin);
    for (int i = 0; i < 16; ++i) block.scales[i] = static_cast<uint8_t>(chunk.scale[i]);
    WriteTwoBits(chunk.level, block.qs);
  }
};

// The sixteen 6-bit scales of Q3_K, see quant/q3_k.
struct BlockK3 {
  static void Read(const uint8_t* bytes, int64_t, RowChunk* chunk) {
    const auto& block = *reinterpret_cast<const quant::BlockQ3_K*>(bytes);
    chunk->d[0] = LoadU16(block.d);
    for (int i = 0; i < 16; ++i) {
      const int low = block.scales[i % 8] >> (i / 8 * 4) & 15;
      const int high = block.scales[8 + i % 4] >> (i / 4 * 2) & 3;
      chunk->scale[i] = static_cast<int8_t>((low | high << 4) - 32);
    }
    ReadTwoBits(block.qs, chunk->level);
    ForEachOf8([&]<int i>() { OrBits<32, 2 - i>(block.hmask, 4, chunk->level + i * 32); });
  }
  static void Write(const RowChunk& chunk, int64_t, uint8_t* bytes) {
    auto& block = *reinterpret_cast<quant::BlockQ3_K*>(bytes);
    StoreU16(chunk.d[0], block.d);
    std::fill_n(block.scales, 12, uint8_t{0});
    for (int i = 0; i < 16; ++i) {
      const int scale = chunk.scale[i] + 32;
      block.scales[i % 8] |= static_cast<uint8_t>((scale & 15) << (i / 8 * 4));
      block.scales[8 + i % 4] |= static_cast<uint8_t>(scale >> 4 << (i / 4 * 2));
    }
    WriteTwoBits(chunk.level, block.qs);
    std::fill_n(block.hmask, 32, uint8_t{0});
    for (int i = 0; i < kChunk; ++i)
      block.hmask[i % 32] |= static_cast<uint8_t>(chunk.level[i] >> 2 << (i / 32));
  }
};

struct BlockIq4Xs {
  static void Read(const uint8_t* bytes, int64_t, RowChunk* chunk) {
    const auto& block = *reinterpret_cast<const quant::BlockIQ4_XS*>(bytes);
    chunk->d[0] = LoadU16(block.d);
    for (int i = 0; i < 8; ++i) {
      const int low = block.scales_l[i / 2] >> (i % 2 * 4) & 15;
      const int high = LoadU16(block.scales_h) >> (2 * i) & 3;
      chunk->scale[i] = static_cast<int8_t>((low | high << 4) - 32);
      SetBits<16, 0>(block.qs + i * 16, 15, chunk->level + i * 32);
      SetBits<16, -4>(block.qs + i * 16, 15, chunk->level + i * 32 + 16);
    }
  }
  static void Write(const RowChunk& chunk, int64_t, uint8_t* bytes) {
    auto& block = *reinterpret_cast<quant::BlockIQ4_XS*>(bytes);
    StoreU16(chunk.d[0], block.d);
    std::fill_n(block.scales_l, 4, uint8_t{0});
    int high = 0;
    for (int i = 0; i < 8; ++i) {
      const int scale = chunk.scale[i] + 32;
      block.scales_l[i / 2] |= static_cast<uint8_t>((scale & 15) << (i % 2 * 4));
      high |= scale >> 4 << (2 * i);
      for (int j = 0; j < 16; ++j) {
        block.qs[i * 16 + j] =
            static_cast<uint8_t>(chunk.level[i * 32 + j] | chunk.level[i * 32 + j + 16] << 4);
      }
    }
    StoreU16(static_cast<uint16_t>(high), block.scales_h);
  }
};

struct BlockTernary2 {
  static void Read(const uint8_t* bytes, int64_t, RowChunk* chunk) {
    const auto& block = *reinterpret_cast<const quant::BlockTQ2_0*>(bytes);
    chunk->d[0] = LoadU16(block.d);
    ReadTwoBits(block.qs, chunk->level);
  }
  static void Write(const RowChunk& chunk, int64_t, uint8_t* bytes) {
    auto& block = *reinterpret_cast<quant::BlockTQ2_0*>(bytes);
    StoreU16(chunk.d[0], block.d);
    WriteTwoBits(chunk.level, block.qs);
  }
};

// The runs of digits of TQ1_0, see quant/tq1_0: the first digits of all bytes of a run come first.
struct BlockTernary5 {
  static constexpr struct Run { int bytes, digits; } kRuns[] = {{32, 5}, {16, 5}, {4, 4}};

  static void Read(const uint8_t* bytes, int64_t, RowChunk* chunk) {
    const auto& block = *reinterpret_cast<const quant::BlockTQ1_0*>(bytes);
    chunk->d[0] = LoadU16(block.d);
    const uint8_t* in = block.qs;  // and, right behind it, qh
    uint8_t* level = chunk->level;
    for (const Run run : kRuns) {
      for (int j = 0; j < run.bytes; ++j) {
        auto fraction = in[j];
        for (int n = 0; n < run.digits; ++n) {
          level[n * run.bytes + j] = static_cast<uint8_t>(fraction * 3 >> 8);
          fraction = static_cast<uint8_t>(fraction * 3);
        }
      }
      in += run.bytes;
      level += run.bytes * run.digits;
    }
  }
  static void Write(const RowChunk& chunk, int64_t, uint8_t* bytes) {
    auto& block = *reinterpret_cast<quant::BlockTQ1_0*>(bytes);
    StoreU16(chunk.d[0], block.d);
    uint8_t* out = block.qs;
    const uint8_t* level = chunk.level;
    for (const Run run : kRuns) {
      for (int j = 0; j < run.bytes; ++j) {
        int number = 0;  // of five digits; what a run has fewer are zeros
        for (int n = 0; n < 5; ++n)
          number = number * 3 + (n < run.digits ? level[n * run.bytes + j] : 0);
        out[j] = static_cast<uint8_t>((number * 256 + 242) / 243);
      }
      out += run.bytes;
      level += run.bytes * run.digits;
    }
  }
};

template <const R16Format& format>
struct CodecOf;
#define PUNA_R16_CODEC(name, codec) \
  template <>                       \
  struct CodecOf<kR16##name> : codec {}
PUNA_R16_CODEC(Q4_0, Blocks32<quant::BlockQ4_0>);
PUNA_R16_CODEC(Q4_1, Blocks32<quant::BlockQ4_1>);
PUNA_R16_CODEC(Q5_0, Blocks32<quant::BlockQ5_0>);
PUNA_R16_CODEC(Q5_1, Blocks32<quant::BlockQ5_1>);
PUNA_R16_CODEC(Q8_0, Blocks32<quant::BlockQ8_0>);
PUNA_R16_CODEC(IQ4_NL, Blocks32<quant::BlockIQ4_NL>);
PUNA_R16_CODEC(MXFP4, Blocks32<quant::BlockMXFP4>);
PUNA_R16_CODEC(NVFP4, BlocksNvFp4);
PUNA_R16_CODEC(Q1_0, BlocksInOrder<quant::BlockQ1_0>);
PUNA_R16_CODEC(Q2_0, BlocksInOrder<quant::BlockQ2_0>);
PUNA_R16_CODEC(Q2_K, BlockK2);
PUNA_R16_CODEC(Q3_K, BlockK3);
PUNA_R16_CODEC(Q4_K, BlockK45<quant::BlockQ4_K>);
PUNA_R16_CODEC(Q5_K, BlockK45<quant::BlockQ5_K>);
PUNA_R16_CODEC(Q6_K, BlockK6);
PUNA_R16_CODEC(IQ4_XS, BlockIq4Xs);
PUNA_R16_CODEC(TQ1_0, BlockTernary5);
PUNA_R16_CODEC(TQ2_0, BlockTernary2);
#undef PUNA_R16_CODEC

// ---- What is the same for all types.

// d or m of one row: 16 rows to a scale.
void StoreScales(const uint16_t* values, int64_t count, int64_t bytes_each, int64_t row,
                 uint8_t* out) {
  for (int64_t i = 0; i < count; ++i) {
    uint8_t* at = out + (i * kGroupRows + row) * bytes_each;
    at[0] = static_cast<uint8_t>(values[i]);
    if (bytes_each == 2) at[1] = static_cast<uint8_t>(values[i] >> 8);
  }
}

void LoadScales(const uint8_t* in, int64_t count, int64_t bytes_each, int64_t row,
                uint16_t* values) {
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t* at = in + (i * kGroupRows + row) * bytes_each;
    values[i] = static_cast<uint16_t>(bytes_each == 2 ? LoadU16(at) : at[0]);
  }
}

// Where the minimum of (block, row) lies: pairs of blocks together, as 16-bit dot products take
// them.
int64_t MinIndex(int64_t block, int64_t row) {
  return (block / 2 * kGroupRows + row) * 2 + block % 2;
}

// `scales` has a byte for each scale and minimum.
template <const R16Format& format>
void PackScales(const RowChunk& in, int64_t cols, int64_t row, uint8_t* chunk, uint8_t* scales) {
  StoreScales(in.d, format.d_count(cols), format.d_bytes(), row, chunk);
  if constexpr (format.min)
    StoreScales(in.m, format.d_count(cols), 2, row, chunk + format.m_at(cols));
  if constexpr (format.super && !format.unit_scales) {
    for (int64_t i = 0; i < format.blocks(cols); ++i) {
      scales[i * kGroupRows + row] = static_cast<uint8_t>(in.scale[i] + format.scale_bias);
      if constexpr (format.separate_min())
        scales[format.scale_bytes() + MinIndex(i, row)] = in.min[i];
    }
  }
}

template <const R16Format& format>
void UnpackScales(const uint8_t* chunk, int64_t cols, int64_t row, RowChunk* out) {
  LoadScales(chunk, format.d_count(cols), format.d_bytes(), row, out->d);
  if constexpr (format.min)
    LoadScales(chunk + format.m_at(cols), format.d_count(cols), 2, row, out->m);
  if constexpr (format.super && !format.unit_scales) {
    uint8_t room[kChunk];
    const uint8_t* scales = ScaleBytes<format, 32>(chunk + format.scale_at(cols), room);
    for (int64_t i = 0; i < format.blocks(cols); ++i) {
      out->scale[i] = static_cast<int8_t>(scales[i * kGroupRows + row]);
      if constexpr (format.separate_min())
        out->min[i] = scales[format.scale_bytes() + MinIndex(i, row)];
    }
  }
}

// Packs `count` columns of up to sixteen rows, from byte `blocks_at` of each row on, and asks for
// the same columns of the rows that lie `to_next` bytes behind.
template <const R16Format& format>
void PackChunk(const uint8_t* const* row_blocks, int64_t rows, int64_t blocks_at, int64_t to_next,
               int64_t count, uint8_t* out) {
  const quant::TypeTraits& traits = quant::TraitsOf(format.type);
  const int64_t block_bytes = kChunk / traits.block_elements * traits.block_bytes;
  uint8_t vectors[kChunk / 4][kGroupRows][4] = {};
  RowChunk spelled = {};
  uint8_t six_bits[kChunk] = {};
  uint8_t* const scales = format.six_bits ? six_bits : out + format.scale_at(count);
  std::memset(out, 0, format.levels_at(count));
  for (int64_t row = 0; row < rows; ++row) {
    const uint8_t* blocks = row_blocks[row] + blocks_at;
    for (int64_t line = 0; line < block_bytes; line += 64)
      __builtin_prefetch(blocks + to_next + line);
    CodecOf<format>::Read(blocks, count, &spelled);
    PackScales<format>(spelled, count, row, out, scales);
    for (int64_t k = 0; k < count / 4; ++k) std::memcpy(vectors[k][row], spelled.level + 4 * k, 4);
  }
  if constexpr (format.six_bits)
    WriteSixBits<format.six_bit_plane()>(six_bits, out + format.scale_at(count));
  for (int64_t unit = 0; unit < count / 32; ++unit) {
    WritePlanes<format.level_bits>(*reinterpret_cast<uint8_t(*)[8][64]>(vectors[unit * 8]),
                                   out + format.levels_at(count) + unit * format.unit_bytes());
  }
}

}  // namespace

template <const R16Format& format>
int64_t R16Packing<format>::TileBytes(const quant::TypeTraits&, int64_t cols) {
  return format.tile_bytes(cols);
}

template <const R16Format& format>
void R16Packing<format>::Pack(const quant::TypeTraits& traits, const uint8_t* const* row_blocks,
                              int64_t rows, int64_t cols, uint8_t* tile) {
  // Sixteen rows are too many streams for the processor's own prefetchers. The rows of the next
  // group follow those of this one.
  const int64_t to_next = rows > 1 ? (row_blocks[1] - row_blocks[0]) * kGroupRows : 0;
  for (int64_t group = 0; group < kTileGroups; ++group) {
    const int64_t first = group * kGroupRows;
    for (int64_t chunk = 0; chunk < ChunkCount(cols); ++chunk) {
      const int64_t blocks_at = chunk * (kChunk / traits.block_elements) * traits.block_bytes;
      PackChunk<format>(row_blocks + first, std::clamp(rows - first, int64_t{0}, kGroupRows),
                        blocks_at, to_next, std::min(kChunk, cols - chunk * kChunk),
                        tile + format.chunk_at(cols, chunk, group));
    }
  }
}

template <const R16Format& format>
void R16Packing<format>::Unpack(const quant::TypeTraits& traits, const uint8_t* tile, int64_t row,
                                int64_t cols, uint8_t* row_blocks) {
  const int64_t chunk_block_bytes = kChunk / traits.block_elements * traits.block_bytes;
  const int64_t group = row / kGroupRows, lane = row % kGroupRows;
  for (int64_t chunk = 0; chunk < ChunkCount(cols); ++chunk) {
    const int64_t count = std::min(kChunk, cols - chunk * kChunk);
    const uint8_t* in = tile + format.chunk_at(cols, chunk, group);
    RowChunk spelled;
    UnpackScales<format>(in, count, lane, &spelled);
    for (int64_t unit = 0; unit < count / 32; ++unit) {
      const uint8_t* planes = in + format.levels_at(count) + unit * format.unit_bytes();
      ReadPlanes<format.level_bits, 0, 4, 4>(planes + lane * 4, spelled.level + unit * 32);
    }
    CodecOf<format>::Write(spelled, count, row_blocks + chunk * chunk_block_bytes);
  }
}

template struct R16Packing<kR16Q4_0>;
template struct R16Packing<kR16Q4_1>;
template struct R16Packing<kR16Q5_0>;
template struct R16Packing<kR16Q5_1>;
template struct R16Packing<kR16Q8_0>;
template struct R16Packing<kR16IQ4_NL>;
template struct R16Packing<kR16MXFP4>;
template struct R16Packing<kR16NVFP4>;
template struct R16Packing<kR16Q1_0>;
template struct R16Packing<kR16Q2_0>;
template struct R16Packing<kR16Q2_K>;
template struct R16Packing<kR16Q3_K>;
template struct R16Packing<kR16Q4_K>;
template struct R16Packing<kR16Q5_K>;
template struct R16Packing<kR16Q6_K>;
template struct R16Packing<kR16IQ4_XS>;
template struct R16Packing<kR16TQ1_0>;
template struct R16Packing<kR16TQ2_0>;

}  // namespace puna::backend::cpu
