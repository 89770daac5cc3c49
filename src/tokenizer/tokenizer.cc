#include "tokenizer/tokenizer.h"

#include "tokenizer/bpe.h"
#include "tokenizer/plamo.h"
#include "tokenizer/rwkv.h"
#include "tokenizer/special_token_matcher.h"
#include "tokenizer/spm.h"
#include "tokenizer/unigram.h"
#include "tokenizer/vocabulary.h"
#include "tokenizer/wordpiece.h"

namespace puna::tokenizer {
namespace {

std::unique_ptr<const SpecialTokenMatcher> MakeMatcher(const Vocabulary& vocabulary,
                                                       bool with_control) {
  std::vector<SpecialTokenMatcher::Entry> entries;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const auto i = static_cast<size_t>(id);
    const bool wanted = vocabulary.kinds[i] == TokenKind::kUserDefined ||
                        (with_control && vocabulary.IsSpecial(id));
    if (!wanted) continue;
    entries.push_back({vocabulary.texts[i], id,
                       (vocabulary.flags[i] & Vocabulary::kStripsLeft) != 0,
                       (vocabulary.flags[i] & Vocabulary::kStripsRight) != 0});
  }
  return std::make_unique<const SpecialTokenMatcher>(std::move(entries));
}

Result<std::shared_ptr<const Tokenizer>> Finish(Result<std::unique_ptr<const Tokenizer>> made) {
  if (!made) return tl::unexpected<Error>(std::move(made).error());
  return std::shared_ptr<const Tokenizer>(std::move(*made));
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Vocabulary> vocabulary)
    : vocabulary_(std::move(vocabulary)),
      user_defined_(MakeMatcher(*vocabulary_, false)),
      all_special_(MakeMatcher(*vocabulary_, true)) {}

Tokenizer::~Tokenizer() = default;

Result<std::shared_ptr<const Tokenizer>> Tokenizer::FromGguf(const gguf::File& file) {
  PUNA_ASSIGN_OR_RETURN(const VocabularySource source, ReadVocabularySource(file));
  return New(source);
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::New(const VocabularySource& source) {
  PUNA_ASSIGN_OR_RETURN(auto vocabulary, Vocabulary::New(source));
  switch (source.algorithm) {
    case Algorithm::kSentencePiece:
      return Finish(MakeSentencePieceTokenizer(std::move(vocabulary)));
    case Algorithm::kBytePairs:
      return Finish(MakeBytePairTokenizer(std::move(vocabulary), source.merges));
    case Algorithm::kWordPiece:
      return Finish(MakeWordPieceTokenizer(std::move(vocabulary)));
    case Algorithm::kUnigram:
      return Finish(MakeUnigramTokenizer(std::move(vocabulary)));
    case Algorithm::kRwkv:
      return Finish(MakeRwkvTokenizer(std::move(vocabulary)));
    case Algorithm::kPlamo:
      return Finish(MakePlamoTokenizer(std::move(vocabulary)));
  }
  return MakeError(ErrorCode::kInternal, "no such tokenizer algorithm");
}

void Tokenizer::Encode(std::string_view text, const EncodeOptions& options,
                       std::vector<TokenId>* ids) const {
  if (options.add_special && vocabulary_->prefix) ids->push_back(*vocabulary_->prefix);
  const SpecialTokenMatcher& matcher = options.parse_special ? *all_special_ : *user_defined_;
  if (matcher.empty()) {
    if (!text.empty()) EncodeText(text, true, ids);
  } else {
    std::vector<SpecialTokenMatcher::Part> parts;
    matcher.Partition(text, &parts);
    bool starts_text = true;
    for (const SpecialTokenMatcher::Part& part : parts) {
      if (part.id >= 0) {
        ids->push_back(part.id);
      } else {
        EncodeText(text.substr(part.begin, part.end - part.begin), starts_text, ids);
      }
      starts_text = part.id >= 0;
    }
  }
  if (options.add_special && vocabulary_->suffix) ids->push_back(*vocabulary_->suffix);
}

std::string_view Tokenizer::PieceOf(TokenId id, bool with_special) const {
  if (!vocabulary_->Contains(id)) return {};
  const auto i = static_cast<size_t>(id);
  if (!with_special && vocabulary_->IsSpecial(id) &&
      (vocabulary_->flags[i] & Vocabulary::kVisible) == 0)
    return {};
  return vocabulary_->pieces[i];
}

bool Tokenizer::drops_leading_space() const {
  return vocabulary_->add_space_prefix || vocabulary_->algorithm == Algorithm::kWordPiece;
}

int64_t Tokenizer::vocabulary_size() const { return vocabulary_->size(); }

TokenKind Tokenizer::KindOf(TokenId id) const {
  return vocabulary_->Contains(id) ? vocabulary_->kinds[static_cast<size_t>(id)]
                                   : TokenKind::kUnknown;
}

std::string_view Tokenizer::RawTextOf(TokenId id) const {
  return vocabulary_->Contains(id) ? vocabulary_->texts[static_cast<size_t>(id)]
                                   : std::string_view();
}

std::optional<TokenId> Tokenizer::FindToken(std::string_view raw_text) const {
  const int32_t id = vocabulary_->by_text.Find(raw_text);
  return id == TextTable::kAbsent ? std::nullopt : std::optional<TokenId>(id);
}

std::optional<TokenId> Tokenizer::bos() const { return vocabulary_->bos; }
std::optional<TokenId> Tokenizer::eos() const { return vocabulary_->eos; }
std::optional<TokenId> Tokenizer::prefix() const { return vocabulary_->prefix; }

bool Tokenizer::IsEndOfGeneration(TokenId id) const {
  return vocabulary_->Contains(id) &&
         (vocabulary_->flags[static_cast<size_t>(id)] & Vocabulary::kEndsGeneration) != 0;
}

const std::vector<TokenId>& Tokenizer::suppressed_tokens() const { return vocabulary_->suppressed; }

}  // namespace puna::tokenizer
