// The front door: special tokens, ends of generation, what a hostile file may do, and time on long
// texts.
#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "tests/support/shared_data.h"
#include "tokenizer/small_vocabulary.h"
#include "tokenizer/vocabulary.h"

namespace puna::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::RandomText;
using testing::SmallBytePairs;
using testing::SmallVocabulary;

std::vector<TokenId> Encode(const Tokenizer& tokenizer, std::string_view text,
                            EncodeOptions options = {}) {
  std::vector<TokenId> ids;
  tokenizer.Encode(text, options, &ids);
  return ids;
}

TEST(TokenizerTest, TextOfAUserNeverBecomesAControlToken) {
  std::mt19937_64 random(13);
  for (const auto& tokenizer : {SmallBytePairs(1).Make(), SmallBytePairs(2, "gpt-2").Make(),
                                testing::SmallSentencePiece(1).Make(),
                                testing::SmallWordPiece().Make(), testing::SmallUnigram().Make(),
                                testing::SmallRwkv().Make(), testing::SmallPlamo(1).Make()}) {
    std::vector<std::string> control_texts;
    for (TokenId id = 0; id < tokenizer->vocabulary_size(); ++id) {
      if (tokenizer->KindOf(id) == TokenKind::kControl)
        control_texts.emplace_back(tokenizer->RawTextOf(id));
    }
    ASSERT_FALSE(control_texts.empty());
    for (int i = 0; i < 200; ++i) {
      std::string text = RandomText(&random, static_cast<int>(random() % 20));
      text.insert(0, control_texts[random() % control_texts.size()]);
      text += control_texts[random() % control_texts.size()];
      for (const TokenId id : Encode(*tokenizer, text))
        ASSERT_NE(tokenizer->KindOf(id), TokenKind::kControl) << text;
      int control = 0;
      for (const TokenId id : Encode(*tokenizer, text, {.parse_special = true})) {
        control += tokenizer->KindOf(id) == TokenKind::kControl;
      }
      ASSERT_GE(control, 2) << text;
    }
  }
}

TEST(TokenizerTest, SpecialTokensAreParsedWhereAskedAndUserDefinedOnesAlways) {
  const auto tokenizer = SmallBytePairs(1).Make();
  const TokenId end = *tokenizer->FindToken("<|im_end|>");
  const TokenId tool = *tokenizer->FindToken("<tool>");
  EXPECT_THAT(Encode(*tokenizer, "<|im_end|><tool>", {.parse_special = true}),
              ElementsAre(end, tool));
  const std::vector<TokenId> plain = Encode(*tokenizer, "<|im_end|><tool>");
  EXPECT_EQ(plain.back(), tool);
  EXPECT_EQ(tokenizer->Decode(plain), "<|im_end|><tool>");
  EXPECT_EQ(tokenizer->Decode({end, tool}), "<tool>");
  EXPECT_EQ(tokenizer->Decode({end, tool}, true), "<|im_end|><tool>");
}

TEST(TokenizerTest, BosAndEosWhereTheFileSaysSo) {
  SmallVocabulary v = SmallBytePairs(1);
  const TokenId bos = static_cast<TokenId>(*v.source().bos);
  const TokenId eos = static_cast<TokenId>(*v.source().eos);
  const auto frame = [&] {
    const auto tokenizer = v.Make();
    return Encode(*tokenizer, "", {.add_special = true});
  };
  EXPECT_THAT(frame(), ElementsAre(bos));  // llama-bpe has one by default
  v.source().add_eos = true;
  EXPECT_THAT(frame(), ElementsAre(bos, eos));
  v.source().add_bos = false;
  EXPECT_THAT(frame(), ElementsAre(eos));
  v.source().pre = "gpt-2";
  v.source().add_bos.reset();
  EXPECT_THAT(frame(), ElementsAre(eos));
  v.source().eos = 1 << 30;  // out of range counts as absent
  EXPECT_THAT(frame(), ElementsAre());
}

TEST(TokenizerTest, EndOfGenerationByKeyAndByText) {
  SmallVocabulary v = SmallBytePairs(1);
  const TokenId eot = v.Add("<|my_end|>", TokenKind::kControl);
  const TokenId more = v.Add("<|more|>", TokenKind::kControl);
  const TokenId normal = v.Add("<|eot_id|>");  // marked wrongly in the file
  const TokenId fim = v.Add("<|fim_pad|>", TokenKind::kControl);
  const TokenId prefix = v.Add("<|fim_prefix|>");
  v.source().end_of_turn = eot;
  v.source().more_eos = {more, -5, 1 << 30};
  const auto tokenizer = v.Make();
  for (const TokenId id : {eot, more, normal, fim, *tokenizer->eos()})
    EXPECT_TRUE(tokenizer->IsEndOfGeneration(id)) << id;
  for (const TokenId id : {prefix, *tokenizer->bos(), TokenId{65}, TokenId{-1}, TokenId{1 << 30}}) {
    EXPECT_FALSE(tokenizer->IsEndOfGeneration(id)) << id;
  }
  EXPECT_EQ(tokenizer->KindOf(normal), TokenKind::kControl);
  EXPECT_EQ(tokenizer->KindOf(prefix), TokenKind::kControl);
}

// gpt-oss: <|end|> closes a message only, and the marks of its format are output, but a user cannot
// write them.
TEST(TokenizerTest, ChannelMarksAreVisibleControlTokens) {
  SmallVocabulary v = SmallBytePairs(1, "gpt-4o");
  const TokenId end = v.Add("<|end|>", TokenKind::kControl);
  const TokenId ret = v.Add("<|return|>", TokenKind::kControl);
  const TokenId call = v.Add("<|call|>", TokenKind::kControl);
  const TokenId channel = v.Add("<|channel|>", TokenKind::kControl);
  const auto tokenizer = v.Make();
  EXPECT_FALSE(tokenizer->IsEndOfGeneration(end));
  EXPECT_TRUE(tokenizer->IsEndOfGeneration(ret));
  EXPECT_TRUE(tokenizer->IsEndOfGeneration(call));
  EXPECT_EQ(tokenizer->Decode({channel, end, ret}), "<|channel|><|end|>");
  EXPECT_THAT(Encode(*tokenizer, "<|channel|>", {.parse_special = true}), ElementsAre(channel));
  EXPECT_GT(Encode(*tokenizer, "<|channel|>").size(), 1u);
}

TEST(TokenizerTest, Phi3StripsWhiteSpaceAfterSpecialTokens) {
  SmallVocabulary v = testing::SmallSentencePiece(1);
  const TokenId end = v.Add("<|end|>", TokenKind::kControl);
  v.source().model_name = "Phi-3 mini";
  const auto tokenizer = v.Make();
  EXPECT_EQ(Encode(*tokenizer, "<|end|>\n hello", {.parse_special = true}),
            Encode(*tokenizer, "<|end|>hello", {.parse_special = true}));
  EXPECT_EQ(Encode(*tokenizer, "<|end|>\n", {.parse_special = true}), std::vector<TokenId>{end});
}

TEST(TokenizerTest, UnknownPreTokenizerFallsBack) {
  const auto tokenizer = SmallBytePairs(1, "from the future").Make();
  EXPECT_EQ(tokenizer->Decode(Encode(*tokenizer, "abc 123")), "abc 123");
}

TEST(TokenizerTest, LookUpsOutOfRangeAreHarmless) {
  const auto tokenizer = SmallBytePairs(1).Make();
  for (const TokenId id :
       {-1, -2147483647 - 1, 2147483647, static_cast<TokenId>(tokenizer->vocabulary_size())}) {
    EXPECT_EQ(tokenizer->PieceOf(id), "");
    EXPECT_EQ(tokenizer->PieceOf(id, true), "");
    EXPECT_EQ(tokenizer->RawTextOf(id), "");
    EXPECT_EQ(tokenizer->KindOf(id), TokenKind::kUnknown);
  }
  EXPECT_FALSE(tokenizer->FindToken("no such token"));
  EXPECT_FALSE(tokenizer->FindToken(""));
}

std::string ErrorOf(const VocabularySource& source) {
  const auto made = Tokenizer::New(source);
  return made ? "" : made.error().message;
}

TEST(TokenizerTest, ContradictionsAreErrorsThatNameTheKey) {
  SmallVocabulary v = SmallBytePairs(1);
  const auto with = [&](auto change) {
    VocabularySource source = v.source();
    change(&source);
    return ErrorOf(source);
  };
  EXPECT_EQ(with([](VocabularySource*) {}), "");
  EXPECT_THAT(with([](VocabularySource* s) { s->tokens.clear(); }),
              HasSubstr("tokenizer.ggml.tokens"));
  EXPECT_THAT(with([](VocabularySource* s) { s->scores.resize(3); }),
              HasSubstr("tokenizer.ggml.scores has 3 elements"));
  EXPECT_THAT(with([](VocabularySource* s) { s->types.resize(3); }),
              HasSubstr("tokenizer.ggml.token_type"));
  const std::string huge(1 << 20, 'a');
  EXPECT_THAT(with([&](VocabularySource* s) { s->tokens[7] = huge; }),
              HasSubstr("tokenizer.ggml.tokens[7]"));
  const std::string large(8000, 'a');
  EXPECT_THAT(with([&](VocabularySource* s) {
                s->scores.clear();
                s->types.clear();
                s->tokens.assign(5000, large);
              }),
              HasSubstr("bytes of text"));
  VocabularySource unigram = testing::SmallUnigram().source();
  SmallVocabulary u = testing::SmallUnigram();
  u.source().charsmap = {1};
  EXPECT_THAT(ErrorOf(u.source()), HasSubstr("precompiled_charsmap"));
}

TEST(TokenizerTest, DuplicateAndEmptyTokensAreTolerated) {
  SmallVocabulary v = SmallBytePairs(1);
  const TokenId copy = v.Add("A");
  const TokenId empty = v.Add("");
  const TokenId no_number = v.Add("zz", TokenKind::kNormal, NAN);
  const auto tokenizer = v.Make();
  EXPECT_EQ(tokenizer->FindToken("A"), TokenId{65});
  EXPECT_EQ(tokenizer->PieceOf(copy), "A");
  EXPECT_EQ(tokenizer->RawTextOf(empty), "[EMPTY_" + std::to_string(empty) + "]");
  EXPECT_EQ(tokenizer->PieceOf(no_number), "zz");
}

// Keys of a real file, through the writer and the reader.
class GgufVocabularyTest : public ::testing::Test {
 protected:
  GgufVocabularyTest() {
    writer_.Set("general.architecture", "test");
    writer_.Set("tokenizer.ggml.model", "gpt2");
    writer_.Set("tokenizer.ggml.pre", "llama-bpe");
    writer_.Set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "ab", "<|end|>"});
  }
  Result<std::shared_ptr<const Tokenizer>> Load() {
    const auto path = directory_.path() / "v.gguf";
    EXPECT_TRUE(writer_.WriteFile(path));
    const auto file = gguf::File::Open(path);
    EXPECT_TRUE(file);
    return Tokenizer::FromGguf(**file);
  }
  std::string LoadError() {
    const auto made = Load();
    return made ? "" : made.error().message;
  }
  void SetMerges() { writer_.Set("tokenizer.ggml.merges", std::vector<std::string>{"a b"}); }

  puna::testing::TemporaryDirectory directory_;
  gguf::Writer writer_;
};

TEST_F(GgufVocabularyTest, ReadsEveryKindOfKey) {
  SetMerges();
  writer_.Set("tokenizer.ggml.token_type", std::vector<int32_t>{1, 1, 1, 3});
  writer_.Set("tokenizer.ggml.bos_token_id", uint32_t{3});
  writer_.Set("tokenizer.ggml.eos_token_id", uint32_t{3});
  writer_.Set("tokenizer.ggml.add_eos_token", true);
  writer_.Set("tokenizer.ggml.suppress_tokens", std::vector<int32_t>{1, 99});
  const auto tokenizer = Load();
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_THAT(Encode(**tokenizer, "abba", {.add_special = true}), ElementsAre(3, 2, 1, 0, 3));
  EXPECT_THAT((*tokenizer)->suppressed_tokens(), ElementsAre(1));
}

TEST_F(GgufVocabularyTest, MissingMerges) {
  EXPECT_THAT(LoadError(), HasSubstr("tokenizer.ggml.merges"));
}

TEST_F(GgufVocabularyTest, WrongTypes) {
  SetMerges();
  writer_.Set("tokenizer.ggml.scores", std::vector<std::string>{"x"});
  EXPECT_THAT(LoadError(), HasSubstr("tokenizer.ggml.scores"));
}

TEST_F(GgufVocabularyTest, WrongTypeOfAnId) {
  SetMerges();
  writer_.Set("tokenizer.ggml.bos_token_id", "one");
  EXPECT_THAT(LoadError(), HasSubstr("tokenizer.ggml.bos_token_id"));
}

TEST_F(GgufVocabularyTest, ShortScores) {
  SetMerges();
  writer_.Set("tokenizer.ggml.scores", std::vector<float>{1, 2});
  EXPECT_THAT(LoadError(), HasSubstr("tokenizer.ggml.scores has 2 elements"));
}

TEST(GgufVocabularyKindTest, FilesWithoutAKnownVocabularyAreUnsupported) {
  const puna::testing::TemporaryDirectory directory;
  for (const char* model : {"", "no_vocab", "none", "from the future"}) {
    gguf::Writer writer;
    writer.Set("general.architecture", "test");
    if (*model != '\0') writer.Set("tokenizer.ggml.model", model);
    const auto path = directory.path() / "v.gguf";
    ASSERT_TRUE(writer.WriteFile(path));
    const auto file = gguf::File::Open(path);
    ASSERT_TRUE(file);
    const auto made = Tokenizer::FromGguf(**file);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kUnsupported);
  }
}

// Files of Ollama's own converter: what the network tells of its tokens where they do not.
class OllamaVocabularyTest : public GgufVocabularyTest {
 protected:
  // tokenizer.ggml.pre as it is used; `given` null: the file has no such key.
  std::string PreOf(const char* architecture, const char* given, const char* last_token = "x") {
    gguf::Writer writer;
    writer.Set("general.architecture", architecture);
    writer.Set("tokenizer.ggml.model", "gpt2");
    if (given != nullptr) writer.Set("tokenizer.ggml.pre", given);
    std::vector<std::string> tokens(128010, "a");
    tokens.back() = last_token;
    writer.Set("tokenizer.ggml.tokens", tokens);
    writer.Set("tokenizer.ggml.merges", std::vector<std::string>{"a b"});
    const auto path = directory_.path() / "o.gguf";
    EXPECT_TRUE(writer.WriteFile(path));
    const auto file = gguf::File::Open(path);
    const auto source = ReadVocabularySource(**file);
    return source ? source->pre : source.error().message;
  }
};

TEST_F(OllamaVocabularyTest, TheNetworkNamesThePreTokenizerWhereTheFileDoesNot) {
  const std::pair<const char*, const char*> networks[] = {{"gemma3", "gemma4"},
                                                          {"gemma3n", "gemma4"},
                                                          {"lfm2", "lfm2"},
                                                          {"llama4", "llama4"},
                                                          {"mistral3", "tekken"}};
  for (const auto& [architecture, pre] : networks) {
    EXPECT_EQ(PreOf(architecture, "default"), pre);
    EXPECT_EQ(PreOf(architecture, nullptr), pre);
    EXPECT_EQ(PreOf(architecture, "qwen2"), "qwen2");
  }
  EXPECT_EQ(PreOf("qwen3", "default"), "default");
}

TEST_F(OllamaVocabularyTest, SomeFilesNameAWrongPreTokenizer) {
  const std::pair<const char*, const char*> networks[] = {
      {"glm4moelite", "glm4"}, {"glmocr", "chatglm-bpe"}, {"gptoss", "gpt-4o"}};
  for (const auto& [architecture, pre] : networks) EXPECT_EQ(PreOf(architecture, "llama-bpe"), pre);
}

TEST_F(OllamaVocabularyTest, Llama3IsKnownByItsTokens) {
  EXPECT_EQ(PreOf("llama", nullptr, "<|eot_id|>"), "llama-bpe");
  EXPECT_EQ(PreOf("llama", "default", "<|eot_id|>"), "llama-bpe");
  EXPECT_EQ(PreOf("llama", "smaug-bpe", "<|eot_id|>"), "smaug-bpe");
  EXPECT_EQ(PreOf("llama", "default"), "default");
}

// Written like a SentencePiece vocabulary, with ids for scores and bytes as ordinary tokens.
TEST_F(OllamaVocabularyTest, Gemma4HasBytePairs) {
  writer_ = {};
  writer_.Set("general.architecture", "gemma4");
  writer_.Set("tokenizer.ggml.model", "llama");
  writer_.Set("tokenizer.ggml.pre", "gemma4");
  writer_.Set("tokenizer.ggml.tokens",
              std::vector<std::string>{"<bos>", "a", "b", "c", "ab", "bc", "abc", "\u2581",
                                       "<0xC3>", "<0xA9>", "\u2581a"});
  writer_.Set("tokenizer.ggml.token_type", std::vector<int32_t>{3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  writer_.Set("tokenizer.ggml.scores", std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  writer_.Set("tokenizer.ggml.bos_token_id", uint32_t{0});
  EXPECT_THAT(LoadError(), HasSubstr("tokenizer.ggml.merges"));
  writer_.Set("tokenizer.ggml.merges", std::vector<std::string>{"a b", "ab c", "b c", "\u2581 a"});
  const auto tokenizer = Load();
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const std::vector<TokenId> ids = Encode(**tokenizer, "abc ab\u00E9", {.add_special = true});
  EXPECT_THAT(ids, ElementsAre(0, 6, 7, 4, 8, 9));
  EXPECT_EQ((*tokenizer)->Decode(ids), "abc ab\u00E9");
}

// jina-embeddings-v2-base-zh: words between white space, not spelled in the byte alphabet. The ids
// are those of llama.cpp.
TEST_F(GgufVocabularyTest, Whitespace) {
  writer_ = {};
  writer_.Set("general.architecture", "jina-bert-v2");
  writer_.Set("tokenizer.ggml.model", "whitespace");
  writer_.Set("tokenizer.ggml.tokens",
              std::vector<std::string>{"<s>", "</s>", "<unk>", "a", "b", "c", "ab", "abc", "中",
                                       "文", "中文", "é", "É", "!", "x"});
  writer_.Set("tokenizer.ggml.token_type",
              std::vector<int32_t>{3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  writer_.Set("tokenizer.ggml.merges", std::vector<std::string>{"a b", "ab c", "中 文"});
  writer_.Set("tokenizer.ggml.bos_token_id", uint32_t{0});
  writer_.Set("tokenizer.ggml.eos_token_id", uint32_t{1});
  writer_.Set("tokenizer.ggml.add_bos_token", true);
  writer_.Set("tokenizer.ggml.add_eos_token", true);
  const EncodeOptions framed{.parse_special = true, .add_special = true};
  const auto plain = Load();
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_THAT(Encode(**plain, "abc ab", framed), ElementsAre(0, 7, 6, 1));
  EXPECT_THAT(Encode(**plain, "ab\u3000 中文\n中", framed), ElementsAre(0, 6, 10, 8, 1));
  EXPECT_THAT(Encode(**plain, "ABC aBc É é", framed), ElementsAre(0, 3, 5, 12, 11, 1));
  EXPECT_THAT(Encode(**plain, "a bc z!x", framed), ElementsAre(0, 3, 4, 5, 13, 14, 1));
  EXPECT_THAT(Encode(**plain, " \t", framed), ElementsAre(0, 1));
  EXPECT_THAT(Encode(**plain, "<s>ab", framed), ElementsAre(0, 0, 6, 1));
  EXPECT_EQ((*plain)->Decode({10, 11}), "中文é");
  writer_.Set("tokenizer.ggml.normalizer.lowercase", true);
  EXPECT_THAT(Encode(**Load(), "ABC aBc É é", framed), ElementsAre(0, 7, 7, 11, 11, 1));
}

// As in Gemma 3 and 3n: a token of pictures behind the others.
TEST_F(OllamaVocabularyTest, TokensWithoutEmbeddingsAreLeftOut) {
  SetMerges();
  const std::vector<uint8_t> zeros(2 * 3 * sizeof(float));
  writer_.AddTensor("token_embd.weight", quant::TensorType::kF32, {2, 3}, zeros);
  const auto tokenizer = Load();
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->vocabulary_size(), 3);
  EXPECT_THAT(Encode(**tokenizer, "ab<|end|>a", {.parse_special = true}), ElementsAre(2, 0));
}

// Snowflake's arctic-embed 2: in base64, an array of its characters.
TEST_F(OllamaVocabularyTest, CharsmapInBase64) {
  const auto read = [&](std::vector<std::string> characters) {
    gguf::Writer writer;
    writer.Set("general.architecture", "bert");
    writer.Set("tokenizer.ggml.model", "t5");
    writer.Set("tokenizer.ggml.tokens", std::vector<std::string>{"a"});
    writer.Set("tokenizer.ggml.precompiled_charsmap", std::move(characters));
    const auto path = directory_.path() / "c.gguf";
    EXPECT_TRUE(writer.WriteFile(path));
    return ReadVocabularySource(**gguf::File::Open(path));
  };
  const auto source = read({"A", "P", "+", "A", "Q", "Q", "=", "="});
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_THAT(source->charsmap, ElementsAre(0x00, 0xFF, 0x80, 0x41));
  const auto broken = read({"A", "!"});
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, HasSubstr("precompiled_charsmap: illegal base64"));
}

// A megabyte of one character, for every algorithm. Quadratic time would be hours; the limit is
// generous for busy machines and sanitizers.
TEST(TokenizerTest, LongTextsTakeLinearTime) {
  std::vector<std::shared_ptr<const Tokenizer>> tokenizers = {
      SmallBytePairs(1).Make(),
      SmallBytePairs(2, "gpt-2").Make(),
      SmallBytePairs(3, "superbpe").Make(),
      SmallBytePairs(4, "tiny_aya").Make(),
      testing::SmallSentencePiece(1).Make(),
      testing::SmallSentencePiece(2, true).Make(),
      testing::SmallWordPiece().Make(),
      testing::SmallUnigram().Make(),
      testing::SmallRwkv().Make(),
      testing::SmallPlamo(1).Make()};
  const auto start = std::chrono::steady_clock::now();
  for (const auto& tokenizer : tokenizers) {
    for (const std::string_view unit : {"a", " ", "1", "\n", "<", "<|im_end|>"}) {
      std::string text;
      while (text.size() < 1000000) text += unit;
      EXPECT_FALSE(Encode(*tokenizer, text).empty() && unit != " " && unit != "\n");
    }
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(120));
}

class RoundTripTest : public ::testing::TestWithParam<const char*> {};

TEST_P(RoundTripTest, DecodingGivesTheTextBack) {
  PUNA_SHARED_OR_SKIP(path, std::string("data/vocab/ggml-vocab-") + GetParam() + ".gguf");
  const auto file = gguf::File::Open(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto made = Tokenizer::FromGguf(**file);
  ASSERT_TRUE(made) << made.error().message;
  std::mt19937_64 random(14);
  for (int i = 0; i < 300; ++i) {
    const std::string text = RandomText(&random, static_cast<int>(random() % 80));
    if (text.find(kEscapedSpace) != std::string::npos && (*made)->drops_leading_space()) continue;
    ASSERT_EQ((*made)->Decode(Encode(**made, text)), text);
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, RoundTripTest,
                         ::testing::Values("deepseek-coder", "deepseek-llm", "falcon", "gpt-2",
                                           "gpt-neox", "llama-bpe", "llama-spm", "baichuan", "mpt",
                                           "phi-3", "qwen2", "refact", "starcoder"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace puna::tokenizer
