// Every (type, instruction set) against its slow twin: weights decoded by quant, inputs as the
// prepared form holds them, products summed in double. What is left is float32 rounding of the
// sums, so the bound is relative to the sum of absolute products. How far int8 inputs are from the
// float32 ones is bounded separately, and loosely.
#include "backend/cpu/gemm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "backend/cpu/kernels/cpu_features.h"
#include "backend/cpu/kernels/kernel_table.h"
#include "backend/cpu/kernels/kernels_avx512.h"

namespace puna::backend::cpu {
namespace {

using quant::TensorType;
using ::testing::HasSubstr;

std::vector<TensorType> WeightTypes() {
  std::vector<TensorType> types;
  for (const quant::TypeTraits& traits : quant::AllTypes()) {
    if (traits.decode != nullptr) types.push_back(traits.type);
  }
  return types;
}

// A matrix of random bits, block by block drawn again until all its values are finite and at most
// 100: every pattern of scales, signs and levels occurs.
class RandomMatrix {
 public:
  RandomMatrix(TensorType type, int64_t rows, int64_t cols, uint32_t seed, int64_t experts = 1)
      : bytes_(quant::BytesFor(type, experts * rows * cols)), values_(experts * rows * cols) {
    const quant::TypeTraits& traits = quant::TraitsOf(type);
    std::mt19937 random(seed);
    for (size_t block = 0; block < values_.size() / traits.block_elements; ++block) {
      uint8_t* blocks = bytes_.data() + block * traits.block_bytes;
      float* values = values_.data() + block * traits.block_elements;
      do {
        for (int64_t i = 0; i < traits.block_bytes; ++i) blocks[i] = static_cast<uint8_t>(random());
        traits.decode(blocks, traits.block_elements, values);
      } while (!Moderate(values, traits.block_elements));
    }
    weight_ = {.name = std::string(traits.name),
               .type = type,
               .cols = cols,
               .rows = rows,
               .experts = experts,
               .data = bytes_.data()};
  }
  const Weight& weight() const { return weight_; }
  const float* Row(int64_t row) const { return values_.data() + row * weight_.cols; }

 private:
  static bool Moderate(const float* values, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      if (!(std::abs(values[i]) <= 100)) return false;
    }
    return true;
  }
  std::vector<uint8_t> bytes_;
  std::vector<float> values_;
  Weight weight_;
};

std::vector<float> RandomInput(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

PackedMatrix Pack(std::vector<const Weight*> parts, Isa isa, int64_t expert = 0) {
  Result<PackedMatrix> packed = AllocatePacked(parts, isa);
  EXPECT_TRUE(packed) << packed.error().message;
  // In two ranges, as two threads would.
  const int64_t half = packed->tiles() / 2;
  PackTiles(parts, expert, half, packed->tiles(), &*packed);
  PackTiles(parts, expert, 0, half, &*packed);
  return *std::move(packed);
}

// Memory at the alignment that prepared inputs need, filled with bytes that are wrong as anything.
AlignedBytes PoisonedBytes(int64_t size) {
  AlignedBytes bytes(size);
  std::memset(bytes.data(), 0xff, size);
  return bytes;
}

AlignedBytes Prepare(const PackedMatrix& matrix, const float* in, int64_t stride, int64_t tokens) {
  AlignedBytes prepared = PoisonedBytes(InputBytes(matrix.input, tokens, matrix.cols));
  for (int64_t begin = 0; begin < tokens; begin += kInputTokenGranularity) {
    PrepareInput(matrix, in, stride, begin, std::min(tokens, begin + kInputTokenGranularity),
                 tokens, prepared.data());
  }
  return prepared;
}

constexpr float kUntouched = -12345.0f;

struct Product {
  std::vector<float> values;  // [tokens][stride]
  int64_t stride;
};

// The product, computed in two ranges of tiles, with columns to spare on the right of each row of
// the result.
Product Compute(const PackedMatrix& matrix, const AlignedBytes& prepared, int64_t tokens) {
  Product product;
  product.stride = matrix.rows + 19;
  product.values.assign(tokens * product.stride, kUntouched);
  const int64_t split = matrix.tiles() / 3;
  Multiply(matrix, prepared.data(), tokens, split, matrix.tiles(), product.values.data(),
           product.stride);
  Multiply(matrix, prepared.data(), tokens, 0, split, product.values.data(), product.stride);
  return product;
}

// The float32 values that the prepared form stands for, [tokens][cols].
std::vector<float> DecodeInput(const PackedMatrix& matrix, const AlignedBytes& prepared,
                               int64_t tokens) {
  std::vector<float> values(tokens * matrix.cols);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t c = 0; c < matrix.cols; ++c) {
      values[t * matrix.cols + c] =
          PreparedValue(matrix.input, prepared.data(), tokens, matrix.cols, t, c);
    }
  }
  return values;
}

struct Case {
  Isa isa;
  TensorType type;
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (Isa isa : AvailableIsas()) {
    for (TensorType type : WeightTypes()) cases.push_back({isa, type});
  }
  return cases;
}

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  return std::string(IsaName(info.param.isa)) + "_" +
         std::string(quant::TraitsOf(info.param.type).name);
}

class GemmTest : public ::testing::TestWithParam<Case> {
 protected:
  Isa isa() const { return GetParam().isa; }
  TensorType type() const { return GetParam().type; }
  int64_t block() const { return quant::TraitsOf(type()).block_elements; }

  // The row length from `least` up that the type can have.
  int64_t Columns(int64_t least) const { return (least + block() - 1) / block() * block(); }

  // Multiplies and compares with the slow twin.
  void CheckProduct(const RandomMatrix& matrix, const std::vector<float>& in, int64_t tokens) {
    const int64_t rows = matrix.weight().rows, cols = matrix.weight().cols;
    const PackedMatrix packed = Pack({&matrix.weight()}, isa());
    const AlignedBytes prepared = Prepare(packed, in.data(), cols, tokens);
    const std::vector<float> input = DecodeInput(packed, prepared, tokens);
    const Product product = Compute(packed, prepared, tokens);
    for (int64_t t = 0; t < tokens; ++t) {
      const float* out = product.values.data() + t * product.stride;
      for (int64_t r = 0; r < rows; ++r) {
        double sum = 0, magnitude = 0;
        for (int64_t c = 0; c < cols; ++c) {
          const double term = static_cast<double>(matrix.Row(r)[c]) * input[t * cols + c];
          sum += term;
          magnitude += std::abs(term);
        }
        ASSERT_NEAR(out[r], sum, kRounding * magnitude + 1e-30)
            << "token " << t << " of " << tokens << ", row " << r << " of " << rows << ", " << cols
            << " columns";
      }
      for (int64_t r = rows; r < product.stride; ++r)
        ASSERT_EQ(out[r], kUntouched) << "token " << t << ", past row " << r;
    }
  }

  static constexpr double kRounding = 2e-6;
};

INSTANTIATE_TEST_SUITE_P(, GemmTest, ::testing::ValuesIn(AllCases()), CaseName);

TEST_P(GemmTest, EveryTokenCount) {
  const RandomMatrix matrix(type(), 53, Columns(270), 1);
  const std::vector<float> in = RandomInput(64 * matrix.weight().cols, 2);
  for (int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 33, 64})
    CheckProduct(matrix, in, tokens);
}

TEST_P(GemmTest, ManyTokens) {
  const RandomMatrix matrix(type(), 35, 256, 3);
  const std::vector<float> in = RandomInput(301 * 256, 4);
  CheckProduct(matrix, in, 301);
}

TEST_P(GemmTest, OddShapes) {
  const std::vector<int64_t> columns = {block(), 5 * block(), 9 * block(), 17 * block()};
  for (int64_t cols : columns) {
    for (int64_t rows : {1, 15, 16, 17, 31, 32, 33, 80}) {
      const RandomMatrix matrix(type(), rows, cols, static_cast<uint32_t>(rows + cols));
      const std::vector<float> in = RandomInput(7 * cols, 5);
      for (int64_t tokens : {1, 7}) CheckProduct(matrix, in, tokens);
    }
  }
}

// Bit for bit, so that a sequence gets the same logits alone, in any batch, and in any chunks of
// its prompt. The numbers of tokens reach every tile size, both sides of the step from the kernel
// for few tokens to the one for many, and more tokens than one block of the latter.
TEST_P(GemmTest, ResultOfATokenDoesNotDependOnTheOthers) {
  const int64_t cols = Columns(300), rows = 37, most = 530;
  const RandomMatrix matrix(type(), rows, cols, 6);
  const std::vector<float> in = RandomInput(most * cols, 7);
  const PackedMatrix packed = Pack({&matrix.weight()}, isa());
  std::vector<Product> alone;
  for (int64_t t = 0; t < 40; ++t)
    alone.push_back(Compute(packed, Prepare(packed, in.data() + t * cols, cols, 1), 1));
  for (int64_t tokens :
       {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17, 24, 25, 40, 70, int(most)}) {
    const Product many = Compute(packed, Prepare(packed, in.data(), cols, tokens), tokens);
    for (int64_t t = 0; t < std::min<int64_t>(tokens, 40); ++t) {
      for (int64_t r = 0; r < rows; ++r) {
        ASSERT_EQ(alone[t].values[r], many.values[t * many.stride + r])
            << "token " << t << " of " << tokens << ", row " << r;
      }
    }
  }
}

// However many tiles are packed already, the others come from the source with the same bits.
TEST_P(GemmTest, MultipliesWhatIsNotPackedYet) {
  const int64_t cols = Columns(256), rows = 70, experts = 2;
  const RandomMatrix matrix(type(), rows, cols, 13, experts);
  PackedMatrix packed = Pack({&matrix.weight()}, isa(), /*expert=*/1);
  packed.source_expert = 1;
  std::vector<float> expected_row(cols), row(cols);
  UnpackRow(packed, 40, expected_row.data());
  for (const int64_t tokens : {1, 7, 20}) {
    const std::vector<float> in = RandomInput(tokens * cols, 14);
    const AlignedBytes prepared = Prepare(packed, in.data(), cols, tokens);
    packed.source = nullptr;
    const std::vector<float> expected = Compute(packed, prepared, tokens).values;
    AlignedBytes there = std::move(packed.data);
    packed.source = &matrix.weight();
    for (packed.packed_tiles = 0; packed.packed_tiles <= packed.tiles(); ++packed.packed_tiles) {
      // What counts as not packed is not read.
      packed.data = PoisonedBytes(packed.size_bytes());
      std::memcpy(packed.data.data(), there.data(), packed.packed_tiles * packed.tile_bytes);
      ASSERT_EQ(Compute(packed, prepared, tokens).values, expected) << packed.packed_tiles;
      UnpackRow(packed, 40, row.data());
      ASSERT_EQ(row, expected_row) << packed.packed_tiles;
    }
    packed.data = std::move(there);
  }
}

TEST_P(GemmTest, UnpackRowIsExact) {
  const int64_t cols = 3 * block(), rows = 21;
  const RandomMatrix matrix(type(), rows, cols, 8);
  const PackedMatrix packed = Pack({&matrix.weight()}, isa());
  std::vector<float> row(cols);
  for (int64_t r = 0; r < rows; ++r) {
    UnpackRow(packed, r, row.data());
    ASSERT_EQ(std::memcmp(row.data(), matrix.Row(r), cols * sizeof(float)), 0) << "row " << r;
  }
}

TEST_P(GemmTest, StackedPartsAndExperts) {
  const int64_t cols = 2 * block();
  const RandomMatrix first(type(), 21, cols, 9, 3), second(type(), 6, cols, 10, 3);
  for (int64_t expert = 0; expert < 3; ++expert) {
    const PackedMatrix packed = Pack({&first.weight(), &second.weight()}, isa(), expert);
    ASSERT_EQ(packed.rows, 27);
    std::vector<float> row(cols);
    for (int64_t r = 0; r < 27; ++r) {
      UnpackRow(packed, r, row.data());
      const float* expected = r < 21 ? first.Row(expert * 21 + r) : second.Row(expert * 6 + r - 21);
      ASSERT_EQ(std::memcmp(row.data(), expected, cols * sizeof(float)), 0)
          << "expert " << expert << ", row " << r;
    }
  }
}

TEST_P(GemmTest, UnusualInputsStayFinite) {
  const int64_t cols = Columns(128);
  const RandomMatrix matrix(type(), 18, cols, 11);
  const PackedMatrix packed = Pack({&matrix.weight()}, isa());
  std::vector<float> in = RandomInput(6 * cols, 12);
  for (int64_t c = 0; c < cols; ++c) {
    in[c] = 0;
    in[cols + c] *= 1e33f;
    in[2 * cols + c] *= 1e-41f;                            // denormal
    in[3 * cols + c] = std::numeric_limits<float>::min();  // the smallest normal
    if (c % 7 != 0) in[4 * cols + c] = -0.0f;
    if (c == 9) in[5 * cols + c] = 1e30f;  // one outlier
  }
  const Product product = Compute(packed, Prepare(packed, in.data(), cols, 6), 6);
  for (int64_t t = 0; t < 6; ++t) {
    for (int64_t r = 0; r < 18; ++r) {
      ASSERT_TRUE(std::isfinite(product.values[t * product.stride + r]))
          << "token " << t << ", row " << r;
    }
  }
  for (int64_t r = 0; r < 18; ++r)
    ASSERT_EQ(product.values[r], 0.0f) << "row " << r << " times zero";
  CheckProduct(matrix, in, 6);
}

TEST_P(GemmTest, RoundingOfTheInputIsSmall) {
  const int64_t cols = Columns(512), tokens = 5;
  const RandomMatrix matrix(type(), 16, cols, 13);
  const PackedMatrix packed = Pack({&matrix.weight()}, isa());
  const std::vector<float> in = RandomInput(tokens * cols, 14);
  const std::vector<float> held =
      DecodeInput(packed, Prepare(packed, in.data(), cols, tokens), tokens);
  double error = 0, signal = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    error += (in[i] - held[i]) * (in[i] - held[i]);
    signal += in[i] * in[i];
  }
  // Normal values in int8 with the scale of their own 32 or 256: step = largest / 127, error =
  // step^2 / 12. In bfloat16 a step is 1/128 of the power of two below the value.
  const double bounds[] = {0, 4e-5, 7e-5, 1.0 / 128 / 128 / 12};
  EXPECT_LE(error / signal, bounds[static_cast<int>(packed.input)]);
}

TEST_P(GemmTest, RoundingOfTheInputBeatsTheUsualScale) {
  const int64_t cols = 8 * 256, tokens = 16;
  const RandomMatrix matrix(type(), 16, cols, 13);
  const PackedMatrix packed = Pack({&matrix.weight()}, isa());
  if (packed.input == InputFormat::kF32 || packed.input == InputFormat::kBf16) return;
  const std::vector<float> in = RandomInput(tokens * cols, 14);
  const std::vector<float> held =
      DecodeInput(packed, Prepare(packed, in.data(), cols, tokens), tokens);
  const size_t block = packed.input == InputFormat::kInt8Block32 ? 32 : 256;
  double error = 0, usual = 0;
  for (size_t begin = 0; begin < in.size(); begin += block) {
    float largest = 0;
    for (size_t i = begin; i < begin + block; ++i) largest = std::max(largest, std::abs(in[i]));
    const double step = static_cast<double>(largest) / 127;
    for (size_t i = begin; i < begin + block; ++i) {
      const double rounded = std::nearbyint(in[i] / step) * step;
      usual += (in[i] - rounded) * (in[i] - rounded);
      error += (in[i] - held[i]) * (in[i] - held[i]);
    }
  }
  EXPECT_LE(error, usual * (block == 32 ? 0.95 : 0.99));
}

TEST_P(GemmTest, PackedSizeIsPredictedAndCloseToTheFile) {
  const int64_t cols = 8 * 256, rows = 64;
  const RandomMatrix matrix(type(), rows, cols, 15);
  const PackedMatrix packed = Pack({&matrix.weight()}, isa());
  EXPECT_EQ(PackedBytes(matrix.weight(), isa()), packed.data.size_bytes());
  // Five ternary digits to a byte (TQ1_0) become four.
  const double most = type() == TensorType::kTQ1_0 ? 1.26 : 1.061;
  EXPECT_LE(packed.data.size_bytes(), quant::BytesFor(type(), rows * cols) * most);
}

TEST(GemmTable, WhichKernelRuns) {
  const std::vector<TensorType> with_kernels = {
      TensorType::kF32,   TensorType::kF16,    TensorType::kBF16,   TensorType::kQ4_0,
      TensorType::kQ4_1,  TensorType::kQ5_0,   TensorType::kQ5_1,   TensorType::kQ8_0,
      TensorType::kQ2_K,  TensorType::kQ3_K,   TensorType::kQ4_K,   TensorType::kQ5_K,
      TensorType::kQ6_K,  TensorType::kIQ4_NL, TensorType::kIQ4_XS, TensorType::kMXFP4,
      TensorType::kTQ1_0, TensorType::kTQ2_0,  TensorType::kNVFP4,  TensorType::kQ1_0,
      TensorType::kQ2_0};
  const std::vector<TensorType> with_grid = {
      TensorType::kIQ1_S, TensorType::kIQ1_M,   TensorType::kIQ2_XXS, TensorType::kIQ2_XS,
      TensorType::kIQ2_S, TensorType::kIQ3_XXS, TensorType::kIQ3_S};
  for (Isa isa : AvailableIsas()) {
    for (TensorType type : WeightTypes()) {
      const bool floats =
          type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16;
      const bool grid = std::count(with_grid.begin(), with_grid.end(), type) > 0;
      const bool no_tiles = grid || type == TensorType::kNVFP4;
      const bool own = isa != Isa::kScalar && (isa != Isa::kNeon || floats) &&
                       (grid || std::count(with_kernels.begin(), with_kernels.end(), type) > 0);
      // Dot products and tiles add nothing for floats, which take the rows of the instruction set
      // below; what has no kernel takes its generic one.
      const bool tiles = isa == Isa::kAmx, pairs = isa == Isa::kAvx512Bf16;
      const Isa from = (tiles || pairs) && type == TensorType::kBF16      ? Isa::kAvx512Bf16
                       : !floats && own && !pairs && !(no_tiles && tiles) ? isa
                       : isa == Isa::kAvxVnni                             ? Isa::kAvx2
                       : tiles || pairs                                   ? Isa::kAvx512Vnni
                       : isa == Isa::kDotprod || isa == Isa::kI8mm        ? Isa::kNeon
                                                                          : isa;
      std::string name(own ? quant::TraitsOf(type).name : "generic");
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      std::string unit(IsaName(from));
      if (grid && from == Isa::kAvx512Vnni && GetCpuFeatures().avx512_vbmi) unit = "avx512vbmi";
      const RandomMatrix matrix(type, 16, 256, 16);
      EXPECT_EQ(KernelName(Pack({&matrix.weight()}, isa)), name + " " + unit);
    }
  }
}

#if defined(__x86_64__)
// Of two units for one instruction set the table takes the better; the other must be as right.
TEST(GemmTable, UnitsForTheSameTypeGiveTheSameBits) {
  if (!GetCpuFeatures().avx512_vbmi) GTEST_SKIP() << "the processor lacks AVX-512 VBMI";
  ASSERT_EQ(kGridAvx512.count, kGridAvx512Vbmi.count);
  for (int64_t i = 0; i < kGridAvx512.count; ++i) {
    const TypeKernels &plain = kGridAvx512.rows[i], &vbmi = kGridAvx512Vbmi.rows[i];
    ASSERT_EQ(plain.type, vbmi.type);
    const RandomMatrix matrix(plain.type, 53, 768, static_cast<uint32_t>(i));
    PackedMatrix packed = Pack({&matrix.weight()}, Isa::kAvx512Vnni);
    const std::vector<float> in = RandomInput(9 * 768, 17);
    const AlignedBytes prepared = Prepare(packed, in.data(), 768, 9);
    packed.kernels = &vbmi.kernels;
    const std::vector<float> expected = Compute(packed, prepared, 9).values;
    packed.kernels = &plain.kernels;
    EXPECT_EQ(Compute(packed, prepared, 9).values, expected) << plain.kernels.name;
  }
}
#endif

// Whoever prepares an input, the bytes are the same, so that results do not depend on it.
TEST(GemmTable, AllInstructionSetsPrepareTheSameBytes) {
  constexpr int64_t kTokens = 11, kCols = 3 * 256 + 96;
  std::vector<float> in = RandomInput(kTokens * kCols, 18);
  const float special[] = {0.0f,
                           -0.0f,
                           1e33f,
                           1e-41f,
                           -3e-36f,
                           std::numeric_limits<float>::infinity(),
                           std::numeric_limits<float>::quiet_NaN()};
  // The first token is as it is; each of the next seven has one special value, two of the others
  // nothing but the same value.
  for (int64_t t = 1; t < 8; ++t) in[t * kCols + 37 * t] = special[t - 1];
  std::fill_n(in.begin() + 8 * kCols, kCols, 0.0f);
  std::fill_n(in.begin() + 9 * kCols, kCols, -2.5f);
  for (const InputFormat format : {InputFormat::kInt8Block32, InputFormat::kInt8Block256}) {
    const auto prepare = [&](const IsaKernels& kernels) {
      AlignedBytes bytes = PoisonedBytes(InputBytes(format, kTokens, kCols));
      kernels.prepare[static_cast<int>(format)](in.data(), kCols, 0, kTokens, kTokens, kCols,
                                                bytes.data());
      return bytes;
    };
    const AlignedBytes expected = prepare(ScalarKernels());
    for (const Isa isa : AvailableIsas()) {
      const IsaKernels& kernels = KernelsOf(isa);
      if (kernels.prepare[static_cast<int>(format)] == nullptr) continue;
      const AlignedBytes bytes = prepare(kernels);
      EXPECT_EQ(std::memcmp(bytes.data(), expected.data(), expected.size_bytes()), 0)
          << kernels.name << ", format " << static_cast<int>(format);
    }
  }
}

TEST(GemmIsa, Choosing) {
  ASSERT_TRUE(IsaAvailable(Isa::kScalar));
  EXPECT_EQ(ChooseIsa("scalar"), Isa::kScalar);
  EXPECT_EQ(ChooseIsa(""), AvailableIsas().back());
  const Result<Isa> unknown = ChooseIsa("sse9");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(unknown.error().message, HasSubstr("scalar"));
  if (!IsaAvailable(Isa::kNeon)) {
    const Result<Isa> foreign = ChooseIsa("neon");
    ASSERT_FALSE(foreign);
    EXPECT_THAT(foreign.error().message, HasSubstr("not available"));
  }
}

// What MeasureMachine counts: the instruction runs wherever its set is available.
TEST(GemmIsa, ProductsOfInt8CanBeCounted) {
  for (const Isa isa : AvailableIsas()) {
    const auto spin = KernelsOf(isa).spin_dots;
    ASSERT_EQ(spin != nullptr, isa != Isa::kScalar && isa != Isa::kNeon) << IsaName(isa);
    if (spin == nullptr) continue;
    EXPECT_GT(spin(1), 0) << IsaName(isa);
    EXPECT_EQ(spin(1000), 1000 * spin(1)) << IsaName(isa);
  }
}

TEST(GemmErrors, BadShapesAreErrors) {
  const RandomMatrix good(TensorType::kQ8_0, 16, 64, 17);
  const auto error = [](std::vector<const Weight*> parts) {
    const Result<PackedMatrix> packed = AllocatePacked(parts, Isa::kScalar);
    return packed ? std::string("none") : packed.error().message;
  };
  Weight odd = good.weight();
  odd.cols = 65;
  EXPECT_THAT(error({&odd}), HasSubstr("65"));
  Weight integers = good.weight();
  integers.type = TensorType::kI32;
  EXPECT_THAT(error({&integers}), HasSubstr("I32"));
  Weight wider = good.weight();
  wider.cols = 96;
  EXPECT_THAT(error({&good.weight(), &wider}), HasSubstr("96"));
  Weight huge = good.weight();
  huge.rows = std::numeric_limits<int64_t>::max() / 64;
  EXPECT_THAT(error({&huge}), HasSubstr("Q8_0"));
  EXPECT_EQ(error({&good.weight()}), "none");
}

TEST(AlignedBytesTest, ZeroedAndAligned) {
  for (int64_t size : {int64_t{1}, int64_t{1000}, int64_t{5} << 20}) {
    AlignedBytes bytes(size);
    ASSERT_EQ(bytes.size_bytes(), size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % 64, 0u);
    EXPECT_EQ(std::count(bytes.data(), bytes.data() + size, 0), size);
    bytes.data()[size - 1] = 7;
    AlignedBytes moved = std::move(bytes);
    EXPECT_EQ(moved.data()[size - 1], 7);
    EXPECT_EQ(bytes.data(), nullptr);
  }
  EXPECT_EQ(AlignedBytes(int64_t{1} << 60).data(), nullptr);
}

}  // namespace
}  // namespace puna::backend::cpu
