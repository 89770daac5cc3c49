// A unigram model like Unigram's, but nothing is normalized, and a character without a token
// becomes its bytes, for one fixed price. The best path is found from the end of the text to its
// beginning: cost[begin] = min over tokens that start there of cost of the token + cost[end]. Costs
// are integers, ten thousandths of a score, and of equally cheap tokens the longest wins.
//
// The walk from a position is as long as the longest token that matches there, so time is linear in
// the text.
#include "tokenizer/plamo.h"

#include <array>
#include <cmath>
#include <optional>
#include <string>

#include "base/utf8.h"
#include "tokenizer/byte_trie.h"
#include "tokenizer/vocabulary.h"

namespace puna::tokenizer {
namespace {

constexpr double kCostPerScore = 1e4;
constexpr int64_t kBytesCost = 10'000'000;     // of a character that is written as bytes
constexpr double kForbiddenCost = 20'000'000;  // tokens of this cost, or gain, are never used
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Unused tokens stand for no text.
ByteTrie MakeTextTrie(const Vocabulary& vocabulary) {
  std::vector<std::pair<std::string_view, int32_t>> keys;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const auto i = static_cast<size_t>(id);
    if (!vocabulary.IsPlain(id) || vocabulary.kinds[i] == TokenKind::kUnused) continue;
    if (std::abs(std::round(vocabulary.scores[i] * kCostPerScore)) < kForbiddenCost)
      keys.emplace_back(vocabulary.texts[i], id);
  }
  return ByteTrie(keys);
}

class PlamoTokenizer : public Tokenizer {
 public:
  explicit PlamoTokenizer(std::unique_ptr<const Vocabulary> owned)
      : Tokenizer(std::move(owned)), tokens_(MakeTextTrie(vocabulary())) {
    for (TokenId id = 0; id < vocabulary().size(); ++id) {
      const auto i = static_cast<size_t>(id);
      if (vocabulary().kinds[i] != TokenKind::kByte) continue;
      if (const auto byte = ParseByteToken(vocabulary().texts[i])) bytes_[*byte] = id;
    }
  }

 private:
  struct Step {
    int64_t cost = 0;  // from here to the end
    size_t end = 0;
    TokenId token = -1;  // below 0: the bytes of one character
  };

  void EncodeText(std::string_view raw, bool, std::vector<TokenId>* ids) const override {
    const std::string valid = ReplaceInvalidUtf8(raw);
    std::string_view text = valid;
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    const std::vector<Step> steps = BestSteps(text);
    for (size_t begin = 0; begin < text.size(); begin = steps[begin].end) {
      const Step& step = steps[begin];
      if (step.token >= 0) {
        ids->push_back(step.token);
      } else {
        AppendBytes(text.substr(begin, step.end - begin), ids);
      }
    }
  }

  // [begin], of valid UTF-8; only those of first bytes of characters are set.
  std::vector<Step> BestSteps(std::string_view text) const {
    std::vector<Step> steps(text.size() + 1);
    for (size_t begin = text.size(); begin-- > 0;) {
      if ((static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) continue;
      const size_t next = begin + DecodeUtf8(text.substr(begin)).length_bytes;
      Step best{.cost = kBytesCost + steps[next].cost, .end = next};
      int32_t node = tokens_.root();
      for (size_t end = begin; end < text.size();) {
        node = tokens_.Child(node, text[end++]);
        if (node == ByteTrie::kNone) break;
        const TokenId token = tokens_.ValueAt(node);
        if (token == ByteTrie::kNone || !EndsCharacter(text, end)) continue;
        const int64_t cost = CostOf(token) + steps[end].cost;
        if (cost <= best.cost) best = {.cost = cost, .end = end, .token = token};
      }
      steps[begin] = best;
    }
    return steps;
  }

  static bool EndsCharacter(std::string_view text, size_t end) {
    return end == text.size() || (static_cast<uint8_t>(text[end]) & 0xC0) != 0x80;
  }

  int64_t CostOf(TokenId token) const {
    const float score = vocabulary().scores[static_cast<size_t>(token)];
    return -static_cast<int64_t>(std::round(score * kCostPerScore));
  }

  // A byte that a broken vocabulary lacks becomes the unknown token if there is one.
  void AppendBytes(std::string_view bytes, std::vector<TokenId>* ids) const {
    for (const char byte : bytes) {
      const std::optional<TokenId> id = bytes_[static_cast<uint8_t>(byte)];
      if (id) {
        ids->push_back(*id);
      } else if (vocabulary().unknown) {
        ids->push_back(*vocabulary().unknown);
      }
    }
  }

  const ByteTrie tokens_;
  std::array<std::optional<TokenId>, 256> bytes_;
};

}  // namespace

Result<std::unique_ptr<const Tokenizer>> MakePlamoTokenizer(
    std::unique_ptr<const Vocabulary> vocabulary) {
  return std::make_unique<const PlamoTokenizer>(std::move(vocabulary));
}

}  // namespace puna::tokenizer
