// The table of formats. A format is one folder beside this file and one line here.
#include <array>

#include "base/check.h"
#include "quant/bf16/bf16.h"
#include "quant/f16/f16.h"
#include "quant/f32/f32.h"
#include "quant/f64/f64.h"
#include "quant/iq1_m/iq1_m.h"
#include "quant/iq1_s/iq1_s.h"
#include "quant/iq2_s/iq2_s.h"
#include "quant/iq2_xs/iq2_xs.h"
#include "quant/iq2_xxs/iq2_xxs.h"
#include "quant/iq3_s/iq3_s.h"
#include "quant/iq3_xxs/iq3_xxs.h"
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
#include "quant/q8_1/q8_1.h"
#include "quant/q8_k/q8_k.h"
#include "quant/quant.h"
#include "quant/tq1_0/tq1_0.h"
#include "quant/tq2_0/tq2_0.h"

namespace puna::quant {
namespace {

using Decode = decltype(TypeTraits::decode);
using Encode = decltype(TypeTraits::encode);

template <typename Block>
constexpr TypeTraits Blocks(TensorType type, std::string_view name, Decode decode, Encode encode) {
  static_assert(alignof(Block) == 1);
  return {type, name, Block::kElements, sizeof(Block), decode, encode};
}

// In the order of the GGUF numbers.
constexpr TypeTraits kTypes[] = {
    {TensorType::kF32, "F32", 1, 4, DecodeF32, EncodeF32},
    {TensorType::kF16, "F16", 1, 2, DecodeF16, EncodeF16},
    Blocks<BlockQ4_0>(TensorType::kQ4_0, "Q4_0", DecodeQ4_0, EncodeQ4_0),
    Blocks<BlockQ4_1>(TensorType::kQ4_1, "Q4_1", DecodeQ4_1, EncodeQ4_1),
    Blocks<BlockMXFP4InOrder>(TensorType::kMXFP4InOrder, "MXFP4_IN_ORDER", DecodeMXFP4InOrder,
                              nullptr),
    Blocks<BlockQ5_0>(TensorType::kQ5_0, "Q5_0", DecodeQ5_0, EncodeQ5_0),
    Blocks<BlockQ5_1>(TensorType::kQ5_1, "Q5_1", DecodeQ5_1, EncodeQ5_1),
    Blocks<BlockQ8_0>(TensorType::kQ8_0, "Q8_0", DecodeQ8_0, EncodeQ8_0),
    Blocks<BlockQ8_1>(TensorType::kQ8_1, "Q8_1", DecodeQ8_1, nullptr),
    Blocks<BlockQ2_K>(TensorType::kQ2_K, "Q2_K", DecodeQ2_K, EncodeQ2_K),
    Blocks<BlockQ3_K>(TensorType::kQ3_K, "Q3_K", DecodeQ3_K, EncodeQ3_K),
    Blocks<BlockQ4_K>(TensorType::kQ4_K, "Q4_K", DecodeQ4_K, EncodeQ4_K),
    Blocks<BlockQ5_K>(TensorType::kQ5_K, "Q5_K", DecodeQ5_K, EncodeQ5_K),
    Blocks<BlockQ6_K>(TensorType::kQ6_K, "Q6_K", DecodeQ6_K, EncodeQ6_K),
    Blocks<BlockQ8_K>(TensorType::kQ8_K, "Q8_K", DecodeQ8_K, nullptr),
    Blocks<BlockIQ2_XXS>(TensorType::kIQ2_XXS, "IQ2_XXS", DecodeIQ2_XXS, nullptr),
    Blocks<BlockIQ2_XS>(TensorType::kIQ2_XS, "IQ2_XS", DecodeIQ2_XS, nullptr),
    Blocks<BlockIQ3_XXS>(TensorType::kIQ3_XXS, "IQ3_XXS", DecodeIQ3_XXS, nullptr),
    Blocks<BlockIQ1_S>(TensorType::kIQ1_S, "IQ1_S", DecodeIQ1_S, nullptr),
    Blocks<BlockIQ4_NL>(TensorType::kIQ4_NL, "IQ4_NL", DecodeIQ4_NL, EncodeIQ4_NL),
    Blocks<BlockIQ3_S>(TensorType::kIQ3_S, "IQ3_S", DecodeIQ3_S, nullptr),
    Blocks<BlockIQ2_S>(TensorType::kIQ2_S, "IQ2_S", DecodeIQ2_S, nullptr),
    Blocks<BlockIQ4_XS>(TensorType::kIQ4_XS, "IQ4_XS", DecodeIQ4_XS, EncodeIQ4_XS),
    {TensorType::kI8, "I8", 1, 1, nullptr, nullptr},
    {TensorType::kI16, "I16", 1, 2, nullptr, nullptr},
    {TensorType::kI32, "I32", 1, 4, nullptr, nullptr},
    {TensorType::kI64, "I64", 1, 8, nullptr, nullptr},
    {TensorType::kF64, "F64", 1, 8, DecodeF64, nullptr},
    Blocks<BlockIQ1_M>(TensorType::kIQ1_M, "IQ1_M", DecodeIQ1_M, nullptr),
    {TensorType::kBF16, "BF16", 1, 2, DecodeBF16, EncodeBF16},
    Blocks<BlockTQ1_0>(TensorType::kTQ1_0, "TQ1_0", DecodeTQ1_0, nullptr),
    Blocks<BlockTQ2_0>(TensorType::kTQ2_0, "TQ2_0", DecodeTQ2_0, nullptr),
    Blocks<BlockMXFP4>(TensorType::kMXFP4, "MXFP4", DecodeMXFP4, EncodeMXFP4),
    Blocks<BlockNVFP4>(TensorType::kNVFP4, "NVFP4", DecodeNVFP4, nullptr),
    Blocks<BlockQ1_0>(TensorType::kQ1_0, "Q1_0", DecodeQ1_0, nullptr),
    Blocks<BlockQ2_0>(TensorType::kQ2_0, "Q2_0", DecodeQ2_0, nullptr),
};

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  const auto upper = [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return upper(x) == upper(y); });
}

}  // namespace

const TypeTraits* FindType(uint32_t gguf_number) {
  static const auto by_number = [] {
    std::array<const TypeTraits*, static_cast<size_t>(std::end(kTypes)[-1].type) + 1> index{};
    for (const TypeTraits& traits : kTypes) index[static_cast<size_t>(traits.type)] = &traits;
    return index;
  }();
  return gguf_number < by_number.size() ? by_number[gguf_number] : nullptr;
}

const TypeTraits& TraitsOf(TensorType type) {
  const TypeTraits* traits = FindType(static_cast<uint32_t>(type));
  CHECK(traits != nullptr) << "tensor type " << static_cast<uint32_t>(type);
  return *traits;
}

const TypeTraits* FindTypeByName(std::string_view name) {
  for (const TypeTraits& traits : kTypes) {
    if (EqualIgnoringCase(traits.name, name)) return &traits;
  }
  return nullptr;
}

std::span<const TypeTraits> AllTypes() { return kTypes; }

int64_t BytesFor(TensorType type, int64_t elements) {
  const TypeTraits& traits = TraitsOf(type);
  CHECK(elements >= 0 && elements % traits.block_elements == 0)
      << elements << " values of " << traits.name;
  return elements / traits.block_elements * traits.block_bytes;
}

}  // namespace puna::quant
