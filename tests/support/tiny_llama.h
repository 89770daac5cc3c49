// A llama of a few ten thousand random parameters with a byte vocabulary, written as a GGUF file,
// so that tests of whole models need nothing from elsewhere.
#ifndef TESTS_SUPPORT_TINY_LLAMA_H_
#define TESTS_SUPPORT_TINY_LLAMA_H_

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "gguf/gguf.h"

namespace puna::testing {

struct TinyLlamaOptions {
  uint32_t seed = 1;
  uint32_t context_length = 256;
  bool vocabulary = true;
  int64_t layers = 2;
};

// 0 <unk>, 1 <s>, 2 </s>, 3 to 258 the bytes, then words.
inline constexpr int kTinyVocabulary = 288;
inline constexpr int32_t kTinyEos = 2;

inline void SetTinyVocabulary(gguf::Writer* writer) {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> kinds = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back(fmt::format("<0x{:02X}>", byte));
    kinds.push_back(6);
  }
  for (int word = 0; static_cast<int>(tokens.size()) < kTinyVocabulary; ++word) {
    tokens.push_back(fmt::format("\u2581w{}", word));
    kinds.push_back(1);
  }
  writer->Set("tokenizer.ggml.model", "llama");
  writer->Set("tokenizer.ggml.scores", std::vector<float>(tokens.size(), -1.0f));
  writer->Set("tokenizer.ggml.tokens", std::move(tokens));
  writer->Set("tokenizer.ggml.token_type", std::move(kinds));
  writer->Set("tokenizer.ggml.bos_token_id", uint32_t{1});
  writer->Set("tokenizer.ggml.eos_token_id", uint32_t{2});
  writer->Set("tokenizer.ggml.unknown_token_id", uint32_t{0});
}

inline Status WriteTinyLlama(const std::filesystem::path& path,
                             const TinyLlamaOptions& options = {}) {
  constexpr int64_t kWidth = 32, kHeads = 4, kKvHeads = 2, kHeadSize = 8, kHidden = 48;
  gguf::Writer writer;
  writer.Set("general.architecture", "llama");
  writer.Set("general.name", "tiny");
  writer.Set("llama.context_length", options.context_length);
  writer.Set("llama.embedding_length", static_cast<uint32_t>(kWidth));
  writer.Set("llama.block_count", static_cast<uint32_t>(options.layers));
  writer.Set("llama.feed_forward_length", static_cast<uint32_t>(kHidden));
  writer.Set("llama.attention.head_count", static_cast<uint32_t>(kHeads));
  writer.Set("llama.attention.head_count_kv", static_cast<uint32_t>(kKvHeads));
  writer.Set("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  writer.Set("llama.rope.dimension_count", static_cast<uint32_t>(kHeadSize));
  writer.Set("llama.vocab_size", static_cast<uint32_t>(kTinyVocabulary));
  if (options.vocabulary) {
    SetTinyVocabulary(&writer);
  } else {
    writer.Set("tokenizer.ggml.model", "no_vocab");
  }

  std::mt19937 random(options.seed);
  const auto add = [&](const std::string& name, std::vector<int64_t> dims, float mean,
                       float deviation) {
    int64_t count = 1;
    for (const int64_t dim : dims) count *= dim;
    std::vector<float> values(static_cast<size_t>(count));
    std::normal_distribution<float> normal(mean, deviation);
    for (float& value : values) value = normal(random);
    std::vector<uint8_t> bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    writer.AddTensor(
        name, quant::TensorType::kF32, std::move(dims),
        [bytes = std::move(bytes)]() -> Result<std::vector<uint8_t>> { return bytes; });
  };
  const auto matrix = [&](const std::string& name, int64_t in, int64_t out) {
    add(name, {in, out}, 0, 1.5f / std::sqrt(static_cast<float>(in)));
  };
  add("token_embd.weight", {kWidth, kTinyVocabulary}, 0, 1);
  add("output_norm.weight", {kWidth}, 1, 0.1f);
  matrix("output.weight", kWidth, kTinyVocabulary);
  for (int64_t layer = 0; layer < options.layers; ++layer) {
    const std::string prefix = fmt::format("blk.{}.", layer);
    add(prefix + "attn_norm.weight", {kWidth}, 1, 0.1f);
    matrix(prefix + "attn_q.weight", kWidth, kHeads * kHeadSize);
    matrix(prefix + "attn_k.weight", kWidth, kKvHeads * kHeadSize);
    matrix(prefix + "attn_v.weight", kWidth, kKvHeads * kHeadSize);
    matrix(prefix + "attn_output.weight", kHeads * kHeadSize, kWidth);
    add(prefix + "ffn_norm.weight", {kWidth}, 1, 0.1f);
    matrix(prefix + "ffn_gate.weight", kWidth, kHidden);
    matrix(prefix + "ffn_up.weight", kWidth, kHidden);
    matrix(prefix + "ffn_down.weight", kHidden, kWidth);
  }
  return writer.WriteFile(path);
}

}  // namespace puna::testing

#endif  // TESTS_SUPPORT_TINY_LLAMA_H_
