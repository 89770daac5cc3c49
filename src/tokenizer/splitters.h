// Hand-written pre-tokenizer stages: each does what one regular expression does, several times to a
// hundred times faster.
//
// A stage cuts a text into pieces: the matches of its expression, leftmost first, and the gaps
// between them. The expression beside each function is its definition, and the tests compare the
// two on random text. REQUIRES: `text` is well-formed UTF-8. All of them take linear time whatever
// the text. Thread safe.
#ifndef PUNA_TOKENIZER_SPLITTERS_H_
#define PUNA_TOKENIZER_SPLITTERS_H_

#include <cstddef>
#include <string_view>
#include <vector>

namespace puna::tokenizer {

// Appends `base` + the end offset of each piece of `text` (none is empty; the last is `base` +
// text.size()).
using SplitFunction = void (*)(std::string_view text, size_t base, std::vector<size_t>* ends);

// One stage: its expression (PCRE2 with UTF and UCP, where \s is the property White_Space) and, if
// there is one, the hand-written function that does the same.
struct SplitStage {
  const char* pattern = nullptr;
  SplitFunction function = nullptr;
};

// Whole pre-tokenizers.
extern const SplitStage kGpt2Stage;
extern const SplitStage kLlama3Stage;
extern const SplitStage kQwen2Stage;
extern const SplitStage kQwen35Stage;
extern const SplitStage kBailingStage;
extern const SplitStage kSeedCoderStage;
extern const SplitStage kUfakzekaStage;
extern const SplitStage kUnlimitedDigitsStage;  // llama3 with \p{N}+
extern const SplitStage kO200kStage;
extern const SplitStage kTekkenStage;
extern const SplitStage kKimiStage;
extern const SplitStage kDeepseek3Stage;  // the last of DeepSeek-V3's three

// Parts of pre-tokenizers that have several stages.
extern const SplitStage kEachNumberStage;         // \p{N}
extern const SplitStage kThreeNumbersStage;       // \p{N}{1,3}
extern const SplitStage kNumberRunStage;          // \p{N}+
extern const SplitStage kThreeDigitsStage;        // [0-9][0-9][0-9]
extern const SplitStage kEachNewlineStage;        // [\r\n]
extern const SplitStage kLinesStage;              // [^\n]+|\n+
extern const SplitStage kFalconPunctuationStage;  // [\p{P}$+<=>^~|`]+
extern const SplitStage
    kDigitsFromRightStage;  // numbers in groups of three, counted from the right
extern const SplitStage
    kDigitsFromRightAtBoundaryStage;  // the same, only where the number ends at a word boundary

}  // namespace puna::tokenizer

#endif  // PUNA_TOKENIZER_SPLITTERS_H_
