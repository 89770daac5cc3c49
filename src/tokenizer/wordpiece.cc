// BERT's normalizer, then greedy longest matches inside each word. GGUF writes a token that begins
// a word with U+2581 in front and drops BERT's "##" from the others.
//
// Normalization: characters are decomposed and nonspacing marks dropped (if the model strips
// accents), control characters are dropped, letters lowered; white space separates words;
// punctuation, ASCII symbols and Chinese characters are words of their own. Decomposition is
// complete, as in Hugging Face's BertNormalizer and in training; llama.cpp keeps the first code
// point only, which differs for Hangul.
#include "tokenizer/wordpiece.h"

#include <string>

#include "base/utf8.h"
#include "tokenizer/byte_trie.h"
#include "tokenizer/unicode_classes.h"
#include "tokenizer/vocabulary.h"

namespace puna::tokenizer {
namespace {

// The blocks that BERT counts as Chinese. 0x2B920 (for 0x2B820) is an error of the original that
// models were trained with.
bool IsChinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

ByteTrie MakeTrie(const Vocabulary& vocabulary) {
  std::vector<std::pair<std::string_view, int32_t>> keys;
  keys.reserve(static_cast<size_t>(vocabulary.size()));
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.IsPlain(id)) keys.emplace_back(vocabulary.texts[static_cast<size_t>(id)], id);
  }
  return ByteTrie(keys);
}

class WordPieceTokenizer : public Tokenizer {
 public:
  explicit WordPieceTokenizer(std::unique_ptr<const Vocabulary> owned)
      : Tokenizer(std::move(owned)), tokens_(MakeTrie(vocabulary())) {}

 private:
  void EncodeText(std::string_view text, bool, std::vector<TokenId>* ids) const override {
    const UnicodeClasses& classes = UnicodeClasses::Get();
    std::string word(kEscapedSpace);
    const auto finish_word = [&] {
      if (word.size() > kEscapedSpace.size()) EncodeWord(word, ids);
      word.resize(kEscapedSpace.size());
    };
    std::u32string characters;
    while (!text.empty()) {
      const DecodedCodepoint decoded = DecodeUtf8(text);
      text.remove_prefix(decoded.length_bytes);
      characters.clear();
      if (vocabulary().strip_accents && decoded.codepoint >= 0x80) {
        AppendDecomposed(decoded.codepoint, &characters);
      } else {
        characters.push_back(decoded.codepoint);
      }
      for (const char32_t c : characters) {
        const ClassMask mask = classes.Of(c);
        if ((mask & kSpace) != 0) {
          finish_word();
        } else if (c == 0 || c == 0xFFFD || (mask & kControl) != 0 ||
                   (vocabulary().strip_accents && (mask & kNonspacing) != 0)) {
          continue;
        } else if ((mask & (kPunctuation | kAsciiSymbol)) != 0 || IsChinese(c)) {
          finish_word();
          AppendUtf8(c, &word);
          finish_word();
        } else {
          AppendUtf8(vocabulary().lowercase ? ToLower(c) : c, &word);
        }
      }
    }
    finish_word();
  }

  // A word is its pieces, or the unknown token if a part of it has none.
  void EncodeWord(std::string_view word, std::vector<TokenId>* ids) const {
    const size_t size_before = ids->size();
    while (!word.empty()) {
      const ByteTrie::Match match = tokens_.Longest(word);
      if (match.value == ByteTrie::kNone) {
        ids->resize(size_before);
        if (vocabulary().unknown) ids->push_back(*vocabulary().unknown);
        return;
      }
      ids->push_back(match.value);
      word.remove_prefix(match.length_bytes);
    }
  }

  const ByteTrie tokens_;
};

}  // namespace

Result<std::unique_ptr<const Tokenizer>> MakeWordPieceTokenizer(
    std::unique_ptr<const Vocabulary> vocabulary) {
  return std::make_unique<const WordPieceTokenizer>(std::move(vocabulary));
}

}  // namespace puna::tokenizer
