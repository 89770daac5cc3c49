// GGUF blocks of the grid types to and from the layout of r16_grid.h. A row's block is first
// spelled out (RowPoints); that is the only part that knows the types' own blocks.
#include <algorithm>
#include <cstring>

#include "backend/cpu/kernels/r16_grid.h"
#include "quant/iq1_m/iq1_m.h"
#include "quant/iq1_s/iq1_s.h"
#include "quant/iq2_s/iq2_s.h"
#include "quant/iq2_xs/iq2_xs.h"
#include "quant/iq2_xxs/iq2_xxs.h"
#include "quant/iq3_s/iq3_s.h"
#include "quant/iq3_xxs/iq3_xxs.h"
#include "quant/iq_grids.h"
#include "quant/quant_block.h"

namespace puna::backend::cpu {
namespace {

using quant::EvenSigns;
using quant::LoadU16;
using quant::LoadU32;
using quant::StoreU16;
using quant::StoreU32;

// A block of one row: 256 columns.
struct RowPoints {
  uint16_t d;           // bits of a half
  uint16_t index[64];   // of each point
  uint8_t signs[32];    // of eight columns each; a set bit is a negative sign
  uint8_t scale[16];    // nibbles
  uint32_t shifts = 0;  // of each point; a set bit is a downward shift
};

// The scales of `count` blocks, nibbles of bytes.
void ReadNibbles(const uint8_t* bytes, int count, uint8_t* scale) {
  for (int i = 0; i < count; ++i) scale[i] = bytes[i / 2] >> (i % 2 * 4) & 15;
}
void WriteNibbles(const uint8_t* scale, int count, uint8_t* bytes) {
  for (int i = 0; i < count; i += 2)
    bytes[i / 2] = static_cast<uint8_t>(scale[i] | scale[i + 1] << 4);
}

// 4 x 7 signs and a scale, of 32 columns.
void ReadSignsAndScale(uint32_t word, int sub, RowPoints* row) {
  for (int g = 0; g < 4; ++g)
    row->signs[4 * sub + g] = static_cast<uint8_t>(EvenSigns(word >> (7 * g) & 127));
  row->scale[sub] = static_cast<uint8_t>(word >> 28);
}
uint32_t SignsAndScale(const RowPoints& row, int sub) {
  uint32_t word = static_cast<uint32_t>(row.scale[sub]) << 28;
  for (int g = 0; g < 4; ++g)
    word |= static_cast<uint32_t>(row.signs[4 * sub + g] & 127) << (7 * g);
  return word;
}

void Read(const quant::BlockIQ2_XXS& block, RowPoints* row) {
  row->d = LoadU16(block.d);
  for (int sub = 0; sub < 8; ++sub) {
    for (int g = 0; g < 4; ++g) row->index[4 * sub + g] = block.qs[8 * sub + g];
    ReadSignsAndScale(LoadU32(block.qs + 8 * sub + 4), sub, row);
  }
}
void Write(const RowPoints& row, quant::BlockIQ2_XXS* block) {
  StoreU16(row.d, block->d);
  for (int sub = 0; sub < 8; ++sub) {
    for (int g = 0; g < 4; ++g)
      block->qs[8 * sub + g] = static_cast<uint8_t>(row.index[4 * sub + g]);
    StoreU32(SignsAndScale(row, sub), block->qs + 8 * sub + 4);
  }
}

void Read(const quant::BlockIQ2_XS& block, RowPoints* row) {
  row->d = LoadU16(block.d);
  for (int g = 0; g < 32; ++g) {
    const uint16_t word = LoadU16(block.qs + 2 * g);
    row->index[g] = word & 511;
    row->signs[g] = static_cast<uint8_t>(EvenSigns(word >> 9));
  }
  ReadNibbles(block.scales, 16, row->scale);
}
void Write(const RowPoints& row, quant::BlockIQ2_XS* block) {
  StoreU16(row.d, block->d);
  for (int g = 0; g < 32; ++g)
    StoreU16(static_cast<uint16_t>(row.index[g] | (row.signs[g] & 127) << 9), block->qs + 2 * g);
  WriteNibbles(row.scale, 16, block->scales);
}

void Read(const quant::BlockIQ2_S& block, RowPoints* row) {
  row->d = LoadU16(block.d);
  for (int g = 0; g < 32; ++g) {
    row->index[g] = static_cast<uint16_t>(block.qs[g] | (block.qh[g / 4] >> (g % 4 * 2) & 3) << 8);
    row->signs[g] = block.signs[g];
  }
  ReadNibbles(block.scales, 16, row->scale);
}
void Write(const RowPoints& row, quant::BlockIQ2_S* block) {
  StoreU16(row.d, block->d);
  std::fill_n(block->qh, 8, uint8_t{0});
  for (int g = 0; g < 32; ++g) {
    block->qs[g] = static_cast<uint8_t>(row.index[g]);
    block->qh[g / 4] |= static_cast<uint8_t>(row.index[g] >> 8 << (g % 4 * 2));
    block->signs[g] = row.signs[g];
  }
  WriteNibbles(row.scale, 16, block->scales);
}

void Read(const quant::BlockIQ3_XXS& block, RowPoints* row) {
  row->d = LoadU16(block.d);
  std::copy_n(block.qs, 64, row->index);
  for (int sub = 0; sub < 8; ++sub)
    ReadSignsAndScale(LoadU32(block.scales_and_signs + 4 * sub), sub, row);
}
void Write(const RowPoints& row, quant::BlockIQ3_XXS* block) {
  StoreU16(row.d, block->d);
  for (int i = 0; i < 64; ++i) block->qs[i] = static_cast<uint8_t>(row.index[i]);
  for (int sub = 0; sub < 8; ++sub)
    StoreU32(SignsAndScale(row, sub), block->scales_and_signs + 4 * sub);
}

void Read(const quant::BlockIQ3_S& block, RowPoints* row) {
  row->d = LoadU16(block.d);
  for (int i = 0; i < 64; ++i)
    row->index[i] = static_cast<uint16_t>(block.qs[i] | (block.qh[i / 8] >> (i % 8) & 1) << 8);
  std::copy_n(block.signs, 32, row->signs);
  ReadNibbles(block.scales, 8, row->scale);
}
void Write(const RowPoints& row, quant::BlockIQ3_S* block) {
  StoreU16(row.d, block->d);
  std::fill_n(block->qh, 8, uint8_t{0});
  for (int i = 0; i < 64; ++i) {
    block->qs[i] = static_cast<uint8_t>(row.index[i]);
    block->qh[i / 8] |= static_cast<uint8_t>(row.index[i] >> 8 << (i % 8));
  }
  std::copy_n(row.signs, 32, block->signs);
  WriteNibbles(row.scale, 8, block->scales);
}

void Read(const quant::BlockIQ1_S& block, RowPoints* row) {
  row->d = LoadU16(block.d);
  for (int sub = 0; sub < 8; ++sub) {
    const unsigned high = LoadU16(block.qh + 2 * sub);
    for (int g = 0; g < 4; ++g) {
      row->index[4 * sub + g] =
          static_cast<uint16_t>(block.qs[4 * sub + g] | (high >> (3 * g) & 7) << 8);
    }
    row->scale[sub] = static_cast<uint8_t>(high >> 12);  // the shift is the nibble's last bit
  }
}
void Write(const RowPoints& row, quant::BlockIQ1_S* block) {
  StoreU16(row.d, block->d);
  for (int sub = 0; sub < 8; ++sub) {
    int high = row.scale[sub] << 12;
    for (int g = 0; g < 4; ++g) {
      block->qs[4 * sub + g] = static_cast<uint8_t>(row.index[4 * sub + g]);
      high |= row.index[4 * sub + g] >> 8 << (3 * g);
    }
    StoreU16(static_cast<uint16_t>(high), block->qh + 2 * sub);
  }
}

void Read(const quant::BlockIQ1_M& block, RowPoints* row) {
  unsigned d = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned word = LoadU16(block.scales + 2 * i);
    d |= word >> 12 << (4 * i);
    for (int s = 0; s < 4; ++s) row->scale[4 * i + s] = word >> (3 * s) & 7;
  }
  row->d = static_cast<uint16_t>(d);
  for (int g = 0; g < 32; ++g) {
    const int high = block.qh[g / 2] >> (g % 2 * 4) & 15;
    row->index[g] = static_cast<uint16_t>(block.qs[g] | (high & 7) << 8);
    row->shifts |= static_cast<uint32_t>(high >> 3) << g;
  }
}
void Write(const RowPoints& row, quant::BlockIQ1_M* block) {
  for (int i = 0; i < 4; ++i) {
    int word = (row.d >> (4 * i) & 15) << 12;
    for (int s = 0; s < 4; ++s) word |= (row.scale[4 * i + s] & 7) << (3 * s);
    StoreU16(static_cast<uint16_t>(word), block->scales + 2 * i);
  }
  std::fill_n(block->qh, 16, uint8_t{0});
  for (int g = 0; g < 32; ++g) {
    block->qs[g] = static_cast<uint8_t>(row.index[g]);
    const unsigned high = row.index[g] >> 8 | (row.shifts >> g & 1) << 3;
    block->qh[g / 2] |= static_cast<uint8_t>(high << (g % 2 * 4));
  }
}

// The block, the grid and the levels of each type. Iq...Value of quant/iq_grids.h are the levels
// before what the types with shifts add: an eighth, so these are stored eightfold.
template <const R16Format& format>
struct TypeOf;
#define PUNA_R16_GRID(name, grid_array, value, factor, shift)           \
  template <>                                                           \
  struct TypeOf<kR16##name> {                                           \
    using Block = quant::Block##name;                                   \
    static constexpr const auto& kGrid = quant::grid_array;             \
    static int Level(uint16_t entry, int i) {                           \
      return static_cast<int>(quant::value(entry, i)) * factor + shift; \
    }                                                                   \
  }
PUNA_R16_GRID(IQ1_S, kIq1Grid, Iq1Value, 8, 1);
PUNA_R16_GRID(IQ1_M, kIq1Grid, Iq1Value, 8, 1);
PUNA_R16_GRID(IQ2_XXS, kIq2XxsGrid, Iq2Value, 1, 0);
PUNA_R16_GRID(IQ2_XS, kIq2XsGrid, Iq2Value, 1, 0);
PUNA_R16_GRID(IQ2_S, kIq2SGrid, Iq2Value, 1, 0);
PUNA_R16_GRID(IQ3_XXS, kIq3XxsGrid, Iq3XxsValue, 1, 0);
PUNA_R16_GRID(IQ3_S, kIq3SGrid, Iq3SValue, 1, 0);
#undef PUNA_R16_GRID

template <const R16Format& format>
R16GridTable MakeTable() {
  using Type = TypeOf<format>;
  constexpr int kLevelBits = format.grid.columns == 8 ? 2 : 3;
  static_assert(Type::kGrid.size() == size_t{256} << format.grid.high_bits);
  R16GridTable table = {};
  for (size_t i = 0; i < Type::kGrid.size(); ++i) {
    const uint16_t entry = Type::kGrid[i];
    table.low[i] = static_cast<uint8_t>(entry);
    table.high[i] = static_cast<uint8_t>(entry >> 8);
    for (int j = 0; j < format.grid.columns; ++j) {
      table.spelled[i * format.grid.columns / 4 + j / 4] |=
          static_cast<uint32_t>(128 + Type::Level(entry, j)) << (j % 4 * 8);
    }
  }
  for (int i = 0; i < 64; ++i) {
    const auto packed = static_cast<uint16_t>(i & ((1 << kLevelBits) - 1));
    table.level[i] = static_cast<uint8_t>(128 + Type::Level(packed, 0));
  }
  return table;
}

// Sets bit `at` of the bits that begin at `bits`.
void SetBit(int64_t at, uint64_t value, uint8_t* bits) {
  bits[at / 8] |= static_cast<uint8_t>((value & 1) << (at % 8));
}
unsigned GetBit(int64_t at, const uint8_t* bits) { return bits[at / 8] >> (at % 8) & 1; }

// Where things of one row lie in a chunk.
template <const R16Format& format>
struct RowPlaces {
  static constexpr R16Grid kGrid = format.grid;
  static constexpr int kPoints = static_cast<int>(kChunk) / kGrid.columns;
  static constexpr int kBlocks = static_cast<int>(kChunk) / format.block;
  int row;

  int64_t Low(int point) const { return point / 4 * 64 + GridLane(kGrid, row, point % 4); }
  int64_t HighBit(int point, int bit) const {
    return (point / 4 * kGrid.high_bits + bit) * 64 + GridLane(kGrid, row, point % 4);
  }
  // Of four columns: a nibble of a byte.
  int64_t SignByte(int step) const { return step * 8 + row / 2; }
  int SignShift() const { return row % 2 * 4; }
  int64_t ShiftBit(int point) const { return point * kGroupRows + row; }
};

template <const R16Format& format>
void PackRow(const RowPoints& in, int row, uint8_t* chunk) {
  const RowPlaces<format> places{row};
  StoreU16(in.d, chunk + row * 2);
  for (int b = 0; b < places.kBlocks; ++b) {
    chunk[format.scale_at(kChunk) + b / 2 * kGroupRows + row] |=
        static_cast<uint8_t>(in.scale[b] << (b % 2 * 4));
  }
  uint8_t* points = chunk + format.levels_at(kChunk);
  for (int p = 0; p < places.kPoints; ++p) {
    points[places.Low(p)] = static_cast<uint8_t>(in.index[p]);
    for (int bit = 0; bit < format.grid.high_bits; ++bit)
      SetBit(places.HighBit(p, bit), in.index[p] >> (8 + bit), points + format.high_at());
    if constexpr (format.grid.shifts)
      SetBit(places.ShiftBit(p), in.shifts >> p, points + format.shifts_at());
  }
  for (int step = 0; format.grid.signs && step < kChunk / 4; ++step) {
    const int nibble = in.signs[step / 2] >> (step % 2 * 4) & 15;
    points[format.signs_at() + places.SignByte(step)] |=
        static_cast<uint8_t>(nibble << places.SignShift());
  }
}

template <const R16Format& format>
void UnpackRow(const uint8_t* chunk, int row, RowPoints* out) {
  const RowPlaces<format> places{row};
  out->d = LoadU16(chunk + row * 2);
  for (int b = 0; b < places.kBlocks; ++b)
    out->scale[b] = chunk[format.scale_at(kChunk) + b / 2 * kGroupRows + row] >> (b % 2 * 4) & 15;
  const uint8_t* points = chunk + format.levels_at(kChunk);
  for (int p = 0; p < places.kPoints; ++p) {
    unsigned index = points[places.Low(p)];
    for (int bit = 0; bit < format.grid.high_bits; ++bit)
      index |= GetBit(places.HighBit(p, bit), points + format.high_at()) << (8 + bit);
    out->index[p] = static_cast<uint16_t>(index);
    if constexpr (format.grid.shifts)
      out->shifts |= GetBit(places.ShiftBit(p), points + format.shifts_at()) << p;
  }
  if constexpr (format.grid.signs) {
    std::fill_n(out->signs, 32, uint8_t{0});
    for (int step = 0; step < kChunk / 4; ++step) {
      const int nibble =
          points[format.signs_at() + places.SignByte(step)] >> places.SignShift() & 15;
      out->signs[step / 2] |= static_cast<uint8_t>(nibble << (step % 2 * 4));
    }
  }
}

}  // namespace

template <const R16Format& format>
const R16GridTable& GridTableOf() {
  static const R16GridTable table = MakeTable<format>();
  return table;
}

template <const R16Format& format>
int64_t GridPacking<format>::TileBytes(const quant::TypeTraits&, int64_t cols) {
  return format.tile_bytes(cols);
}

template <const R16Format& format>
void GridPacking<format>::Pack(const quant::TypeTraits& traits, const uint8_t* const* row_blocks,
                               int64_t rows, int64_t cols, uint8_t* tile) {
  std::memset(tile, 0, TileBytes(traits, cols));
  for (int64_t chunk = 0; chunk < ChunkCount(cols); ++chunk) {
    for (int64_t row = 0; row < rows; ++row) {
      using Block = typename TypeOf<format>::Block;
      RowPoints points;
      Read(reinterpret_cast<const Block*>(row_blocks[row])[chunk], &points);
      PackRow<format>(points, static_cast<int>(row % kGroupRows),
                      tile + format.chunk_at(cols, chunk, row / kGroupRows));
    }
  }
}

template <const R16Format& format>
void GridPacking<format>::Unpack(const quant::TypeTraits&, const uint8_t* tile, int64_t row,
                                 int64_t cols, uint8_t* row_blocks) {
  for (int64_t chunk = 0; chunk < ChunkCount(cols); ++chunk) {
    using Block = typename TypeOf<format>::Block;
    RowPoints points;
    UnpackRow<format>(tile + format.chunk_at(cols, chunk, row / kGroupRows),
                      static_cast<int>(row % kGroupRows), &points);
    Write(points, &reinterpret_cast<Block*>(row_blocks)[chunk]);
  }
}

#define PUNA_R16_GRID(name)                \
  template struct GridPacking<kR16##name>; \
  template const R16GridTable& GridTableOf<kR16##name>()
PUNA_R16_GRID(IQ1_S);
PUNA_R16_GRID(IQ1_M);
PUNA_R16_GRID(IQ2_XXS);
PUNA_R16_GRID(IQ2_XS);
PUNA_R16_GRID(IQ2_S);
PUNA_R16_GRID(IQ3_XXS);
PUNA_R16_GRID(IQ3_S);
#undef PUNA_R16_GRID

}  // namespace puna::backend::cpu
