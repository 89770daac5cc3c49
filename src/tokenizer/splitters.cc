// Two families cover nearly every published byte-level vocabulary.
//
// GPT-2: an optional space, then letters, numbers or other characters.
// Llama 3, Qwen and kin: an optional non-letter of any kind before letters, numbers in groups, line
// breaks kept together; they differ in a few parameters, which are template arguments so that the
// inner loops stay tight.
//
// The alternatives of an expression are tried in their order, and each is matched greedily; where
// an expression would have to step back (white space before a word, upper case before lower case),
// the position it would end at is computed directly, so nothing is scanned twice more than a
// constant number of times.
#include "tokenizer/splitters.h"

#include "tokenizer/splitter_cursor.h"

namespace puna::tokenizer {
namespace {

enum class Tail {
  kNone,
  kNewlines,
  kNewlinesAndSlash
};  // what may follow other characters: "", [\r\n]*, [\r\n/]*

const char* SkipTail(const Cursor& text, const char* p, Tail tail) {
  if (tail == Tail::kNone) return p;
  while (p < text.end() &&
         (*p == '\r' || *p == '\n' || (tail == Tail::kNewlinesAndSlash && *p == '/')))
    ++p;
  return p;
}

// " ?[^excluded]+tail"; p if it does not match. REQUIRES: a space is excluded.
const char* SkipOther(const Cursor& text, const char* p, ClassMask excluded, Tail tail) {
  const char* start = p < text.end() && *p == ' ' ? p + 1 : p;
  const char* q = text.SkipUntil(start, excluded);
  return q > start ? SkipTail(text, q, tail) : p;
}

void SplitGpt2(std::string_view input, size_t base, std::vector<size_t>* ends) {
  const Cursor text(input);
  constexpr ClassMask kWordNumberSpace = kLetter | kNumber | kSpace;
  for (const char* p = text.begin(); p < text.end();) {
    const char* q = p;
    if (*p == '\'') q = text.SkipContraction(p, false);
    if (q == p) {
      const char* start = *p == ' ' ? p + 1 : p;
      const ClassedCharacter first = text.At(start);
      if ((first.classes & (kLetter | kNumber)) != 0) {
        q = text.Skip(start, first.classes & (kLetter | kNumber));
      } else if (first.length_bytes != 0 && (first.classes & kSpace) == 0) {
        q = text.SkipUntil(start, kWordNumberSpace);
      } else {
        q = text.SkipWhiteSpace(p, false);
      }
    }
    p = q;
    ends->push_back(base + static_cast<size_t>(p - text.begin()));
  }
}

struct WordStyle {
  bool contractions = true;
  int max_numbers = 1;       // 0: no limit
  ClassMask word = kLetter;  // what words are made of
  Tail tail = Tail::kNewlines;
};

// (?:'[sS]|'[tT]|...)|[^\r\n\p{L}\p{N}]?WORD+|\p{N}{1,max}| ?[^\s WORD
// \p{N}]+TAIL|\s*[\r\n]+|\s+(?!\S)|\s+
template <WordStyle style>
void SplitWords(std::string_view input, size_t base, std::vector<size_t>* ends) {
  const Cursor text(input);
  const auto next = [&](const char* p) -> const char* {
    if (style.contractions && *p == '\'') {
      if (const char* q = text.SkipContraction(p, true); q != p) return q;
    }
    const ClassedCharacter first = text.At(p);
    if ((first.classes & kLetter) != 0) return text.Skip(p + first.length_bytes, style.word);
    if ((first.classes & kNumber) != 0) {
      return style.max_numbers == 0 ? text.Skip(p, kNumber)
                                    : text.SkipAtMost(p, kNumber, style.max_numbers);
    }
    if ((first.classes & kNewline) == 0) {
      const char* start = p + first.length_bytes;
      if (const char* q = text.Skip(start, style.word); q != start) return q;
      if ((first.classes & style.word) != 0) return start;
    }
    if (const char* q = SkipOther(text, p, kSpace | kNumber | style.word, style.tail); q != p)
      return q;
    return text.SkipWhiteSpace(p, true);
  };
  for (const char* p = text.begin(); p < text.end();) {
    p = next(p);
    ends->push_back(base + static_cast<size_t>(p - text.begin()));
  }
}

struct CaseStyle {
  bool contractions = true;
  int max_numbers = 3;
  Tail tail = Tail::kNewlinesAndSlash;
  bool separate_han = false;
};

// What [UPPER]*[LOWER]+ (first) and [UPPER]+[LOWER]* (second) match at one place, where UPPER and
// LOWER share the letters without case and the marks. The first may have to give back upper-case
// letters: then it ends after the last character of the upper run that is in both.
struct CasedWord {
  const char* lower_end = nullptr;  // null: no match
  const char* upper_end = nullptr;
};

template <CaseStyle style>
CasedWord MatchCasedWord(const Cursor& text, const char* start) {
  const auto has = [&](ClassedCharacter c, ClassMask mask) {
    return (c.classes & mask) != 0 && !(style.separate_han && (c.classes & kHan) != 0);
  };
  const char* p = start;
  const char* after_last_caseless = nullptr;
  ClassedCharacter c = text.At(p);
  for (; has(c, kUpperOrNone); c = text.At(p)) {
    p += c.length_bytes;
    if ((c.classes & kLowerOrNone) != 0) after_last_caseless = p;
  }
  const char* upper_end = p;
  for (; has(c, kLowerOrNone); c = text.At(p)) p += c.length_bytes;
  CasedWord word;
  word.lower_end = p > upper_end ? p : after_last_caseless;
  word.upper_end = upper_end > start ? p : nullptr;
  return word;
}

// o200k and its relatives: words are cut where lower case turns into upper case, and contractions
// stay with their word.
template <CaseStyle style>
void SplitCasedWords(std::string_view input, size_t base, std::vector<size_t>* ends) {
  const Cursor text(input);
  const auto word_at = [&](const char* p, ClassedCharacter first) -> const char* {
    const bool may_lead = (first.classes & (kNewline | kLetter | kNumber)) == 0;
    const CasedWord led =
        may_lead ? MatchCasedWord<style>(text, p + first.length_bytes) : CasedWord{};
    if (led.lower_end != nullptr) return led.lower_end;
    const CasedWord plain = MatchCasedWord<style>(text, p);
    if (plain.lower_end != nullptr) return plain.lower_end;
    return led.upper_end != nullptr ? led.upper_end : plain.upper_end;
  };
  const auto next = [&](const char* p) -> const char* {
    const ClassedCharacter first = text.At(p);
    if (style.separate_han && (first.classes & kHan) != 0) return text.Skip(p, kHan);
    if (const char* q = word_at(p, first); q != nullptr) {
      return style.contractions ? text.SkipContraction(q, true) : q;
    }
    if ((first.classes & kNumber) != 0) return text.SkipAtMost(p, kNumber, style.max_numbers);
    if (const char* q = SkipOther(text, p, kSpace | kLetter | kNumber, style.tail); q != p)
      return q;
    return text.SkipWhiteSpace(p, true);
  };
  for (const char* p = text.begin(); p < text.end();) {
    p = next(p);
    ends->push_back(base + static_cast<size_t>(p - text.begin()));
  }
}

// DeepSeek-V3. Unlike the others this expression does not match everything (numbers, control
// characters): what it leaves is one gap up to the next match.
void SplitDeepseek3(std::string_view input, size_t base, std::vector<size_t>* ends) {
  const Cursor text(input);
  constexpr ClassMask kWord = kLetter | kMark;
  constexpr ClassMask kOther = kPunctuation | kSymbol;
  const auto next = [&](const char* p) -> const char* {  // null: no match here
    const ClassedCharacter first = text.At(p);
    const char* start = p + first.length_bytes;
    if (static_cast<uint8_t>(*p) < 0x80 && (first.classes & kOther) != 0) {
      if (const char* q = text.Skip(start, kAsciiLetter); q != start) return q;
    }
    if ((first.classes & kLetter) != 0) return text.Skip(p, kWord);
    if ((first.classes & (kNewline | kOther)) == 0) {
      if (const char* q = text.Skip(start, kWord); q != start) return q;
      if ((first.classes & kMark) != 0) return start;
    }
    const char* punctuation = *p == ' ' ? start : p;
    if (const char* q = text.Skip(punctuation, kOther); q != punctuation)
      return SkipTail(text, q, Tail::kNewlines);
    const char* q = text.SkipWhiteSpace(p, true);
    return q == p ? nullptr : q;
  };
  const char* gap = text.begin();
  for (const char* p = gap; p < text.end();) {
    const char* q = next(p);
    if (q == nullptr) {
      p += text.At(p).length_bytes;
      continue;
    }
    if (gap < p) ends->push_back(base + static_cast<size_t>(p - text.begin()));
    p = gap = q;
    ends->push_back(base + static_cast<size_t>(p - text.begin()));
  }
  if (gap < text.end()) ends->push_back(base + input.size());
}

// Isolates what `find_end` matches: it returns the end of a match at p, or p. What lies between
// matches is one piece.
template <typename FindEnd>
void Isolate(std::string_view input, size_t base, std::vector<size_t>* ends, FindEnd find_end) {
  const Cursor text(input);
  const char* gap = text.begin();
  for (const char* p = gap; p < text.end();) {
    const char* q = find_end(text, p);
    if (q == p) {
      p += text.At(p).length_bytes;
      continue;
    }
    if (gap < p) ends->push_back(base + static_cast<size_t>(p - text.begin()));
    p = gap = q;
    ends->push_back(base + static_cast<size_t>(p - text.begin()));
  }
  if (gap < text.end()) ends->push_back(base + input.size());
}

void SplitEachNumber(std::string_view input, size_t base, std::vector<size_t>* ends) {
  Isolate(input, base, ends,
          [](const Cursor& text, const char* p) { return text.SkipAtMost(p, kNumber, 1); });
}
void SplitThreeNumbers(std::string_view input, size_t base, std::vector<size_t>* ends) {
  Isolate(input, base, ends,
          [](const Cursor& text, const char* p) { return text.SkipAtMost(p, kNumber, 3); });
}
void SplitNumberRuns(std::string_view input, size_t base, std::vector<size_t>* ends) {
  Isolate(input, base, ends,
          [](const Cursor& text, const char* p) { return text.Skip(p, kNumber); });
}
void SplitThreeDigits(std::string_view input, size_t base, std::vector<size_t>* ends) {
  Isolate(input, base, ends, [](const Cursor& text, const char* p) {
    const char* q = text.SkipAtMost(p, kAsciiDigit, 3);
    return q - p == 3 ? q : p;
  });
}
void SplitEachNewline(std::string_view input, size_t base, std::vector<size_t>* ends) {
  Isolate(input, base, ends,
          [](const Cursor& text, const char* p) { return text.SkipAtMost(p, kNewline, 1); });
}
void SplitLines(std::string_view input, size_t base, std::vector<size_t>* ends) {
  for (size_t i = 0; i < input.size();) {
    const size_t stop = input[i] == '\n' ? input.find_first_not_of('\n', i) : input.find('\n', i);
    i = stop == std::string_view::npos ? input.size() : stop;
    ends->push_back(base + i);
  }
}
void SplitFalconPunctuation(std::string_view input, size_t base, std::vector<size_t>* ends) {
  Isolate(input, base, ends, [](const Cursor& text, const char* p) {
    return text.Skip(p, kPunctuation | kAsciiSymbol);
  });
}

// Cuts each run of ASCII digits into groups of three counted from its end, so that "1234567" is
// "1", "234", "567". The expressions look ahead to the end of the run from every position; counting
// once keeps a megabyte of digits linear. `at_boundary_only`: a run directly before a letter, a
// mark, a number or a connector is left whole.
template <bool at_boundary_only>
void SplitDigitsFromRight(std::string_view input, size_t base, std::vector<size_t>* ends) {
  const Cursor text(input);
  const auto offset = [&](const char* p) { return base + static_cast<size_t>(p - text.begin()); };
  const char* gap = text.begin();
  for (const char* p = gap; p < text.end();) {
    const char* run_end = text.Skip(p, kAsciiDigit);
    if (run_end == p) {
      p += text.At(p).length_bytes;
      continue;
    }
    const bool in_word = (text.At(run_end).classes & (kLetter | kMark | kNumber)) != 0 ||
                         (run_end < text.end() && *run_end == '_');
    if (at_boundary_only ? in_word : run_end - p < 3) {
      p = run_end;
      continue;
    }
    const char* group = p + (run_end - p) % 3;
    if (at_boundary_only && gap < p) ends->push_back(offset(p));
    if (group > p || (!at_boundary_only && gap < p)) ends->push_back(offset(group));
    while (group < run_end) {
      group += 3;
      if (group < run_end || at_boundary_only) ends->push_back(offset(group));
    }
    // Without the boundary rule only the starts of groups are cuts: what follows the number stays
    // with its last group.
    gap = at_boundary_only ? run_end : run_end - 3;
    p = run_end;
  }
  if (gap < text.end()) ends->push_back(base + input.size());
}

}  // namespace

#define CONTRACTIONS "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define WHITE_SPACE "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define LEAD "[^\\r\\n\\p{L}\\p{N}]?"

constinit const SplitStage kGpt2Stage = {
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)", SplitGpt2};
constinit const SplitStage kLlama3Stage = {
    CONTRACTIONS "|" LEAD "\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" WHITE_SPACE,
    SplitWords<WordStyle{.max_numbers = 3}>};
constinit const SplitStage kQwen2Stage = {
    CONTRACTIONS "|" LEAD "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" WHITE_SPACE,
    SplitWords<WordStyle{}>};
constinit const SplitStage kQwen35Stage = {
    CONTRACTIONS "|" LEAD
                 "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" WHITE_SPACE,
    SplitWords<WordStyle{.word = kLetter | kMark}>};
constinit const SplitStage kBailingStage = {
    "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|" LEAD
    "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
    SplitWords<WordStyle{}>};
constinit const SplitStage kSeedCoderStage = {
    CONTRACTIONS "|" LEAD "\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" WHITE_SPACE,
    SplitWords<WordStyle{.tail = Tail::kNone}>};
constinit const SplitStage kUfakzekaStage = {
    LEAD "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" WHITE_SPACE,
    SplitWords<WordStyle{.contractions = false}>};
constinit const SplitStage kUnlimitedDigitsStage = {
    CONTRACTIONS "|" LEAD "\\p{L}+|\\p{N}+| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" WHITE_SPACE,
    SplitWords<WordStyle{.max_numbers = 0}>};
constinit const SplitStage kO200kStage = {
    LEAD UPPER "*" LOWER "+" CONTRACTIONS "?|" LEAD UPPER "+" LOWER "*" CONTRACTIONS
               "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" WHITE_SPACE,
    SplitCasedWords<CaseStyle{}>};
constinit const SplitStage kTekkenStage = {
    LEAD UPPER "*" LOWER "+|" LEAD UPPER "+" LOWER
               "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" WHITE_SPACE,
    SplitCasedWords<CaseStyle{.contractions = false, .max_numbers = 1}>};
constinit const SplitStage kKimiStage = {
    "\\p{sc:Han}+|" LEAD "(?:(?!\\p{sc:Han})" UPPER ")*(?:(?!\\p{sc:Han})" LOWER ")+" CONTRACTIONS
    "?|" LEAD "(?:(?!\\p{sc:Han})" UPPER ")+(?:(?!\\p{sc:Han})" LOWER ")*" CONTRACTIONS
    "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" WHITE_SPACE,
    SplitCasedWords<CaseStyle{.tail = Tail::kNewlines, .separate_han = true}>};
constinit const SplitStage kDeepseek3Stage = {
    "[!\"#$%&'()*+,\\-./"
    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
    " ?[\\p{P}\\p{S}]+[\\r\\n]*|" WHITE_SPACE,
    SplitDeepseek3};

constinit const SplitStage kEachNumberStage = {"\\p{N}", SplitEachNumber};
constinit const SplitStage kThreeNumbersStage = {"\\p{N}{1,3}", SplitThreeNumbers};
constinit const SplitStage kNumberRunStage = {"\\p{N}+", SplitNumberRuns};
constinit const SplitStage kThreeDigitsStage = {"[0-9][0-9][0-9]", SplitThreeDigits};
constinit const SplitStage kEachNewlineStage = {"[\\r\\n]", SplitEachNewline};
constinit const SplitStage kLinesStage = {"[^\\n]+|[\\n]+", SplitLines};
constinit const SplitStage kFalconPunctuationStage = {"[\\p{P}\\$\\+<=>\\^~\\|`]+",
                                                      SplitFalconPunctuation};
constinit const SplitStage kDigitsFromRightStage = {"(?=([0-9]{3})+(?![0-9]))",
                                                    SplitDigitsFromRight<false>};
constinit const SplitStage kDigitsFromRightAtBoundaryStage = {
    "[0-9]{1,3}(?=(?:[0-9]{3})*(?![\\p{L}\\p{M}\\p{N}_]))", SplitDigitsFromRight<true>};

}  // namespace puna::tokenizer
