// Python's str operations on UTF-8 text, and how Python prints numbers and strings. Positions count
// code points. Malformed bytes count as one character each and are passed through. Thread safe, no
// state.
#ifndef PUNA_CHAT_JINJA_PY_TEXT_H_
#define PUNA_CHAT_JINJA_PY_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace puna::chat::jinja {

// str.isspace() of one character.
bool IsPySpace(char32_t c);
// Whether repr() shows the character as it is.
bool IsPyPrintable(char32_t c);
bool IsPyAlpha(char32_t c);
bool IsPyDecimal(char32_t c);
bool IsPyDigit(char32_t c);
bool IsPyNumeric(char32_t c);
bool IsPyUpper(char32_t c);
bool IsPyLower(char32_t c);

// The one character that `text` starts with; a malformed byte gives 0xFFFFFFFF, which belongs to no
// class.
char32_t DecodeOne(std::string_view text);
int64_t CountCodepoints(std::string_view text);
// The characters of a text one after the other. `text` must outlive them.
class Characters {
 public:
  class Iterator {
   public:
    using value_type = std::string_view;
    using difference_type = ptrdiff_t;
    using iterator_category = std::input_iterator_tag;
    using pointer = void;
    using reference = std::string_view;
    explicit Iterator(std::string_view rest) : rest_(rest) { Measure(); }
    std::string_view operator*() const { return rest_.substr(0, length_); }
    Iterator& operator++() {
      rest_.remove_prefix(length_);
      Measure();
      return *this;
    }
    bool operator==(const Iterator& other) const { return rest_.size() == other.rest_.size(); }

   private:
    void Measure();
    std::string_view rest_;
    size_t length_ = 0;
  };
  explicit Characters(std::string_view text) : text_(text) {}
  Iterator begin() const { return Iterator(text_); }
  Iterator end() const { return Iterator(text_.substr(text_.size())); }

 private:
  std::string_view text_;
};
// The bytes of characters [begin, end).
std::string_view SliceCodepoints(std::string_view text, int64_t begin, int64_t end);

std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
std::string SwapCase(std::string_view text);
std::string Capitalize(std::string_view text);
std::string Title(std::string_view text);

// `characters` is the set to strip; nullptr means white space.
std::string_view Strip(std::string_view text, const std::string_view* characters, bool left,
                       bool right);
// Each stops where it has more than `most` parts, so that a caller can refuse them.
std::vector<std::string_view> SplitWhitespace(std::string_view text, int64_t max_splits,
                                              size_t most);
std::vector<std::string_view> SplitWhitespaceRight(std::string_view text, int64_t max_splits,
                                                   size_t most);
// REQUIRES: `separator` is not empty. `max_splits` < 0 means all.
std::vector<std::string_view> SplitBy(std::string_view text, std::string_view separator,
                                      int64_t max_splits, size_t most);
std::vector<std::string_view> SplitByRight(std::string_view text, std::string_view separator,
                                           int64_t max_splits, size_t most);
std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends, size_t most);

// The number of replacements that Replace would make; an empty `from` matches between all
// characters.
int64_t CountMatches(std::string_view text, std::string_view from, int64_t max_count);
std::string Replace(std::string_view text, std::string_view from, std::string_view to,
                    int64_t max_count);

std::string FloatRepr(double value);
std::string StringRepr(std::string_view text);
std::string HtmlEscape(std::string_view text);

}  // namespace puna::chat::jinja

#endif  // PUNA_CHAT_JINJA_PY_TEXT_H_
