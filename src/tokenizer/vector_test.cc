// The published vectors: 47 texts a vocabulary with the ids that llama.cpp gives them (control
// tokens not parsed, no BOS).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/shared_data.h"
#include "tokenizer/tokenizer.h"

namespace puna::tokenizer {
namespace {

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<std::string> SplitTexts(const std::string& all) {
  static const std::string kSeparator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = all.find(kSeparator, begin);
    texts.push_back(all.substr(begin, end == std::string::npos ? end : end - begin));
    if (end == std::string::npos) break;
    begin = end + kSeparator.size();
  }
  return texts;
}

std::vector<std::vector<TokenId>> ReadIds(const std::filesystem::path& path) {
  std::vector<std::vector<TokenId>> all;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    std::istringstream numbers(line);
    all.emplace_back(std::istream_iterator<TokenId>(numbers), std::istream_iterator<TokenId>());
  }
  return all;
}

class VectorTest : public ::testing::TestWithParam<const char*> {};

TEST_P(VectorTest, EncodesEveryTextAsPublished) {
  const std::string base = std::string("data/vocab/ggml-vocab-") + GetParam() + ".gguf";
  PUNA_SHARED_OR_SKIP(vocabulary_path, base);
  PUNA_SHARED_OR_SKIP(texts_path, base + ".inp");
  PUNA_SHARED_OR_SKIP(ids_path, base + ".out");
  const auto file = gguf::File::Open(vocabulary_path);
  ASSERT_TRUE(file) << file.error().message;
  const auto tokenizer = Tokenizer::FromGguf(**file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const std::vector<std::string> texts = SplitTexts(ReadFile(texts_path));
  const std::vector<std::vector<TokenId>> expected = ReadIds(ids_path);
  ASSERT_EQ(texts.size(), expected.size());
  ASSERT_GE(texts.size(), 40u);
  size_t matched = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    std::vector<TokenId> ids;
    (*tokenizer)->Encode(texts[i], {}, &ids);
    EXPECT_THAT(ids, ::testing::ElementsAreArray(expected[i]))
        << "text " << i << ": '" << texts[i] << "'";
    matched += ids == expected[i];
  }
  RecordProperty("matched", static_cast<int>(matched));
  RecordProperty("texts", static_cast<int>(texts.size()));
}

// command-r, gemma-4 and qwen35 have texts and ids but no vocabulary here: they show as skipped.
INSTANTIATE_TEST_SUITE_P(Vocabularies, VectorTest,
                         ::testing::Values("bert-bge", "deepseek-coder", "deepseek-llm", "falcon",
                                           "gpt-2", "llama-bpe", "llama-spm", "mpt", "phi-3",
                                           "qwen2", "refact", "starcoder", "command-r", "gemma-4",
                                           "qwen35"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace puna::tokenizer
