// Pre-tokenizers: how a byte-level vocabulary cuts text into words before merges are applied inside
// each word.
//
// A pre-tokenizer is a list of stages; each cuts the pieces of the one before. tokenizer.ggml.pre
// names it. The table in pretokenizer_table.cc holds every name and every expression.
#ifndef PUNA_TOKENIZER_PRETOKENIZER_H_
#define PUNA_TOKENIZER_PRETOKENIZER_H_

#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/pattern_splitter.h"
#include "tokenizer/splitters.h"

namespace puna::tokenizer {

// What a name in tokenizer.ggml.pre says beyond the cutting.
struct PreTokenizerRules {
  bool ignore_merges = false;       // a word that is a token is that token, whatever the merges say
  bool adds_bos = false;            // unless tokenizer.ggml.add_bos_token says otherwise
  bool forces_bos = false;          // whatever tokenizer.ggml.add_bos_token says
  bool whole_newlines = false;      // as ignore_merges, for words of line breaks only
  bool spells_bytes = true;         // tokens and merges are written in the byte alphabet
  bool escapes_whitespace = false;  // SentencePiece style: spaces are U+2581
  // White space only parts words, and letters are lowered if tokenizer.ggml.normalizer.lowercase
  // says so.
  bool only_words = false;
};

struct PreTokenizerTraits {
  std::string_view name;
  std::span<const SplitStage> stages;
  PreTokenizerRules rules;
};

// Every known name, sorted by name.
std::span<const PreTokenizerTraits> KnownPreTokenizers();

// Null if the name is not known.
const PreTokenizerTraits* FindPreTokenizer(std::string_view name);

// What files without a usable name get.
const PreTokenizerTraits& DefaultPreTokenizer();

// Immutable and thread safe after New.
class PreTokenizer {
 public:
  // `use_functions` false: only the expressions; for tests.
  static Result<PreTokenizer> New(std::span<const SplitStage> stages, bool use_functions = true);

  // Appends the end offset of each word. REQUIRES: well-formed UTF-8.
  void Split(std::string_view text, std::vector<size_t>* ends) const;

 private:
  struct Stage {
    SplitFunction function = nullptr;  // or, if null,
    std::shared_ptr<const PatternSplitter> pattern;
  };
  static void RunStage(const Stage& stage, std::string_view text, size_t base,
                       std::vector<size_t>* ends);
  std::vector<Stage> stages_;
};

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_PRETOKENIZER_H_
