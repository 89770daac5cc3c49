// Speed of encoding and decoding on one core, and the time to load a vocabulary.
//
//   tokenizer_bench [--benchmark_filter=...]      needs the shared data (PUNA_SHARED)
//
// Natural text repeats words, so the word cache is warm as it would be in a server; WorstCase texts
// defeat it.
#include <benchmark/benchmark.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/shared_data.h"
#include "tokenizer/tokenizer.h"

namespace puna::tokenizer {
namespace {

std::shared_ptr<const gguf::File> OpenVocabulary(const std::string& name) {
  const auto path = testing::SharedPath("data/vocab/ggml-vocab-" + name + ".gguf");
  if (!path) return nullptr;
  auto file = gguf::File::Open(*path);
  return file ? *file : nullptr;
}

std::shared_ptr<const Tokenizer> Load(const std::string& name) {
  const auto file = OpenVocabulary(name);
  if (file == nullptr) return nullptr;
  auto tokenizer = Tokenizer::FromGguf(*file);
  return tokenizer ? *tokenizer : nullptr;
}

std::string ReadShared(const std::string& name) {
  const auto path = testing::SharedPath(name);
  if (!path) return {};
  std::ifstream in(*path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void Encode(benchmark::State& state, const std::string& vocabulary, const std::string& text) {
  const auto tokenizer = Load(vocabulary);
  if (tokenizer == nullptr || text.empty()) {
    state.SkipWithError("no shared data");
    return;
  }
  std::vector<TokenId> ids;
  for (auto _ : state) {
    ids.clear();
    tokenizer->Encode(text, {}, &ids);
    benchmark::DoNotOptimize(ids.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
  state.counters["bytes_per_token"] =
      static_cast<double>(text.size()) / static_cast<double>(ids.size());
}

void EncodeEnglish(benchmark::State& state, const std::string& vocabulary,
                   const std::string& file) {
  Encode(state, vocabulary, ReadShared(file));
}

void EncodeRun(benchmark::State& state, const std::string& vocabulary, const std::string& unit) {
  std::string text;
  while (text.size() < 1000000) text += unit;
  Encode(state, vocabulary, text);
}

void Decode(benchmark::State& state, const std::string& vocabulary) {
  const auto tokenizer = Load(vocabulary);
  const std::string text = ReadShared("data/text/frankenstein.txt");
  if (tokenizer == nullptr || text.empty()) {
    state.SkipWithError("no shared data");
    return;
  }
  std::vector<TokenId> ids;
  tokenizer->Encode(text, {}, &ids);
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer->Decode(ids));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
}

void LoadVocabulary(benchmark::State& state, const std::string& vocabulary) {
  const auto file = OpenVocabulary(vocabulary);
  if (file == nullptr) {
    state.SkipWithError("no shared data");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::FromGguf(*file));
}

constexpr const char* kFrankenstein = "data/text/frankenstein.txt";

BENCHMARK_CAPTURE(EncodeEnglish, llama_bpe_frankenstein, "llama-bpe", kFrankenstein);
BENCHMARK_CAPTURE(EncodeEnglish, llama_bpe_shakespeare, "llama-bpe",
                  "data/text/tinyshakespeare.txt");
BENCHMARK_CAPTURE(EncodeEnglish, qwen2_frankenstein, "qwen2", kFrankenstein);
BENCHMARK_CAPTURE(EncodeEnglish, gpt2_frankenstein, "gpt-2", kFrankenstein);
BENCHMARK_CAPTURE(EncodeEnglish, starcoder_frankenstein, "starcoder", kFrankenstein);
BENCHMARK_CAPTURE(EncodeEnglish, deepseek_llm_frankenstein, "deepseek-llm", kFrankenstein);
BENCHMARK_CAPTURE(EncodeEnglish, falcon_frankenstein, "falcon", kFrankenstein);
BENCHMARK_CAPTURE(EncodeEnglish, mpt_frankenstein, "mpt", kFrankenstein);
BENCHMARK_CAPTURE(EncodeEnglish, llama_spm_frankenstein, "llama-spm", kFrankenstein);
BENCHMARK_CAPTURE(EncodeEnglish, bert_frankenstein, "bert-bge", kFrankenstein);
BENCHMARK_CAPTURE(EncodeRun, llama_bpe_letters, "llama-bpe", "a");
BENCHMARK_CAPTURE(EncodeRun, llama_bpe_spaces, "llama-bpe", " ");
BENCHMARK_CAPTURE(EncodeRun, llama_spm_letters, "llama-spm", "a");
BENCHMARK_CAPTURE(EncodeRun, llama_spm_spaces, "llama-spm", " ");
BENCHMARK_CAPTURE(EncodeRun, mpt_spaces, "mpt", " ");
BENCHMARK_CAPTURE(Decode, llama_bpe, "llama-bpe");
BENCHMARK_CAPTURE(LoadVocabulary, llama_bpe, "llama-bpe")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(LoadVocabulary, llama_spm, "llama-spm")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace puna::tokenizer
