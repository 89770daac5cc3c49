// The text is normalized (replacements of the charsmap, white space merged, a space in front if the
// model wants one), then the best path through all tokens is found from left to right, character by
// character: best[end] = max over tokens that end there of best[begin] + score. A character without
// a token costs the lowest score less ten; runs of them become one unknown token. User-defined
// tokens cost nothing, so they win. Scores are summed in double, as SentencePiece does.
//
// The walk from a position is as long as the longest token that matches there, so time is linear in
// the text.
#include "tokenizer/unigram.h"

#include <algorithm>
#include <limits>
#include <string>

#include "base/utf8.h"
#include "tokenizer/byte_trie.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/vocabulary.h"

namespace puna::tokenizer {
namespace {

constexpr double kUnknownPenalty = 10.0;

ByteTrie MakeTrie(const Vocabulary& vocabulary, bool user_defined_only) {
  std::vector<std::pair<std::string_view, int32_t>> keys;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const auto i = static_cast<size_t>(id);
    const bool wanted =
        user_defined_only ? vocabulary.kinds[i] == TokenKind::kUserDefined : vocabulary.IsPlain(id);
    if (wanted) keys.emplace_back(vocabulary.texts[i], id);
  }
  return ByteTrie(keys);
}

class UnigramTokenizer : public Tokenizer {
 public:
  UnigramTokenizer(std::unique_ptr<const Vocabulary> owned, Charsmap charsmap)
      : Tokenizer(std::move(owned)),
        charsmap_(std::move(charsmap)),
        tokens_(MakeTrie(vocabulary(), false)),
        user_defined_(MakeTrie(vocabulary(), true)) {
    double lowest = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < vocabulary().kinds.size(); ++i) {
      if (vocabulary().kinds[i] == TokenKind::kNormal)
        lowest = std::min<double>(lowest, vocabulary().scores[i]);
    }
    if (lowest == std::numeric_limits<double>::infinity()) lowest = 0;
    // In float, as SentencePiece computes it.
    unknown_score_ = static_cast<float>(lowest) - static_cast<float>(kUnknownPenalty);
  }

 private:
  struct Best {
    double score = -std::numeric_limits<double>::infinity();
    size_t begin = 0;
    TokenId token = -1;  // -1: unknown
  };

  void EncodeText(std::string_view text, bool, std::vector<TokenId>* ids) const override {
    const std::string normalized = Normalize(text);
    if (!normalized.empty()) EncodeNormalized(normalized, ids);
  }

  std::string Normalize(std::string_view text) const {
    const Vocabulary& v = vocabulary();
    std::string out;
    out.reserve(text.size() + text.size() / 2);
    bool in_word = false;
    bool has_prefix = false;
    const auto append = [&](std::string_view part) {
      for (const char c : part) {
        if (c == ' ') {
          in_word = false;
          if (!v.remove_extra_whitespaces) out += kEscapedSpace;
          continue;
        }
        if (!in_word && ((v.add_space_prefix && !has_prefix) || v.remove_extra_whitespaces)) {
          out += kEscapedSpace;
          has_prefix = true;
        }
        in_word = true;
        out += c;
      }
    };
    while (!text.empty()) {
      size_t length = user_defined_.Longest(text).length_bytes;
      if (length == 0) {
        const Charsmap::Replacement replacement = charsmap_.Find(text);
        if (replacement.length_bytes > 0) {
          append(replacement.text);
          text.remove_prefix(replacement.length_bytes);
          continue;
        }
        const DecodedCodepoint decoded = DecodeUtf8(text);
        length = decoded.length_bytes;
        if (!decoded.valid) {
          append("\xEF\xBF\xBD");
          text.remove_prefix(length);
          continue;
        }
      }
      append(text.substr(0, length));
      text.remove_prefix(length);
    }
    return out;
  }

  void EncodeNormalized(std::string_view text, std::vector<TokenId>* ids) const {
    std::vector<Best> best(text.size() + 1);  // [end]
    best[0].score = 0;
    for (size_t begin = 0; begin < text.size();) {
      const size_t character = DecodeUtf8(text.substr(begin)).length_bytes;
      bool has_single = false;
      int32_t node = tokens_.root();
      for (size_t end = begin; end < text.size();) {
        node = tokens_.Child(node, text[end++]);
        if (node == ByteTrie::kNone) break;
        const TokenId token = tokens_.ValueAt(node);
        if (token == ByteTrie::kNone) continue;
        if (end - begin == character) has_single = true;
        const auto i = static_cast<size_t>(token);
        const double score =
            vocabulary().kinds[i] == TokenKind::kUserDefined ? 0.0 : vocabulary().scores[i];
        Improve(&best[end], best[begin].score + score, begin, token);
      }
      if (!has_single)
        Improve(&best[begin + character], best[begin].score + unknown_score_, begin, -1);
      begin += character;
    }
    const size_t size_before = ids->size();
    bool after_unknown = false;
    for (size_t end = text.size(); end > 0; end = best[end].begin) {
      const TokenId token = best[end].token;
      if (token >= 0) {
        ids->push_back(token);
      } else if (!after_unknown && vocabulary().unknown) {
        ids->push_back(*vocabulary().unknown);
      }
      after_unknown = token < 0;
    }
    std::reverse(ids->begin() + static_cast<ptrdiff_t>(size_before), ids->end());
  }

  static void Improve(Best* best, double score, size_t begin, TokenId token) {
    if (score > best->score) *best = {score, begin, token};
  }

  const Charsmap charsmap_;
  const ByteTrie tokens_;
  const ByteTrie user_defined_;
  double unknown_score_ = 0;
};

}  // namespace

Result<std::unique_ptr<const Tokenizer>> MakeUnigramTokenizer(
    std::unique_ptr<const Vocabulary> vocabulary) {
  PUNA_ASSIGN_OR_RETURN(Charsmap charsmap, Charsmap::Parse(vocabulary->charsmap));
  return std::make_unique<const UnigramTokenizer>(std::move(vocabulary), std::move(charsmap));
}

}  // namespace puna::tokenizer
