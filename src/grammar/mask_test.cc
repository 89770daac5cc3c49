// Masks against the slow way: every token of a vocabulary tried on its own.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "gguf/gguf.h"
#include "grammar/grammar.h"
#include "grammar/token_trie.h"
#include "tests/support/shared_data.h"
#include "tokenizer/small_vocabulary.h"
#include "tokenizer/vocabulary.h"

namespace puna::grammar {
namespace {

// A vocabulary of our own: all bytes, pieces that cross the borders of JSON, and control tokens.
std::shared_ptr<const tokenizer::Tokenizer> MakeTokenizer(const std::vector<std::string>& pieces) {
  using tokenizer::TokenKind;
  tokenizer::testing::SmallVocabulary vocabulary(tokenizer::Algorithm::kSentencePiece);
  vocabulary.source().unknown = vocabulary.Add("<unk>", TokenKind::kUnknown);
  vocabulary.source().bos = vocabulary.Add("<s>", TokenKind::kControl);
  vocabulary.source().eos = vocabulary.Add("</s>", TokenKind::kControl);
  vocabulary.Add("<tool_call>", TokenKind::kControl);
  for (int byte = 0; byte < 256; ++byte)
    vocabulary.Add(tokenizer::ByteTokenText(static_cast<uint8_t>(byte)), TokenKind::kByte);
  for (const std::string& piece : pieces) {
    std::string escaped;
    tokenizer::AppendEscapedSpaces(piece, &escaped);
    vocabulary.Add(escaped);
  }
  vocabulary.source().add_space_prefix = false;
  return vocabulary.Make();
}

std::vector<std::string> Pieces() {
  std::vector<std::string> pieces = {"\"",
                                     "\":",
                                     "\": ",
                                     "\":\"",
                                     "\",\"",
                                     "\"}",
                                     "\"},",
                                     "}]",
                                     "]}",
                                     "}}",
                                     "{\"",
                                     "[{\"",
                                     "true",
                                     "false",
                                     "null",
                                     "tru",
                                     "name",
                                     "\"name\":",
                                     "\"name\": \"",
                                     "age",
                                     "\"age\":",
                                     "12",
                                     "345",
                                     "-1",
                                     "0.",
                                     ".5",
                                     "1e",
                                     "e+",
                                     ", ",
                                     ",\"",
                                     ",\n",
                                     "\n ",
                                     "\n  \"",
                                     "  ",
                                     "    ",
                                     "\\n",
                                     "\\\"",
                                     "\\u",
                                     "\\u00",
                                     "he said \\\"",
                                     "a\"b",
                                     "a\",\"b",
                                     "\xC3\xA9",
                                     "\xC3",
                                     "\xE4\xB8\x80\xE4\xBA\x8C",
                                     "\xE4\xB8",
                                     "\x80\"",
                                     "\xE4\xB8\x80\"}",
                                     "hello world",
                                     "the",
                                     std::string(40, 'x'),
                                     std::string(70, 'y'),
                                     "\x7F",
                                     "ab\n",
                                     "\t",
                                     "2024-01",
                                     "-02-",
                                     "\"\"",
                                     "[]",
                                     "{}",
                                     "[[",
                                     "a",
                                     "b",
                                     "ab",
                                     "ba",
                                     "abab",
                                     "xyz\"",
                                     "xyz\",",
                                     "]]",
                                     "},{\"",
                                     "1,",
                                     "2]",
                                     "3}",
                                     ",1",
                                     "{ ",
                                     "[ "};
  std::set<std::string> unique(pieces.begin(), pieces.end());
  return {unique.begin(), unique.end()};
}

std::vector<bool> SlowMask(const std::shared_ptr<const Constraint>& constraint,
                           const std::vector<TokenId>& so_far) {
  const TokenTrie& trie = constraint->trie();
  std::vector<bool> allowed(static_cast<size_t>(trie.vocabulary_size()), false);
  for (TokenId token = 0; token < trie.vocabulary_size(); ++token) {
    Matcher matcher(constraint);
    for (const TokenId before : so_far) EXPECT_TRUE(matcher.Accept(before).has_value());
    allowed[static_cast<size_t>(token)] = trie.tokenizer().IsEndOfGeneration(token)
                                              ? matcher.complete()
                                              : matcher.Accept(token).has_value();
  }
  return allowed;
}

// Enough words that masks are masks and not lists, of many kinds of characters and with neighbours
// that differ in one.
std::vector<std::string> ManyPieces() {
  static constexpr const char* kChars[] = {"a",
                                           "b",
                                           "z",
                                           "A",
                                           "Q",
                                           "0",
                                           "7",
                                           "\xC3\xA9",
                                           "\xD0\x96",
                                           "\xE4\xB8\xAD",
                                           "\xE6\x96\x87",
                                           "\xE3\x81\x82",
                                           "\xE2\x80\x83",
                                           "\xC2\xA0",
                                           "\xF0\x9F\x98\x80",
                                           " ",
                                           "-",
                                           "@",
                                           ".",
                                           "_"};
  std::mt19937 random(3);
  std::set<std::string> unique;
  while (unique.size() < 9000) {
    std::string piece;
    // Most pieces are of letters only, as in real vocabularies.
    const size_t choices = random() % 4 == 0 ? std::size(kChars) : 11;
    for (size_t length = random() % 9 + 1; length > 0; --length)
      piece += kChars[random() % choices];
    unique.insert(piece);
  }
  return {unique.begin(), unique.end()};
}

// Writes a random text and compares every mask on the way.
void CheckMasks(const Part& part, int rounds, int longest,
                const std::vector<std::string>& pieces = Pieces()) {
  const auto tokenizer = MakeTokenizer(pieces);
  const auto trie = MakeTokenTrie(tokenizer);
  const auto grammar = Grammar::Compile(part);
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  const auto constraint = std::make_shared<const Constraint>(*grammar, trie);
  std::mt19937 random(7);
  for (int round = 0; round < rounds; ++round) {
    Matcher matcher(constraint);
    std::vector<TokenId> tokens;
    std::string text;
    while (static_cast<int>(tokens.size()) < longest) {
      const auto mask = matcher.Mask();
      ASSERT_TRUE(mask.has_value()) << mask.error().message;
      const std::vector<bool> slow = SlowMask(constraint, tokens);
      std::vector<TokenId> choices;
      for (size_t token = 0; token < slow.size(); ++token) {
        const bool fast = ((*mask)[token / 64] >> (token % 64) & 1) != 0;
        ASSERT_EQ(fast, slow[token]) << "behind \"" << text << "\" token " << token << " \""
                                     << tokenizer->PieceOf(static_cast<TokenId>(token)) << "\"";
        if (fast) choices.push_back(static_cast<TokenId>(token));
      }
      ASSERT_FALSE(choices.empty()) << "nothing continues \"" << text << "\"";
      const TokenId token = choices[random() % choices.size()];
      if (tokenizer->IsEndOfGeneration(token)) break;
      ASSERT_TRUE(matcher.Accept(token).has_value());
      tokens.push_back(token);
      text += trie->BytesOf(token);
    }
    EXPECT_EQ(matcher.complete(), (*grammar)->Accepts(text)) << text;
  }
}

TEST(Mask, EqualsTryingEveryToken) {
  CheckMasks(
      Part::Schema(Json::parse(R"({"type": "object", "properties": {"name": {"type": "string"},
      "age": {"type": "integer", "minimum": 3, "maximum": 450}, "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}}},
      "required": ["name", "age"]})")),
      6, 40);
  CheckMasks(Part::JsonObject(), 3, 25);
  CheckMasks(
      Part::Gbnf("root ::= \"[\" item (\",\" item)* \"]\"\nitem ::= [ab]+ | \"(\" root \")\""), 6,
      40);
  CheckMasks(Part::Gbnf("root ::= line+\nline ::= [^\\n]* \"\\n\""), 3, 15);
  CheckMasks(Part::Regex("(a|b)*a(a|b){3}"), 3, 15);
  CheckMasks(Part::Sequence({Part::Until("\":"), Part::Spaces(2),
                             Part::Schema(Json::parse(R"({"enum": ["a\"b", 1, null]})"))}),
             4, 20);
  CheckMasks(Part::Schema(Json::parse(R"({"type": "string", "minLength": 2, "maxLength": 75})")), 4,
             40);
  CheckMasks(Part::Schema(Json::parse(R"({"type": "string", "pattern": "^(ab|x)*y?$"})")), 3, 25);
  CheckMasks(Part::Schema(Json::parse(R"({"type": "string", "format": "date"})")), 3, 25);
}

TEST(Mask, EqualsTryingEveryTokenWhereWordsAreAcceptedWhole) {
  const auto pieces = ManyPieces();
  for (const char* pattern :
       {".*", "[^@\\s]+@[^@\\s]+", "[a-z]{3}[a-z0-9_]*", "[a-zA-Z0-9\xC3\xA9]{2,9}-.", "\\w+",
        "[^\xE4\xB8\xAD]*", "[^\xF0\x9F\x98\x80]*", "(?:[A-Z][a-z]*)+",
        "[0-9]+|[\\u0400-\\u9fff]+"}) {
    SCOPED_TRACE(pattern);
    CheckMasks(Part::Regex(pattern), 1, 4, pieces);
    CheckMasks(Part::Schema({{"type", "string"}, {"pattern", "^" + std::string(pattern) + "$"}}), 2,
               4, pieces);
  }
  CheckMasks(Part::Schema(Json::parse(R"({"type": "string", "format": "email"})")), 2, 6, pieces);
  CheckMasks(Part::Gbnf("root ::= word (\"-\" word)* [A-Z0-9]\nword ::= [a-z]+ | [a-b]+ [0-9]"), 2,
             4, pieces);
}

TEST(Mask, ControlTokensOnlyWhereTheGrammarNamesThem) {
  const auto tokenizer = MakeTokenizer(Pieces());
  const auto trie = MakeTokenTrie(tokenizer);
  const TokenId call = *tokenizer->FindToken("<tool_call>");
  const auto allows = [&](const Part& part) {
    Matcher matcher(std::make_shared<const Constraint>(*Grammar::Compile(part), trie));
    return ((*matcher.Mask())[static_cast<size_t>(call) / 64] >> (static_cast<size_t>(call) % 64) &
            1) != 0;
  };
  EXPECT_TRUE(allows(Part::Token("<tool_call>")));
  EXPECT_FALSE(allows(Part::Text("<tool_call>")));
  EXPECT_FALSE(allows(Part::Gbnf("root ::= .*")));
  EXPECT_TRUE(allows(Part::Until("<tool_call>")));
}

TEST(Matcher, EndsExactlyWhenTheTextIsComplete) {
  const auto tokenizer = MakeTokenizer(Pieces());
  const auto trie = MakeTokenTrie(tokenizer);
  Matcher matcher(std::make_shared<const Constraint>(
      *Grammar::Compile(Part::Schema(Json::parse(R"({"const": [true]})"))), trie));
  for (const char* piece : {"[ ", "tru"}) {
    std::string escaped;
    tokenizer::AppendEscapedSpaces(piece, &escaped);
    ASSERT_TRUE(matcher.Accept(*tokenizer->FindToken(escaped)).has_value());
    EXPECT_FALSE(matcher.complete());
  }
  EXPECT_FALSE(matcher.Accept(*tokenizer->FindToken("name")).has_value());
  EXPECT_FALSE(matcher.Accept(*tokenizer->eos()).has_value());
  for (const char* byte : {"<0x65>", "<0x5D>"})
    ASSERT_TRUE(matcher.Accept(*tokenizer->FindToken(byte)).has_value());
  EXPECT_TRUE(matcher.complete());
  EXPECT_TRUE(matcher.finished());
}

TEST(Matcher, ForcedTextStopsBeforeATokenThatCouldGoOn) {
  const auto tokenizer = MakeTokenizer(Pieces());
  const auto trie = MakeTokenTrie(tokenizer);
  const auto text_of = [&](const Part& part) {
    Matcher matcher(std::make_shared<const Constraint>(*Grammar::Compile(part), trie));
    std::string text;
    for (const TokenId token : matcher.Forced()) {
      EXPECT_TRUE(matcher.Accept(token).has_value());
      text += trie->BytesOf(token);
    }
    return text;
  };
  EXPECT_EQ(text_of(Part::Text("hello world")), "hello world");
  // "name" may be followed by anything, but '"name":' could also become '"name": "'.
  EXPECT_EQ(text_of(Part::Sequence({Part::Text("hello world\"name\":"),
                                    Part::Choice({Part::Text(" \"a"), Part::Text("1")})})),
            "hello world");
  EXPECT_EQ(text_of(Part::Choice({Part::Text("a"), Part::Text("b")})), "");
}

TEST(Matcher, DeepTextsDoNotGrowWithoutBound) {
  const auto trie = MakeTokenTrie(MakeTokenizer(Pieces()));
  const auto constraint =
      std::make_shared<const Constraint>(*Grammar::Compile(Part::Schema(Json::object())), trie);
  Matcher matcher(constraint);
  const TokenId open = *trie->tokenizer().FindToken("[[");
  for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(matcher.Accept(open).has_value());
  ASSERT_TRUE(matcher.Mask().has_value());
  const TokenId close = *trie->tokenizer().FindToken("]]");
  for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(matcher.Accept(close).has_value());
  EXPECT_TRUE(matcher.finished());
}

}  // namespace
}  // namespace puna::grammar
