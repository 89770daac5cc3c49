// Text to token ids and back, from the tokenizer.* keys of a GGUF file.
//
// Six algorithms stand behind one class: SentencePiece BPE ("llama"), byte-level BPE ("gpt2") with
// the pre-tokenizer that tokenizer.ggml.pre names, WordPiece ("bert"), Unigram ("t5"), RWKV's trie
// ("rwkv") and PLaMo's unigram model ("plamo2"). The results are those of llama.cpp, which is what
// model files are tested with, except where it departs from what models were trained with
// (pretokenizer_table.cc, wordpiece.cc and special_tokens.cc say where).
#ifndef PUNA_TOKENIZER_TOKENIZER_H_
#define PUNA_TOKENIZER_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/gguf.h"

namespace puna::tokenizer {

using TokenId = int32_t;

// tokenizer.ggml.token_type
enum class TokenKind : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct EncodeOptions {
  // Whether text such as "<|im_end|>" becomes that control token. Only for text that puna or a
  // template wrote; text from a user is encoded with false, so it never becomes a control token.
  // User-defined tokens are always recognized.
  bool parse_special = false;
  // Whether to put BOS before and EOS after (where the file says so: add_bos_token, add_eos_token,
  // and by algorithm; WordPiece: always [CLS] and [SEP]).
  bool add_special = false;
};

struct Vocabulary;        // vocabulary.h
struct VocabularySource;  // vocabulary.h
class SpecialTokenMatcher;

// Immutable and thread safe after construction. Holds no reference to the file.
class Tokenizer {
 public:
  // A file without a vocabulary (tokenizer.ggml.model absent or "no_vocab") is kUnsupported: such a
  // model runs on ids only. kCorrupt names the key that is wrong.
  static Result<std::shared_ptr<const Tokenizer>> FromGguf(const gguf::File& file);
  // The same from keys that are already read, or made up by a test.
  static Result<std::shared_ptr<const Tokenizer>> New(const VocabularySource& source);
  virtual ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Appends the ids of `text` to `ids`. Any bytes are allowed. SentencePiece and RWKV keep
  // malformed UTF-8 byte for byte; for the others each malformed byte is U+FFFD. Time is linear in
  // the text up to a logarithm, whatever the text.
  void Encode(std::string_view text, const EncodeOptions& options, std::vector<TokenId>* ids) const;

  // The bytes that `id` stands for, as they appear in the text: U+2581 is a space, byte tokens are
  // their byte, and the GPT-2 byte alphabet is undone. Control and unknown tokens are "" unless
  // `with_special`, but for a few whose text belongs to the output format of their model. An id out
  // of range is "".
  std::string_view PieceOf(TokenId id, bool with_special = false) const;

  // Whether a space that leads the whole text was added by the tokenizer and is to be dropped when
  // decoding.
  bool drops_leading_space() const;

  int64_t vocabulary_size() const;
  TokenKind KindOf(TokenId id) const;            // kUnknown out of range
  std::string_view RawTextOf(TokenId id) const;  // as written in the file; "" out of range
  std::optional<TokenId> FindToken(std::string_view raw_text) const;
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  // What Encode puts before a text with add_special (BOS or [CLS]), if anything.
  std::optional<TokenId> prefix() const;
  // Does this token end a generation? EOS, end of turn, end of message and their kin, by key and by
  // well-known text.
  bool IsEndOfGeneration(TokenId id) const;
  // Tokens that the file says are never to be sampled (tokenizer.ggml.suppress_tokens).
  const std::vector<TokenId>& suppressed_tokens() const;

  // The whole text of `ids`, by the same rules as StreamDecoder, with malformed bytes replaced by
  // U+FFFD.
  std::string Decode(const std::vector<TokenId>& ids, bool with_special = false) const;

 protected:
  explicit Tokenizer(std::unique_ptr<const Vocabulary> vocabulary);
  const Vocabulary& vocabulary() const { return *vocabulary_; }

 private:
  // Encodes a stretch without special tokens. `starts_text`: nothing or a special token is before
  // it.
  virtual void EncodeText(std::string_view text, bool starts_text,
                          std::vector<TokenId>* ids) const = 0;

  std::unique_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const SpecialTokenMatcher> user_defined_;  // what any text may contain
  std::unique_ptr<const SpecialTokenMatcher>
      all_special_;  // what text with parse_special may contain
};

// Turns a stream of ids into text without ever emitting part of a character. Not thread safe; one
// per sequence.
class StreamDecoder {
 public:
  // REQUIRES: the tokenizer outlives the decoder. `continues_text`: the ids follow other text (a
  // prompt), so that a leading space is kept.
  StreamDecoder(const Tokenizer& tokenizer, bool continues_text, bool with_special = false);

  // The text that became complete with this id; it may be empty. A malformed byte becomes U+FFFD as
  // soon as it is known to be malformed.
  std::string Push(TokenId id);
  // What is left at the end of the stream: each byte of an unfinished character becomes U+FFFD.
  std::string Finish();

 private:
  const Tokenizer& tokenizer_;
  bool at_start_;
  bool with_special_;
  std::string pending_;  // at most 3 bytes of an unfinished character
};

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_TOKENIZER_H_
