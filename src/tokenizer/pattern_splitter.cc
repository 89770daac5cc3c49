#include "tokenizer/pattern_splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

namespace puna::tokenizer {
namespace {

// PCRE2's own \s under UCP has U+180E, which lost White_Space in Unicode 6.3.
constexpr std::string_view kWhiteSpaceSet =
    "\\x{09}-\\x{0D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}"
    "\\x{205F}\\x{3000}";

std::string ExpandWhiteSpace(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      if (escaped == 's') {
        out += in_class ? std::string(kWhiteSpaceSet) : "[" + std::string(kWhiteSpaceSet) + "]";
      } else if (escaped == 'S' && !in_class) {
        out += "[^" + std::string(kWhiteSpaceSet) + "]";
      } else {
        out += c;
        out += escaped;
      }
      continue;
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

// Per thread: the place for match offsets, and a JIT stack large enough for the few patterns that
// save a state per character while they look for the end of a word.
struct Scratch {
  static constexpr size_t kStackStartBytes = 32 << 10;
  static constexpr size_t kStackMaxBytes = 16 << 20;
  pcre2_match_data* match = pcre2_match_data_create(8, nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(kStackStartBytes, kStackMaxBytes, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);

  Scratch() {
    if (context != nullptr && stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
    pcre2_match_data_free(match);
  }
};

}  // namespace

void PatternSplitter::Deleter::operator()(void* code) const {
  pcre2_code_free(static_cast<pcre2_code*>(code));
}

Result<PatternSplitter> PatternSplitter::Compile(std::string_view pattern) {
  const std::string expanded = ExpandWhiteSpace(pattern);
  int error_number = 0;
  PCRE2_SIZE error_offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expanded.data()), expanded.size(),
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &error_number,
                                   &error_offset, nullptr);
  if (code == nullptr) {
    std::array<PCRE2_UCHAR, 256> message{};
    pcre2_get_error_message(error_number, message.data(), message.size());
    return MakeError(ErrorCode::kInternal, "pre-tokenizer pattern '{}': {} at {}", expanded,
                     reinterpret_cast<const char*>(message.data()), error_offset);
  }
  // Where the JIT is not available matching still works, slowly.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return PatternSplitter(code);
}

void PatternSplitter::Split(std::string_view text, size_t base, std::vector<size_t>* ends) const {
  thread_local const Scratch scratch;
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t piece = 0;  // where the piece under way began
  size_t from = 0;   // where to search from
  while (from < text.size() && scratch.match != nullptr) {
    const int count = pcre2_match(static_cast<const pcre2_code*>(code_.get()), subject, text.size(),
                                  from, PCRE2_NO_UTF_CHECK, scratch.match, scratch.context);
    if (count < 0) break;
    const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(scratch.match);
    const size_t begin = offsets[0];
    const size_t end = offsets[1];
    if (begin >= text.size()) break;
    if (begin > piece) ends->push_back(base + begin);
    piece = begin;
    if (end > begin) {
      ends->push_back(base + end);
      piece = from = end;
      continue;
    }
    // An empty match only cuts; go on behind the next character.
    from = begin + 1;
    while (from < text.size() && (static_cast<uint8_t>(text[from]) & 0xC0) == 0x80) ++from;
  }
  if (piece < text.size()) ends->push_back(base + text.size());
}

}  // namespace puna::tokenizer
