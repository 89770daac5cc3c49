// Small vocabularies made on the spot, for tests and fuzz targets.
#ifndef PUNA_TOKENIZER_SMALL_VOCABULARY_H_
#define PUNA_TOKENIZER_SMALL_VOCABULARY_H_

#include <deque>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace puna::tokenizer::testing {

// A source that owns its strings.
class SmallVocabulary {
 public:
  explicit SmallVocabulary(Algorithm algorithm) { source_.algorithm = algorithm; }

  TokenId Add(std::string text, TokenKind kind = TokenKind::kNormal, float score = 0) {
    strings_.push_back(std::move(text));
    source_.tokens.push_back(strings_.back());
    source_.types.push_back(static_cast<int32_t>(kind));
    source_.scores.push_back(score);
    return static_cast<TokenId>(source_.tokens.size() - 1);
  }
  void AddMerge(std::string_view left, std::string_view right) {
    strings_.push_back(std::string(left) + " " + std::string(right));
    source_.merges.push_back(strings_.back());
  }
  VocabularySource& source() { return source_; }
  const VocabularySource& source() const { return source_; }
  std::shared_ptr<const Tokenizer> Make() const {
    auto made = Tokenizer::New(source_);
    CHECK(made) << made.error().message;
    return *made;
  }

 private:
  std::deque<std::string> strings_;
  VocabularySource source_;
};

// Text of letters, digits, punctuation, white space and characters of every kind and length, rich
// in what splitters look at (apostrophes, runs of spaces, line breaks, letter case, combining
// marks). Well-formed UTF-8, `characters` long.
inline std::string RandomText(std::mt19937_64* random, int characters) {
  static constexpr std::u32string_view kCommon =
      U"aaeiostrn  \n\r\t'1234567890.,!?-_/\\()[]{}<>|~^$+=`\"#&*:;@%";
  static constexpr std::u32string_view kRare =
      U"sSdDmMtTlLvVrReEABCXYZ\u00E9\u00C9\u00DF\u0130\u01C5\u02B0\u0301\u0308\u0915\u093F\u094D"
      U"\u0E01\u0E33\u4E2D"
      U"\u6587\u3042\u30A2\uAC00\uD55C\u0660\u0967\u00BD\u2167\u3007\u2603\u20AC\u00A0\u0085\u1680"
      U"\u2003\u2028\u2029"
      U"\u202F\u3000\u180E\u200B\u200D\uFEFF\u2018\u2019\u2026\uFF01\uFF21\u0000\u0001\u007F\uE000"
      U"\uFFFD\U0001F600"
      U"\U0001F1E9\U0001D400\U00010400\U00020000\u2E80\u3005\u0141\u0142\u0410\u0430\u05D0\u0627"
      U"\u064B\u1E9E\u2581";
  std::string text;
  for (int i = 0; i < characters; ++i) {
    const std::u32string_view set = (*random)() % 4 == 0 ? kRare : kCommon;
    const char32_t c = set[(*random)() % set.size()];
    const uint64_t repeat = (*random)() % 12 == 0 ? 1 + (*random)() % 6 : 1;
    for (uint64_t k = 0; k < repeat; ++k) AppendUtf8(c, &text);
  }
  return text;
}

// All bytes, random merges learned from random text, two control tokens (the last one ends a
// generation), user-defined tokens. Some merge results are missing from the vocabulary.
inline SmallVocabulary SmallBytePairs(uint64_t seed, std::string_view pre = "llama-bpe",
                                      int merges = 150) {
  std::mt19937_64 random(seed);
  SmallVocabulary v(Algorithm::kBytePairs);
  v.source().pre = pre;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    v.Add(SpellBytes({&c, 1}));
  }
  std::vector<std::string> parts;
  const std::string text =
      RandomText(&random, 400) + " the there then hello world  aaaaaaaaaaaaaaaa";
  for (const char c : text) parts.push_back(SpellBytes({&c, 1}));
  std::vector<std::string> known;
  for (int i = 0; i < merges && parts.size() > 2; ++i) {
    const size_t at = random() % (parts.size() - 1);
    const std::string left = parts[at], right = parts[at + 1];
    if (std::find(known.begin(), known.end(), left + " " + right) != known.end()) continue;
    known.push_back(left + " " + right);
    v.AddMerge(left, right);
    const auto& tokens = v.source().tokens;
    if (random() % 10 != 0 && std::find(tokens.begin(), tokens.end(), left + right) == tokens.end())
      v.Add(left + right);
    std::vector<std::string> joined;
    for (size_t k = 0; k < parts.size(); ++k) {
      if (k + 1 < parts.size() && parts[k] == left && parts[k + 1] == right) {
        joined.push_back(left + right);
        ++k;
      } else {
        joined.push_back(parts[k]);
      }
    }
    parts = std::move(joined);
  }
  v.Add("<tool>", TokenKind::kUserDefined);
  v.Add("    ", TokenKind::kUserDefined);
  v.Add("<|bos|>", TokenKind::kControl);
  v.Add("<|im_end|>", TokenKind::kControl);
  v.source().bos = static_cast<int64_t>(v.source().tokens.size()) - 2;
  v.source().eos = static_cast<int64_t>(v.source().tokens.size()) - 1;
  return v;
}

// <unk>, <s>, </s>, byte tokens, characters, and joins of neighbours in random text with random
// scores.
inline SmallVocabulary SmallSentencePiece(uint64_t seed, bool joins_cross_spaces = false) {
  std::mt19937_64 random(seed);
  SmallVocabulary v(Algorithm::kSentencePiece);
  v.Add("<unk>", TokenKind::kUnknown);
  v.Add("<s>", TokenKind::kControl);
  v.Add("</s>", TokenKind::kControl);
  for (int byte = 0; byte < 256; ++byte)
    v.Add(ByteTokenText(static_cast<uint8_t>(byte)), TokenKind::kByte);
  const auto add = [&](const std::string& text) {
    const auto& tokens = v.source().tokens;
    if (std::find(tokens.begin(), tokens.end(), text) == tokens.end()) {
      v.Add(text, TokenKind::kNormal, -static_cast<float>(random() % 40));
    }
  };
  std::string escaped;
  AppendEscapedSpaces(
      " hello world and then the  other   one  aaaa bbbb " + RandomText(&random, 200), &escaped);
  std::vector<std::string> parts;
  for (std::string_view rest = escaped; !rest.empty();) {
    const size_t length = DecodeUtf8(rest).length_bytes;
    parts.emplace_back(rest.substr(0, length));
    rest.remove_prefix(length);
    if (random() % 8 != 0) add(parts.back());
  }
  for (int i = 0; i < 200; ++i) {
    const size_t at = random() % (parts.size() - 1);
    const std::string joined = parts[at] + parts[at + 1];
    const size_t space = joined.find(kEscapedSpace, 1);
    if (space != std::string::npos && !joins_cross_spaces &&
        std::string_view(joined).substr(space - std::min<size_t>(space, 3), 3) != kEscapedSpace) {
      continue;
    }
    add(joined);
    parts[at] = joined;
    parts.erase(parts.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
  v.Add("<tool>", TokenKind::kUserDefined);
  return v;
}

inline SmallVocabulary SmallWordPiece() {
  SmallVocabulary v(Algorithm::kWordPiece);
  v.source().unknown = v.Add("[UNK]", TokenKind::kUnknown);
  v.source().bos = v.Add("[CLS]", TokenKind::kControl);
  v.source().separator = v.Add("[SEP]", TokenKind::kControl);
  for (const std::string_view word :
       {"the", "hello", "world", "un", "!", ",", ".", "a", "b", "c", "e", "中"}) {
    v.Add(std::string(kEscapedSpace) + std::string(word));
  }
  for (const std::string_view rest : {"believ", "able", "ing", "s", "a", "b", "c", "o"})
    v.Add(std::string(rest));
  return v;
}

inline SmallVocabulary SmallUnigram() {
  SmallVocabulary v(Algorithm::kUnigram);
  v.Add("<pad>", TokenKind::kControl);
  v.source().eos = v.Add("</s>", TokenKind::kControl);
  v.source().unknown = v.Add("<unk>", TokenKind::kUnknown);
  const auto add = [&](std::string_view text, float score) {
    std::string escaped;
    AppendEscapedSpaces(text, &escaped);
    v.Add(escaped, TokenKind::kNormal, score);
  };
  for (const char c : std::string_view("abcdehlnorstw ")) add({&c, 1}, -8);
  add(" hello", -3);
  add("hello", -5);
  add("he", -4);
  add("llo", -4.5f);
  add(" world", -3.5f);
  add(" w", -5);
  add("or", -5);
  add("ld", -5);
  v.Add("<tool>", TokenKind::kUserDefined);
  v.source().add_space_prefix = true;
  return v;
}

// Control tokens, byte tokens, and pieces of random text with random scores, some of them equal and
// some too low to be used.
inline SmallVocabulary SmallPlamo(uint64_t seed) {
  std::mt19937_64 random(seed);
  SmallVocabulary v(Algorithm::kPlamo);
  v.Add("<|plamo:unk|>", TokenKind::kUnknown);
  v.Add("<|plamo:bos|>", TokenKind::kControl);
  v.Add("<|plamo:eos|>", TokenKind::kControl);
  v.Add("<|plamo:op|>", TokenKind::kControl);
  for (int byte = 0; byte < 256; ++byte)
    v.Add(ByteTokenText(static_cast<uint8_t>(byte)), TokenKind::kByte);
  const std::string text =
      " hello world\n\n\u2581the then there  aaaaaaaa" + RandomText(&random, 300);
  std::vector<std::string_view> characters;
  for (std::string_view rest = text; !rest.empty();) {
    characters.push_back(rest.substr(0, DecodeUtf8(rest).length_bytes));
    rest.remove_prefix(characters.back().size());
  }
  for (int i = 0; i < 600; ++i) {
    const size_t first = random() % characters.size();
    const size_t count = std::min<size_t>(1 + random() % 5, characters.size() - first);
    std::string piece;
    for (size_t k = first; k < first + count; ++k) piece += characters[k];
    const auto& tokens = v.source().tokens;
    if (std::find(tokens.begin(), tokens.end(), piece) != tokens.end()) continue;
    const float score = random() % 20 == 0 ? -2500.0f : -static_cast<float>(random() % 40) / 4;
    v.Add(piece, TokenKind::kNormal, score);
  }
  v.Add("<tool>", TokenKind::kUserDefined);
  v.Add("[PAD1]", TokenKind::kUnused, -1000);
  return v;
}

inline SmallVocabulary SmallRwkv() {
  SmallVocabulary v(Algorithm::kRwkv);
  v.Add("<s>", TokenKind::kControl);
  for (int byte = 0; byte < 256; ++byte) v.Add(fmt::format("\\x{:02x}", byte));
  for (const std::string_view text : {"he", "hello", "\\n\\n", "\\t ", " world", "中"})
    v.Add(std::string(text));
  return v;
}

}  // namespace puna::tokenizer::testing

#endif  // PUNA_TOKENIZER_SMALL_VOCABULARY_H_
