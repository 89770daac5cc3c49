// A pre-tokenizer stage that is a regular expression, run by PCRE2's JIT: for the expressions that
// have no hand-written splitter, and as the slow twin of those that have one.
#ifndef PUNA_TOKENIZER_PATTERN_SPLITTER_H_
#define PUNA_TOKENIZER_PATTERN_SPLITTER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace puna::tokenizer {

// Immutable and thread safe after Compile.
class PatternSplitter {
 public:
  // `pattern` is PCRE2 syntax with UTF and UCP; \s and \S mean the property White_Space. kInternal
  // if it does not compile.
  static Result<PatternSplitter> Compile(std::string_view pattern);

  // Appends `base` + the end of each match and of each gap between matches. REQUIRES: well-formed
  // UTF-8. Should a match exceed PCRE2's limits, what is left of the text becomes one piece.
  void Split(std::string_view text, size_t base, std::vector<size_t>* ends) const;

 private:
  struct Deleter {
    void operator()(void* code) const;
  };
  explicit PatternSplitter(void* code) : code_(code) {}
  std::unique_ptr<void, Deleter> code_;  // pcre2_code
};

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_PATTERN_SPLITTER_H_
