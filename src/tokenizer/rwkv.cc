// Greedy: at each byte the longest token that matches. The vocabulary has all single bytes, so
// nothing is lost; a byte that a broken vocabulary lacks becomes the unknown token if there is one.
#include "tokenizer/rwkv.h"

#include "tokenizer/byte_trie.h"
#include "tokenizer/vocabulary.h"

namespace puna::tokenizer {
namespace {

ByteTrie MakeTrie(const Vocabulary& vocabulary) {
  std::vector<std::pair<std::string_view, int32_t>> keys;
  keys.reserve(static_cast<size_t>(vocabulary.size()));
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (!vocabulary.IsSpecial(id))
      keys.emplace_back(vocabulary.pieces[static_cast<size_t>(id)], id);
  }
  return ByteTrie(keys);
}

class RwkvTokenizer : public Tokenizer {
 public:
  explicit RwkvTokenizer(std::unique_ptr<const Vocabulary> owned)
      : Tokenizer(std::move(owned)), tokens_(MakeTrie(vocabulary())) {}

 private:
  void EncodeText(std::string_view text, bool, std::vector<TokenId>* ids) const override {
    while (!text.empty()) {
      const ByteTrie::Match match = tokens_.Longest(text);
      if (match.value != ByteTrie::kNone) {
        ids->push_back(match.value);
        text.remove_prefix(match.length_bytes);
        continue;
      }
      if (vocabulary().unknown) ids->push_back(*vocabulary().unknown);
      text.remove_prefix(1);
    }
  }

  const ByteTrie tokens_;
};

}  // namespace

Result<std::unique_ptr<const Tokenizer>> MakeRwkvTokenizer(
    std::unique_ptr<const Vocabulary> vocabulary) {
  return std::make_unique<const RwkvTokenizer>(std::move(vocabulary));
}

}  // namespace puna::tokenizer
