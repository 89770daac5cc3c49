// Any text through every algorithm, and any ids back: nothing may crash, text of a user never
// becomes a control token, and a stream of ids decodes to the same text however it is cut, a whole
// character at a time.
//
// Input: a byte that chooses the vocabulary, a byte of options, then text (which also serves as
// ids).
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "tokenizer/small_vocabulary.h"

namespace puna::tokenizer {
namespace {

const std::vector<std::shared_ptr<const Tokenizer>>& Tokenizers() {
  static const auto* const kTokenizers = [] {
    auto* all = new std::vector<std::shared_ptr<const Tokenizer>>;
    uint64_t seed = 0;
    for (const char* pre : {"llama-bpe", "gpt-2", "qwen2", "gpt-4o", "deepseek-llm", "deepseek-v3",
                            "falcon", "kimi-k2", "default", "exaone-moe", "chameleon", "gemma4"}) {
      all->push_back(testing::SmallBytePairs(seed++, pre).Make());
    }
    all->push_back(testing::SmallSentencePiece(1).Make());
    all->push_back(testing::SmallSentencePiece(2, true).Make());
    all->push_back(testing::SmallWordPiece().Make());
    all->push_back(testing::SmallUnigram().Make());
    all->push_back(testing::SmallRwkv().Make());
    all->push_back(testing::SmallPlamo(1).Make());
    return all;
  }();
  return *kTokenizers;
}

std::string Stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, bool with_special) {
  StreamDecoder decoder(tokenizer, /*continues_text=*/false, with_special);
  std::string text;
  for (const TokenId id : ids) {
    const std::string piece = decoder.Push(id);
    CHECK(IsValidUtf8(piece)) << "half a character";
    text += piece;
  }
  const std::string rest = decoder.Finish();
  CHECK(IsValidUtf8(rest)) << "half a character";
  return text + rest;
}

}  // namespace
}  // namespace puna::tokenizer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace puna;
  using namespace puna::tokenizer;
  if (size < 2) return 0;
  const Tokenizer& tokenizer = *Tokenizers()[data[0] % Tokenizers().size()];
  const EncodeOptions options = {.parse_special = (data[1] & 1) != 0,
                                 .add_special = (data[1] & 2) != 0};
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);

  std::vector<TokenId> ids;
  tokenizer.Encode(text, options, &ids);
  for (const TokenId id : ids) {
    CHECK(id >= 0 && id < tokenizer.vocabulary_size()) << "id " << id;
    CHECK(options.parse_special || options.add_special ||
          tokenizer.KindOf(id) != TokenKind::kControl)
        << "id " << id;
  }
  CHECK(Stream(tokenizer, ids, false) == tokenizer.Decode(ids)) << "stream and whole differ";

  ids.clear();
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    int16_t id;
    std::memcpy(&id, text.data() + i, 2);
    ids.push_back((data[1] & 4) != 0 ? id : static_cast<TokenId>(static_cast<uint8_t>(text[i])));
  }
  const bool with_special = (data[1] & 8) != 0;
  CHECK(Stream(tokenizer, ids, with_special) == tokenizer.Decode(ids, with_special))
      << "stream and whole differ";
  return 0;
}
