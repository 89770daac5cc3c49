// Matrix products with packed weights: the inner loop of the cpu backend, one thread at a time. Who
// splits the work over threads is the caller (cpu/program.cc).
//
// A matrix is packed once, at load, into the layout that the kernels of one instruction set like
// (rows interleaved so that a SIMD lane is an output row and nothing is ever summed across lanes).
// Activations are brought into the form that the weight type wants (float32, bfloat16, or int8 with
// a scale per 32 or 256 values) once per distinct input, then multiplied.
//
//   PackedMatrix w = *AllocatePacked({&weight}, isa);               // at load
//   PackTiles({&weight}, expert, 0, w.tiles(), &w);               // threads share the row tiles
//   std::vector<uint8_t> x(InputBytes(w.input, tokens, w.cols));
//   PrepareInput(w, in, in_stride, 0, tokens, x.data());             // threads share the tokens
//   Multiply(w, x.data(), tokens, tile_begin, tile_end, out, out_stride);  // threads share the
//   row tiles
#ifndef PUNA_BACKEND_CPU_GEMM_H_
#define PUNA_BACKEND_CPU_GEMM_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "backend/plan.h"
#include "base/result.h"

namespace puna::backend::cpu {

// Instruction sets with kernels of their own, from plain to wide.
enum class Isa { kScalar, kAvx2, kAvxVnni, kAvx512Vnni, kAvx512Bf16, kAmx, kNeon, kDotprod, kI8mm };
// "scalar", "avx2", "avxvnni", "avx512vnni", "avx512bf16", "amx", "neon", "dotprod", "i8mm"
std::string_view IsaName(Isa isa);
// Does this machine (and its operating system) run it?
bool IsaAvailable(Isa isa);
// Those that it runs, in the order of preference: the last is the best.
std::vector<Isa> AvailableIsas();
// The best available one, or the one that `forced` names; unknown or unavailable: kInvalidArgument
// naming the choices.
Result<Isa> ChooseIsa(std::string_view forced);

// How a matrix wants its input.
enum class InputFormat {
  kF32,
  kInt8Block32,   // int8, one float32 scale per 32 values, and what the kernels need of sums
  kInt8Block256,  // int8, one float32 scale per 256 values, and sums per 16 or 32
  kBf16,          // the upper halves of float32, rounded to nearest even
};

struct GemmKernels;  // one row of an instruction set's table: pack, prepare, multiply for one
                     // weight type

// Memory aligned to 64 bytes, in huge pages where the system has them and the block is large.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(int64_t size_bytes);  // zeroed; stays empty if the system has no memory
  // A part of somebody else's block, which must outlive it.
  static AlignedBytes Borrow(uint8_t* data, int64_t size_bytes);
  AlignedBytes(AlignedBytes&&) noexcept;
  AlignedBytes& operator=(AlignedBytes&&) noexcept;
  ~AlignedBytes();
  uint8_t* data() const { return data_; }
  int64_t size_bytes() const { return size_bytes_; }
  // Whether the system gives the memory as it is touched, and takes it back when it is released,
  // after which it is zeros again.
  bool is_mapped() const;
  void Release();

 private:
  uint8_t* data_ = nullptr;
  int64_t size_bytes_ = 0;
  bool borrowed_ = false;
};

struct PackedMatrix {
  int64_t rows = 0, cols = 0;
  int64_t tile_rows = 0;   // rows that are packed together; the last tile may be padded
  int64_t tile_bytes = 0;  // packed size of a tile
  InputFormat input = InputFormat::kF32;
  quant::TensorType type = quant::TensorType::kF32;
  Isa isa = Isa::kScalar;
  const GemmKernels* kernels = nullptr;
  AlignedBytes data;
  // With a source, only tiles [0, packed_tiles) are in `data` yet: the others are packed by each
  // Multiply for itself, with the same result, only slower.
  const Weight* source = nullptr;
  int64_t source_expert = 0;
  int64_t packed_tiles = 0;

  int64_t tiles() const { return (rows + tile_rows - 1) / tile_rows; }
  int64_t size_bytes() const { return tiles() * tile_bytes; }
};

// Bytes that packing `weight` (all its experts) will take, for the memory prediction. Not above the
// size in the file by more than 6 % for the common types.
int64_t PackedBytes(const Weight& weight, Isa isa);

// The shape of a packed matrix, without memory. `parts` are stacked: rows of the first, then of the
// second (q, k and v; gate and up), all of the same type and cols. Every weight type that quant can
// decode is accepted: the rare ones through a generic kernel that unpacks a panel at a time.
Result<PackedMatrix> DescribePacked(std::span<const Weight* const> parts, Isa isa);
// The same with memory; its tiles are still to be packed by PackTiles.
Result<PackedMatrix> AllocatePacked(std::span<const Weight* const> parts, Isa isa);
// Packs tiles [begin, end) of expert `expert`; disjoint ranges may run on several threads.
void PackTiles(std::span<const Weight* const> parts, int64_t expert, int64_t begin, int64_t end,
               PackedMatrix* packed);

// Size of the prepared form of `tokens` rows of `cols` values; multiple of 64.
int64_t InputBytes(InputFormat format, int64_t tokens, int64_t cols);
// Prepares rows [token_begin, token_end) of in[token * in_stride + col]. Two matrices with the same
// isa, input format and cols may share the prepared input. Disjoint token ranges may run on several
// threads, if they begin at multiples of kInputTokenGranularity.
inline constexpr int64_t kInputTokenGranularity = 4;
void PrepareInput(const PackedMatrix& matrix, const float* in, int64_t in_stride,
                  int64_t token_begin, int64_t token_end, int64_t tokens, uint8_t* prepared);

// The value that the prepared form holds for (token, col): what the kernels multiply. Slow; for
// tests.
float PreparedValue(InputFormat format, const uint8_t* prepared, int64_t tokens, int64_t cols,
                    int64_t token, int64_t col);

// out[t * out_stride + r] = row r . token t, for all tokens and the rows of tiles [tile_begin,
// tile_end). Overwrites. Disjoint tile ranges may run on several threads.
void Multiply(const PackedMatrix& matrix, const uint8_t* prepared, int64_t tokens,
              int64_t tile_begin, int64_t tile_end, float* out, int64_t out_stride);

// How many tiles of so many bytes a thread should take at a time to read about `bytes`.
int64_t TilesAtOnce(int64_t tile_bytes, int64_t bytes);

// Which kernels `matrix` was packed for: "q4_k avx512vnni", or "generic avx512vnni". For tests and
// traces.
std::string_view KernelName(const PackedMatrix& matrix);

// Row `row` as exact float32 values [cols]: for embeddings that share the output matrix.
void UnpackRow(const PackedMatrix& matrix, int64_t row, float* out);

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_GEMM_H_
