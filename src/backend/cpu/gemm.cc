// The front door: finds the row of the kernel table at packing time, and does what is the same for
// all kernels: which rows form a tile, whose bytes they are, sizes, checks.
//
// Everything is done in tiles of 32 rows, whatever the instruction set: an executor can split work
// by tiles and fuse over row ranges without knowing who computes.
#include "backend/cpu/gemm.h"

#include <algorithm>
#include <bit>

#include "backend/cpu/kernels/kernel_table.h"
#include "backend/cpu/row_source.h"
#include "base/check.h"

namespace puna::backend::cpu {
namespace {

Status CheckPart(const Weight& weight, const Weight& first) {
  const quant::TypeTraits& traits = quant::TraitsOf(weight.type);
  if (traits.decode == nullptr || kChunk % traits.block_elements != 0) {
    return MakeError(ErrorCode::kUnsupported,
                     "tensor {}: type {} cannot be a factor of a matrix product", weight.name,
                     traits.name);
  }
  if (weight.cols <= 0 || weight.rows < 0 || weight.experts <= 0) {
    return MakeError(ErrorCode::kCorrupt, "tensor {}: shape {} x {} x {} is not a matrix",
                     weight.name, weight.experts, weight.rows, weight.cols);
  }
  if (weight.cols % traits.block_elements != 0) {
    return MakeError(ErrorCode::kCorrupt,
                     "tensor {}: row length {} is not a multiple of {}, the block of {}",
                     weight.name, weight.cols, traits.block_elements, traits.name);
  }
  if (weight.type != first.type || weight.cols != first.cols || weight.experts != first.experts) {
    return MakeError(
        ErrorCode::kCorrupt,
        "tensor {}: {} with {} columns and {} experts cannot be stacked on {}: {} with {} and {}",
        weight.name, traits.name, weight.cols, weight.experts, first.name,
        quant::TraitsOf(first.type).name, first.cols, first.experts);
  }
  return {};
}

int64_t Tiles(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }

void PackTile(RowSource* source, int64_t tile, const PackedMatrix& shape, uint8_t* out) {
  const uint8_t* row_blocks[kTileRows] = {};
  const int64_t first_row = tile * kTileRows;
  const int64_t rows = std::min(kTileRows, shape.rows - first_row);
  source->Get(first_row, rows, row_blocks);
  shape.kernels->pack(quant::TraitsOf(shape.type), row_blocks, rows, shape.cols, out);
}

// `tiles` holds [tile_begin, tile_end) of `matrix`.
void MultiplyPacked(const PackedMatrix& matrix, const uint8_t* tiles, const uint8_t* prepared,
                    int64_t tokens, int64_t tile_begin, int64_t tile_end, float* out,
                    int64_t out_stride) {
  const int64_t first_row = tile_begin * kTileRows;
  const MultiplyTask task = {
      .tiles = tiles,
      .tile_bytes = matrix.tile_bytes,
      .rows = std::min(matrix.rows, tile_end * kTileRows) - first_row,
      .cols = matrix.cols,
      .input = prepared,
      .tokens = tokens,
      .out = out + first_row,
      .out_stride = out_stride,
      .traits = &quant::TraitsOf(matrix.type),
  };
  if (task.rows > 0 && tokens > 0) matrix.kernels->multiply(task);
}

// Packs into memory that stays in the cache, a tile at a time.
void MultiplyFromSource(const PackedMatrix& matrix, const uint8_t* prepared, int64_t tokens,
                        int64_t tile_begin, int64_t tile_end, float* out, int64_t out_stride) {
  thread_local AlignedBytes packed;
  if (tile_begin == tile_end) return;
  if (packed.size_bytes() < matrix.tile_bytes) {
    packed = AlignedBytes(matrix.tile_bytes);
    CHECK(packed.data() != nullptr) << "no memory for " << matrix.tile_bytes << " bytes";
  }
  RowSource source({&matrix.source, 1}, matrix.source_expert,
                   std::min(matrix.rows, tile_end * kTileRows));
  for (int64_t tile = tile_begin; tile < tile_end; ++tile) {
    PackTile(&source, tile, matrix, packed.data());
    MultiplyPacked(matrix, packed.data(), prepared, tokens, tile, tile + 1, out, out_stride);
  }
}

int64_t PackedTiles(const PackedMatrix& matrix) {
  return matrix.source == nullptr ? matrix.tiles() : matrix.packed_tiles;
}

}  // namespace

int64_t PackedBytes(const Weight& weight, Isa isa) {
  const quant::TypeTraits& traits = quant::TraitsOf(weight.type);
  return weight.experts * Tiles(weight.rows) *
         FindKernels(weight.type, isa).tile_bytes(traits, weight.cols);
}

Result<PackedMatrix> DescribePacked(std::span<const Weight* const> parts, Isa isa) {
  CHECK(!parts.empty());
  PackedMatrix packed;
  const Weight& first = *parts[0];
  for (const Weight* part : parts) {
    PUNA_RETURN_IF_ERROR(CheckPart(*part, first));
    packed.rows += part->rows;
  }
  packed.cols = first.cols;
  packed.type = first.type;
  packed.isa = isa;
  packed.kernels = &FindKernels(first.type, isa);
  packed.input = packed.kernels->input;
  packed.tile_rows = kTileRows;
  packed.tile_bytes = packed.kernels->tile_bytes(quant::TraitsOf(first.type), first.cols);
  int64_t size = 0;
  if (__builtin_mul_overflow(packed.tiles(), packed.tile_bytes, &size)) {
    return MakeError(ErrorCode::kResourceExhausted,
                     "tensor {}: {} x {} values do not fit the address space", first.name,
                     packed.rows, packed.cols);
  }
  return packed;
}

Result<PackedMatrix> AllocatePacked(std::span<const Weight* const> parts, Isa isa) {
  PUNA_ASSIGN_OR_RETURN(PackedMatrix packed, DescribePacked(parts, isa));
  packed.data = AlignedBytes(packed.size_bytes());
  if (packed.data.size_bytes() != packed.size_bytes()) {
    return MakeError(ErrorCode::kResourceExhausted,
                     "tensor {}: no memory for {} bytes of packed weights", parts[0]->name,
                     packed.size_bytes());
  }
  return packed;
}

void PackTiles(std::span<const Weight* const> parts, int64_t expert, int64_t begin, int64_t end,
               PackedMatrix* packed) {
  RowSource source(parts, expert, std::min(packed->rows, end * kTileRows));
  for (int64_t tile = begin; tile < end; ++tile)
    PackTile(&source, tile, *packed, packed->data.data() + tile * packed->tile_bytes);
}

int64_t InputBytes(InputFormat format, int64_t tokens, int64_t cols) {
  const int64_t chunks = ChunkCount(cols);
  int64_t size = 0;
  switch (format) {
    case InputFormat::kF32:
      size = chunks * tokens * kChunk * static_cast<int64_t>(sizeof(float));
      break;
    case InputFormat::kInt8Block32:
      size = Int8Block32Planes(chunks, tokens).end;
      break;
    case InputFormat::kInt8Block256:
      size = Int8Block256Planes(chunks, tokens).end;
      break;
    case InputFormat::kBf16:
      size = chunks * tokens * kChunk * static_cast<int64_t>(sizeof(uint16_t));
      break;
  }
  // A tile kernel may read (and not use) up to 15 tokens past the last.
  return (size + 15 * kChunk + 63) / 64 * 64;
}

void PrepareInput(const PackedMatrix& matrix, const float* in, int64_t in_stride,
                  int64_t token_begin, int64_t token_end, int64_t tokens, uint8_t* prepared) {
  const auto index = static_cast<int>(matrix.input);
  PrepareFn prepare = KernelsOf(matrix.isa).prepare[index];
  if (prepare == nullptr) prepare = ScalarKernels().prepare[index];
  prepare(in, in_stride, token_begin, token_end, tokens, matrix.cols, prepared);
}

float PreparedValue(InputFormat format, const uint8_t* prepared, int64_t tokens, int64_t cols,
                    int64_t token, int64_t col) {
  const int64_t chunk_token = col / kChunk * tokens + token;
  const int64_t index = chunk_token * kChunk + col % kChunk;
  if (format == InputFormat::kF32) return reinterpret_cast<const float*>(prepared)[index];
  if (format == InputFormat::kBf16) {
    const uint32_t half = reinterpret_cast<const uint16_t*>(prepared)[index];
    return std::bit_cast<float>(half << 16);
  }
  const auto value = static_cast<float>(reinterpret_cast<const int8_t*>(prepared)[index]);
  if (format == InputFormat::kInt8Block32) {
    const Int8Block32Planes planes(ChunkCount(cols), tokens);
    return value * reinterpret_cast<const float*>(
                       prepared + planes.scale)[chunk_token * 8 + col % kChunk / 32];
  }
  const Int8Block256Planes planes(ChunkCount(cols), tokens);
  return value * reinterpret_cast<const float*>(prepared + planes.scale)[chunk_token];
}

void Multiply(const PackedMatrix& matrix, const uint8_t* prepared, int64_t tokens,
              int64_t tile_begin, int64_t tile_end, float* out, int64_t out_stride) {
  const int64_t packed = std::clamp(PackedTiles(matrix), tile_begin, tile_end);
  if (packed > tile_begin) {
    MultiplyPacked(matrix, matrix.data.data() + tile_begin * matrix.tile_bytes, prepared, tokens,
                   tile_begin, packed, out, out_stride);
  }
  MultiplyFromSource(matrix, prepared, tokens, packed, tile_end, out, out_stride);
}

int64_t TilesAtOnce(int64_t tile_bytes, int64_t bytes) {
  return std::max<int64_t>(1, bytes / tile_bytes);
}

void UnpackRow(const PackedMatrix& matrix, int64_t row, float* out) {
  CHECK(row >= 0 && row < matrix.rows) << "row " << row << " of " << matrix.rows;
  const quant::TypeTraits& traits = quant::TraitsOf(matrix.type);
  if (row / kTileRows >= PackedTiles(matrix)) {
    return DecodeRows(*matrix.source, matrix.source_expert, row, 1, out);
  }
  const uint8_t* tile = matrix.data.data() + row / kTileRows * matrix.tile_bytes;
  std::vector<uint8_t> blocks(quant::BytesFor(matrix.type, matrix.cols));
  matrix.kernels->unpack(traits, tile, row % kTileRows, matrix.cols, blocks.data());
  traits.decode(blocks.data(), matrix.cols, out);
}

std::string_view KernelName(const PackedMatrix& matrix) { return matrix.kernels->name; }

}  // namespace puna::backend::cpu
