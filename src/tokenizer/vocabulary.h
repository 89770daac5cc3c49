// The vocabulary: what the tokenizer.* keys of a file say (VocabularySource), and what all
// algorithms share (Vocabulary).
//
// Special tokens follow llama.cpp (src/llama-vocab.cpp): which ids exist by default, which
// well-known texts end a generation or are control tokens although the file does not mark them, and
// which tokens swallow white space around them.
#ifndef PUNA_TOKENIZER_VOCABULARY_H_
#define PUNA_TOKENIZER_VOCABULARY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/gguf.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/text_table.h"
#include "tokenizer/tokenizer.h"

namespace puna::tokenizer {

enum class Algorithm { kSentencePiece, kBytePairs, kWordPiece, kUnigram, kRwkv, kPlamo };

// The keys as they stand in a file, or made up by a test. Views need to live only until
// Tokenizer::New returns.
struct VocabularySource {
  Algorithm algorithm = Algorithm::kBytePairs;
  std::string pre;                       // tokenizer.ggml.pre
  std::vector<std::string_view> tokens;  // the index is the id
  std::vector<float> scores;             // empty, or one per token
  std::vector<int32_t> types;            // empty, or one per token: TokenKind by number
  std::vector<std::string_view> merges;  // "left right", best first
  std::vector<uint8_t> charsmap;         // tokenizer.ggml.precompiled_charsmap
  // Ids out of range count as absent.
  std::optional<int64_t> bos, eos, unknown, separator, end_of_turn, end_of_message;
  std::optional<int64_t> fim_prefix, fim_suffix, fim_middle, fim_padding, fim_repository,
      fim_separator;
  std::vector<int64_t> more_eos;    // tokenizer.ggml.eos_token_ids
  std::vector<int64_t> suppressed;  // tokenizer.ggml.suppress_tokens
  std::optional<bool> add_bos, add_eos, add_space_prefix, remove_extra_whitespaces;
  std::optional<bool> lowercase, strip_accents;
  std::string model_name;    // general.name
  std::string architecture;  // general.architecture
};

// kUnsupported: no vocabulary, or one of an unknown kind. kCorrupt: a key contradicts another or
// has the wrong type. The source points into the file.
Result<VocabularySource> ReadVocabularySource(const gguf::File& file);

// Immutable after New. Owns all texts.
struct Vocabulary {
  // kCorrupt if arrays disagree in length, or tokens are too many or too long (limits below).
  static Result<std::unique_ptr<const Vocabulary>> New(const VocabularySource& source);

  static constexpr size_t kMaxTokens = TextTable::kMaxNumber + 1;
  static constexpr size_t kMaxTokenBytes = 8192;
  static constexpr size_t kMaxTextBytes = size_t{32} << 20;  // of all tokens together

  enum Flag : uint8_t {
    kEndsGeneration = 1,
    kStripsLeft = 2,   // white space before the token belongs to it
    kStripsRight = 4,  // white space after the token belongs to it
    kVisible = 8,      // a control token whose text is output always (the channel marks of gpt-oss)
  };

  int64_t size() const { return static_cast<int64_t>(texts.size()); }
  bool Contains(int64_t id) const { return id >= 0 && id < size(); }
  bool IsSpecial(TokenId id) const {
    return kinds[static_cast<size_t>(id)] == TokenKind::kControl ||
           kinds[static_cast<size_t>(id)] == TokenKind::kUnknown;
  }
  // Whether plain text may become this token: everything but control, unknown and byte tokens.
  bool IsPlain(TokenId id) const {
    return !IsSpecial(id) && kinds[static_cast<size_t>(id)] != TokenKind::kByte;
  }

  Algorithm algorithm = Algorithm::kBytePairs;
  TextList texts;             // as in the file; an empty one is "[EMPTY_<id>]"
  TextList pieces;            // the bytes it stands for
  std::vector<float> scores;  // kSentencePiece, kUnigram, kPlamo: one per token; 0 if absent
  std::vector<TokenKind> kinds;
  std::vector<uint8_t> flags;
  TextTable by_text{&texts};                         // of equal texts the lowest id
  const PreTokenizerTraits* pretokenizer = nullptr;  // kBytePairs only
  std::optional<TokenId> bos, eos, unknown, separator;
  std::optional<TokenId> prefix, suffix;  // what EncodeOptions::add_special puts around a text
  std::vector<TokenId> suppressed;
  bool spells_bytes = false;        // kBytePairs: texts are written in the byte alphabet
  bool escapes_whitespace = false;  // kBytePairs: SentencePiece style
  bool add_space_prefix = false;
  bool remove_extra_whitespaces = false;
  bool lowercase = true;
  bool strip_accents = true;
  std::vector<uint8_t> charsmap;

  Vocabulary() = default;
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

 private:
  Status AddTokens(const VocabularySource& source);
  void MakePieces();
};

// Sets kinds and flags by key and by well-known text. `vocabulary` has its texts, kinds and
// by_text.
void MarkSpecialTokens(const VocabularySource& source, Vocabulary* vocabulary);

// "<0x0A>" is 10; nullopt for anything else.
std::optional<uint8_t> ParseByteToken(std::string_view text);
std::string ByteTokenText(uint8_t byte);

inline constexpr std::string_view kEscapedSpace = "\xE2\x96\x81";  // U+2581

// Every U+2581 becomes a space, or the reverse.
void AppendUnescapedSpaces(std::string_view text, std::string* out);
void AppendEscapedSpaces(std::string_view text, std::string* out);

// The bytes of a token of an RWKV vocabulary, which writes \t \n \r \xHH and backslash before any
// other character.
std::string UnescapeRwkvToken(std::string_view text);

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_VOCABULARY_H_
