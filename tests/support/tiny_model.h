// A one-layer model of the llama family in memory, to be bent by tests before it is written and
// opened.
#ifndef TESTS_SUPPORT_TINY_MODEL_H_
#define TESTS_SUPPORT_TINY_MODEL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/check.h"
#include "gguf/gguf.h"
#include "quant/quant.h"
#include "tests/support/shared_data.h"

namespace puna::testing {

struct TinyModel {
  using Value = std::variant<uint32_t, int32_t, uint64_t, float, bool, std::string,
                             std::vector<std::string>, std::vector<float>, std::vector<int32_t>>;
  struct Tensor {
    std::vector<int64_t> dims;
    quant::TensorType type = quant::TensorType::kF32;
  };
  std::map<std::string, Value> metadata;
  std::map<std::string, Tensor> tensors;

  // Two heads of 4, one key/value head, width 8, hidden 16, 10 tokens.
  static TinyModel Llama() {
    TinyModel model;
    model.metadata = {{"general.architecture", "llama"},
                      {"llama.vocab_size", 10u},
                      {"llama.context_length", 64u},
                      {"llama.embedding_length", 8u},
                      {"llama.block_count", 1u},
                      {"llama.feed_forward_length", 16u},
                      {"llama.attention.head_count", 2u},
                      {"llama.attention.head_count_kv", 1u},
                      {"llama.attention.layer_norm_rms_epsilon", 1e-5f}};
    model.tensors = {{"token_embd.weight", {{8, 10}}},   {"output_norm.weight", {{8}}},
                     {"output.weight", {{8, 10}}},       {"blk.0.attn_norm.weight", {{8}}},
                     {"blk.0.attn_q.weight", {{8, 8}}},  {"blk.0.attn_k.weight", {{8, 4}}},
                     {"blk.0.attn_v.weight", {{8, 4}}},  {"blk.0.attn_output.weight", {{8, 8}}},
                     {"blk.0.ffn_norm.weight", {{8}}},   {"blk.0.ffn_gate.weight", {{8, 16}}},
                     {"blk.0.ffn_up.weight", {{8, 16}}}, {"blk.0.ffn_down.weight", {{16, 8}}}};
    return model;
  }

  // Four experts, two of them used.
  static TinyModel Mixture() {
    TinyModel model = Llama();
    model.metadata["llama.expert_count"] = 4u;
    model.metadata["llama.expert_used_count"] = 2u;
    for (const char* name :
         {"blk.0.ffn_gate.weight", "blk.0.ffn_up.weight", "blk.0.ffn_down.weight"}) {
      model.tensors.erase(name);
    }
    model.tensors["blk.0.ffn_gate_inp.weight"] = {{8, 4}};
    model.tensors["blk.0.ffn_gate_exps.weight"] = {{8, 16, 4}};
    model.tensors["blk.0.ffn_up_exps.weight"] = {{8, 16, 4}};
    model.tensors["blk.0.ffn_down_exps.weight"] = {{16, 8, 4}};
    return model;
  }

  // All values are small and differ. The file is gone from the disk afterwards.
  Result<std::shared_ptr<const gguf::File>> Open() const {
    gguf::Writer writer;
    for (const auto& [key, value] : metadata) {
      std::visit([&writer, &key = key](const auto& typed) { writer.Set(key, typed); }, value);
    }
    uint32_t state = 1;
    for (const auto& [name, tensor] : tensors) {
      int64_t elements = 1;
      for (const int64_t dim : tensor.dims) elements *= dim;
      std::vector<float> values(static_cast<size_t>(elements));
      for (float& value : values) {
        state = state * 1664525u + 1013904223u;
        value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-32f;
      }
      std::vector<uint8_t> bytes(static_cast<size_t>(quant::BytesFor(tensor.type, elements)));
      const quant::TypeTraits& traits = quant::TraitsOf(tensor.type);
      if (traits.encode != nullptr) traits.encode(values.data(), elements, nullptr, bytes.data());
      writer.AddTensor(name, tensor.type, tensor.dims, [bytes] { return bytes; });
    }
    const TemporaryDirectory folder;
    PUNA_RETURN_IF_ERROR(writer.WriteFile(folder.path() / "tiny.gguf"));
    return gguf::File::Open(folder.path() / "tiny.gguf");
  }
};

}  // namespace puna::testing

#endif  // TESTS_SUPPORT_TINY_MODEL_H_
