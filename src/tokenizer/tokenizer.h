// Text to token ids and back, from the tokenizer.* keys of a GGUF file.
//
// Five algorithms stand behind one class: SentencePiece BPE ("llama"), byte-level BPE ("gpt2") with
// the pre-tokenizer that tokenizer.ggml.pre names, WordPiece ("bert"), Unigram ("t5") and RWKV's
// trie ("rwkv"). The results are those of llama.cpp, which is what model files are tested with.
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
  // and by algorithm).
  bool add_special = false;
};

// Immutable and thread safe after construction. Holds no reference to the file.
class Tokenizer {
 public:
  // A file without a vocabulary (tokenizer.ggml.model absent or "no_vocab") is kUnsupported: such a
  // model runs on ids only.
  static Result<std::shared_ptr<const Tokenizer>> FromGguf(const gguf::File& file);
  virtual ~Tokenizer() = default;

  // Appends the ids of `text` to `ids`. Any bytes are allowed; malformed UTF-8 is encoded as
  // llama.cpp does. Time is linear in the text up to a logarithm, whatever the text.
  virtual void Encode(std::string_view text, const EncodeOptions& options,
                      std::vector<TokenId>* ids) const = 0;

  // The bytes that `id` stands for, as they appear in the text: U+2581 is a space, byte tokens are
  // their byte, and the GPT-2 byte alphabet is undone. Control tokens are "" unless `with_special`.
  // An id out of range is "".
  virtual std::string_view PieceOf(TokenId id, bool with_special = false) const = 0;

  // Whether a space that leads the whole text was added by the tokenizer and is to be dropped when
  // decoding.
  virtual bool drops_leading_space() const = 0;

  int64_t vocabulary_size() const;
  TokenKind KindOf(TokenId id) const;            // kUnknown out of range
  std::string_view RawTextOf(TokenId id) const;  // as written in the file
  std::optional<TokenId> FindToken(std::string_view raw_text) const;
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  // Does this token end a generation? EOS, end of turn, end of message and their kin, by key and by
  // well-known text.
  bool IsEndOfGeneration(TokenId id) const;

  // The whole text of `ids`, by the same rules as StreamDecoder, with malformed bytes replaced by
  // U+FFFD.
  std::string Decode(const std::vector<TokenId>& ids, bool with_special = false) const;
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
  // What is left at the end of the stream: an unfinished character becomes U+FFFD.
  std::string Finish();

 private:
  const Tokenizer& tokenizer_;
  bool at_start_;
  bool with_special_;
  std::string pending_;  // at most 3 bytes of an unfinished character
};

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_TOKENIZER_H_
