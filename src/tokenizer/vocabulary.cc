#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "tokenizer/byte_alphabet.h"

namespace puna::tokenizer {
namespace {

constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";

// Flags and defaults that depend on the algorithm; the file may override the first four.
struct AlgorithmTraits {
  bool add_bos, add_eos, add_space_prefix;
  int64_t bos, eos, unknown, separator;  // -1: none
};

AlgorithmTraits TraitsOf(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kSentencePiece:
      return {true, false, true, 1, 2, 0, -1};
    case Algorithm::kBytePairs:
      return {false, false, false, 11, 11, -1, -1};
    case Algorithm::kWordPiece:
      return {true, true, false, 101, -1, 100, 102};
    case Algorithm::kUnigram:
      return {false, true, false, -1, 1, 2, -1};
    case Algorithm::kPlamo:
      return {false, false, false, 1, 2, 0, -1};
    case Algorithm::kRwkv:
      break;
  }
  return {false, false, false, -1, -1, -1, -1};
}

TokenKind KindOfType(int32_t type) {
  return type >= 1 && type <= 6 ? static_cast<TokenKind>(type) : TokenKind::kUnused;
}

std::optional<TokenId> Pick(const Vocabulary& vocabulary, std::string_view name,
                            std::optional<int64_t> given, int64_t fallback) {
  if (given && vocabulary.Contains(*given)) return static_cast<TokenId>(*given);
  if (given) {
    LogWarning("tokenizer.ggml.{}_token_id is {}, the vocabulary has {} tokens: ignored", name,
               *given, vocabulary.size());
  }
  if (!vocabulary.Contains(fallback)) return std::nullopt;
  // Byte-pair files without ids mean Falcon, where 11 is <|endoftext|>; elsewhere token 11 is an
  // ordinary one.
  if (vocabulary.algorithm == Algorithm::kBytePairs &&
      vocabulary.kinds[static_cast<size_t>(fallback)] != TokenKind::kControl) {
    return std::nullopt;
  }
  return static_cast<TokenId>(fallback);
}

void ReplaceAll(std::string_view text, std::string_view from, std::string_view to,
                std::string* out) {
  size_t begin = 0;
  for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, begin)) {
    out->append(text.substr(begin, at - begin));
    out->append(to);
    begin = at + from.size();
  }
  out->append(text.substr(begin));
}

void SetPrefixAndSuffix(const VocabularySource& source, const AlgorithmTraits& traits,
                        Vocabulary* vocabulary) {
  if (vocabulary->algorithm == Algorithm::kRwkv) return;
  bool add_bos = traits.add_bos;
  if (vocabulary->pretokenizer != nullptr) add_bos = vocabulary->pretokenizer->rules.adds_bos;
  add_bos = source.add_bos.value_or(add_bos);
  if (vocabulary->pretokenizer != nullptr && vocabulary->pretokenizer->rules.forces_bos)
    add_bos = true;
  if (vocabulary->algorithm == Algorithm::kWordPiece) {
    vocabulary->prefix = vocabulary->bos;
    vocabulary->suffix = vocabulary->separator;
    return;
  }
  if (add_bos) vocabulary->prefix = vocabulary->bos;
  if (source.add_eos.value_or(traits.add_eos)) vocabulary->suffix = vocabulary->eos;
}

}  // namespace

std::optional<uint8_t> ParseByteToken(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  int value = 0;
  for (const char digit : text.substr(3, 2)) {
    value *= 16;
    if (digit >= '0' && digit <= '9') {
      value += digit - '0';
    } else if (digit >= 'A' && digit <= 'F') {
      value += digit - 'A' + 10;
    } else if (digit >= 'a' && digit <= 'f') {
      value += digit - 'a' + 10;
    } else {
      return std::nullopt;
    }
  }
  return static_cast<uint8_t>(value);
}

std::string ByteTokenText(uint8_t byte) { return fmt::format("<0x{:02X}>", byte); }

void AppendUnescapedSpaces(std::string_view text, std::string* out) {
  ReplaceAll(text, kEscapedSpace, " ", out);
}
void AppendEscapedSpaces(std::string_view text, std::string* out) {
  ReplaceAll(text, " ", kEscapedSpace, out);
}

std::string UnescapeRwkvToken(std::string_view text) {
  const auto hex = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 0;
  };
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      bytes += text[i];
      continue;
    }
    const char escaped = text[++i];
    if (escaped == 'x' && i + 2 < text.size()) {
      bytes += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      bytes += escaped == 't' ? '\t' : escaped == 'n' ? '\n' : escaped == 'r' ? '\r' : escaped;
    }
  }
  return bytes;
}

Status Vocabulary::AddTokens(const VocabularySource& source) {
  const size_t count = source.tokens.size();
  if (count == 0) return MakeError(ErrorCode::kCorrupt, "{} is empty", kTokensKey);
  if (count > kMaxTokens) {
    return MakeError(ErrorCode::kCorrupt, "{} has {} elements, the limit is {}", kTokensKey, count,
                     kMaxTokens);
  }
  if (!source.scores.empty() && source.scores.size() < count) {
    return MakeError(ErrorCode::kCorrupt, "tokenizer.ggml.scores has {} elements, {} has {}",
                     source.scores.size(), kTokensKey, count);
  }
  if (!source.types.empty() && source.types.size() < count) {
    return MakeError(ErrorCode::kCorrupt, "tokenizer.ggml.token_type has {} elements, {} has {}",
                     source.types.size(), kTokensKey, count);
  }
  size_t text_bytes = 0;
  for (size_t id = 0; id < count; ++id) {
    const size_t size = source.tokens[id].size();
    if (size > kMaxTokenBytes) {
      return MakeError(ErrorCode::kCorrupt, "{}[{}] has {} bytes, the limit is {}", kTokensKey, id,
                       size, kMaxTokenBytes);
    }
    text_bytes += size == 0 ? 20 : size;
  }
  if (text_bytes > kMaxTextBytes) {
    return MakeError(ErrorCode::kCorrupt, "{} has {} bytes of text, the limit is {}", kTokensKey,
                     text_bytes, kMaxTextBytes);
  }
  texts.Reserve(count, text_bytes);
  kinds.reserve(count);
  by_text.Reserve(count);
  size_t duplicates = 0;
  for (size_t id = 0; id < count; ++id) {
    if (source.tokens[id].empty()) {
      texts.Append(fmt::format("[EMPTY_{}]", id));
    } else {
      texts.Append(source.tokens[id]);
    }
    kinds.push_back(source.types.empty() ? TokenKind::kNormal : KindOfType(source.types[id]));
    if (!by_text.Insert(id)) ++duplicates;
  }
  texts.ShrinkToFit();  // empty ones were counted with the longest number
  if (duplicates > 0)
    LogWarning("{} has {} duplicates: the lowest id of each is used", kTokensKey, duplicates);
  if (algorithm == Algorithm::kSentencePiece || algorithm == Algorithm::kUnigram ||
      algorithm == Algorithm::kPlamo) {
    scores.assign(source.scores.begin(),
                  source.scores.begin() + std::min(source.scores.size(), count));
    scores.resize(count, 0.0f);
  }
  for (float& score : scores) {
    if (!(score > -1e30f && score < 1e30f)) score = -1e30f;  // not a number or infinite
  }
  flags.assign(count, 0);
  return {};
}

void Vocabulary::MakePieces() {
  pieces.Reserve(texts.size(), texts.bytes());
  std::string piece;
  for (size_t id = 0; id < texts.size(); ++id) {
    const std::string_view text = texts[id];
    const TokenKind kind = kinds[id];
    piece.clear();
    bool own = true;
    if (algorithm == Algorithm::kRwkv) {
      piece = UnescapeRwkvToken(text);
    } else if (kind == TokenKind::kByte && ParseByteToken(text)) {
      piece = static_cast<char>(*ParseByteToken(text));
    } else if (kind != TokenKind::kNormal && kind != TokenKind::kUnused &&
               kind != TokenKind::kByte) {
      own = false;
    } else if (algorithm == Algorithm::kBytePairs && spells_bytes) {
      own = AppendSpelledBytes(text, &piece);
    } else if (algorithm == Algorithm::kPlamo ||
               (algorithm == Algorithm::kBytePairs && !escapes_whitespace)) {
      own = false;  // spaces are spaces
    } else {
      AppendUnescapedSpaces(text, &piece);
    }
    pieces.Append(own ? piece : text);
  }
  pieces.ShrinkToFit();
}

Result<std::unique_ptr<const Vocabulary>> Vocabulary::New(const VocabularySource& source) {
  auto vocabulary = std::make_unique<Vocabulary>();
  vocabulary->algorithm = source.algorithm;
  PUNA_RETURN_IF_ERROR(vocabulary->AddTokens(source));
  if (source.algorithm == Algorithm::kBytePairs) {
    vocabulary->pretokenizer = FindPreTokenizer(source.pre);
    if (vocabulary->pretokenizer == nullptr) {
      LogWarning("tokenizer.ggml.pre '{}' is not known: 'default' is used, and answers may be poor",
                 source.pre.substr(0, 64));
      vocabulary->pretokenizer = &DefaultPreTokenizer();
    }
    vocabulary->spells_bytes = vocabulary->pretokenizer->rules.spells_bytes;
    vocabulary->escapes_whitespace = vocabulary->pretokenizer->rules.escapes_whitespace;
  }
  const AlgorithmTraits traits = TraitsOf(source.algorithm);
  vocabulary->add_space_prefix = source.add_space_prefix.value_or(traits.add_space_prefix);
  vocabulary->remove_extra_whitespaces = source.remove_extra_whitespaces.value_or(false);
  vocabulary->lowercase = source.lowercase.value_or(source.algorithm != Algorithm::kBytePairs);
  vocabulary->strip_accents = source.strip_accents.value_or(vocabulary->lowercase);
  vocabulary->charsmap = source.charsmap;

  vocabulary->bos = Pick(*vocabulary, "bos", source.bos, traits.bos);
  vocabulary->eos = Pick(*vocabulary, "eos", source.eos, traits.eos);
  vocabulary->unknown = Pick(*vocabulary, "unknown", source.unknown, traits.unknown);
  vocabulary->separator = Pick(*vocabulary, "seperator", source.separator, traits.separator);
  for (const int64_t id : source.suppressed) {
    if (vocabulary->Contains(id)) vocabulary->suppressed.push_back(static_cast<TokenId>(id));
  }
  MarkSpecialTokens(source, vocabulary.get());
  SetPrefixAndSuffix(source, traits, vocabulary.get());
  vocabulary->MakePieces();
  return vocabulary;
}

}  // namespace puna::tokenizer
