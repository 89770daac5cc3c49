// Two stages in a row: thinking is cut off the front of the answer, the rest goes through the tool
// scanner. Both read byte by byte and keep only what may still become a tag, which is what makes
// the result independent of how the text arrives.
#include <algorithm>
#include <utility>

#include "chat/chat.h"
#include "chat/tool_format.h"
#include "chat/tool_scanner.h"

namespace puna::chat {
namespace {

bool IsWhiteSpace(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

// Thinking stands at the front of an answer or not at all. White space around its tags belongs to
// nobody.
class ThinkSplitter {
 public:
  ThinkSplitter(ThinkTags tags, bool starts_thinking)
      : tags_(std::move(tags)),
        state_(tags_.open.empty() || tags_.close.empty() ? State::kDone
               : starts_thinking                         ? State::kBeforeThinking
                                                         : State::kBeforeTag) {}

  // Appends thinking to `thinking` and what comes behind it to `rest`.
  void Add(std::string_view text, std::string* thinking, std::string* rest) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (state_ == State::kDone) {
        rest->append(text.substr(i));
        return;
      }
      Feed(text[i], thinking, rest);
    }
  }

  void Finish(std::string* thinking, std::string* rest) {
    (state_ == State::kThinking ? thinking : rest)->append(held_);
    held_.clear();
  }

 private:
  enum class State : uint8_t { kBeforeTag, kBeforeThinking, kThinking, kAfterThinking, kDone };

  void Feed(char c, std::string* thinking, std::string* rest) {
    switch (state_) {
      case State::kBeforeTag:
        BeforeTag(c, rest);
        break;
      case State::kBeforeThinking:
        if (IsWhiteSpace(c)) break;
        state_ = State::kThinking;
        [[fallthrough]];
      case State::kThinking:
        Thinking(c, thinking);
        break;
      case State::kAfterThinking:
        if (IsWhiteSpace(c)) break;
        state_ = State::kDone;
        [[fallthrough]];
      case State::kDone:
        *rest += c;
        break;
    }
  }

  void BeforeTag(char c, std::string* rest) {
    held_ += c;
    const size_t spaces = std::min(leading_spaces_, held_.size());
    if (spaces + 1 == held_.size() && IsWhiteSpace(c)) {
      ++leading_spaces_;
      return;
    }
    const std::string_view tag = std::string_view(held_).substr(leading_spaces_);
    // Thinking that is closed and was not opened is none.
    const bool opens = tag == tags_.open, closes = tag == tags_.close;
    if (opens || closes) {
      held_.clear();
      state_ = opens ? State::kBeforeThinking : State::kAfterThinking;
    } else if (!std::string_view(tags_.open).starts_with(tag) &&
               !std::string_view(tags_.close).starts_with(tag)) {
      rest->append(std::exchange(held_, ""));
      state_ = State::kDone;
    }
  }

  // held_ is always the longest tail of the thinking that begins the closing tag.
  void Thinking(char c, std::string* thinking) {
    held_ += c;
    if (held_ == tags_.close) {
      held_.clear();
      state_ = State::kAfterThinking;
      return;
    }
    size_t drop = 0;
    while (!std::string_view(tags_.close).starts_with(std::string_view(held_).substr(drop))) ++drop;
    thinking->append(held_, 0, drop);
    held_.erase(0, drop);
  }

  ThinkTags tags_;
  State state_;
  std::string held_;
  size_t leading_spaces_ = 0;
};

std::string_view TrimRight(std::string_view text) {
  while (!text.empty() && IsWhiteSpace(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

struct OutputParser::Impl {
  explicit Impl(const OutputOptions& options)
      : splitter(options.think_tags, options.starts_thinking) {
    ScannerRules rules;
    if (options.format == "go") {
      rules = RulesOfGoTag(options.tool_call_tag, options.tools);
    } else if (const OutputFormat* format = FindOutputFormat(options.format)) {
      rules = RulesOf(*format, options.tools);
    }
    if (!rules.open) return;
    scanner = std::make_unique<ToolScanner>(std::move(rules));
    scanner->Given(options.given);
  }

  void Scan(const std::string& text, OutputDelta* delta) {
    if (scanner == nullptr) {
      delta->content += text;
    } else {
      scanner->Add(text, delta);
    }
  }

  void Number(OutputDelta* delta) {
    for (ToolCall& call : delta->tool_calls) call.index = num_calls++;
  }

  ThinkSplitter splitter;
  std::unique_ptr<ToolScanner> scanner;  // null: all is content
  int num_calls = 0;
};

OutputParser::OutputParser(const OutputOptions& options) : impl_(std::make_unique<Impl>(options)) {}
OutputParser::~OutputParser() = default;
OutputParser::OutputParser(OutputParser&&) noexcept = default;
OutputParser& OutputParser::operator=(OutputParser&&) noexcept = default;

OutputDelta OutputParser::Add(std::string_view text) {
  OutputDelta delta;
  std::string rest;
  impl_->splitter.Add(text, &delta.thinking, &rest);
  impl_->Scan(rest, &delta);
  impl_->Number(&delta);
  return delta;
}

OutputDelta OutputParser::Finish() {
  OutputDelta delta;
  std::string rest;
  impl_->splitter.Finish(&delta.thinking, &rest);
  impl_->Scan(rest, &delta);
  if (impl_->scanner != nullptr) impl_->scanner->Finish(&delta);
  impl_->Number(&delta);
  return delta;
}

OutputOptions OutputOptionsFor(const PromptTemplate& prompt_template, const PromptRequest& request,
                               std::string_view prompt, std::string_view parser) {
  OutputOptions options;
  options.think_tags = prompt_template.think_tags();
  options.tools = request.tools;
  options.format = prompt_template.output_format();
  options.tool_call_tag = prompt_template.tool_call_tag();
  if (const ParserName* named = FindParserName(parser)) {
    options.format = named->format;
    if (!named->thinks) options.think_tags = {};
  }
  const OutputFormat* format = FindOutputFormat(options.format);
  if (format != nullptr && !format->thinking.empty()) options.think_tags = {};
  if (format != nullptr && !format->prefix.empty() && prompt.ends_with(format->prefix))
    options.given = format->prefix;
  options.starts_thinking =
      !options.think_tags.empty() && TrimRight(prompt).ends_with(options.think_tags.open);
  return options;
}

std::vector<std::string> OutputMarks(const OutputOptions& options) {
  std::vector<std::string> marks;
  std::vector<std::string> texts = {options.think_tags.open, options.think_tags.close,
                                    options.tool_call_tag};
  if (const OutputFormat* format = FindOutputFormat(options.format)) {
    std::vector<CallPattern> patterns = format->also;
    patterns.push_back(format->calls);
    for (const CallPattern& pattern : patterns) {
      for (const std::string& text : {pattern.open, pattern.call, pattern.close, pattern.pair})
        texts.push_back(text);
    }
    texts.insert(texts.end(), format->dropped.begin(), format->dropped.end());
    for (const std::string& text :
         {format->thinking, format->thinking_close, format->thinking_next})
      texts.push_back(text);
    if (!format->quote.empty()) marks.push_back(format->quote);
  }
  for (const std::string& text : texts) {
    for (const PatternElement& element : ParsePattern(text)) {
      for (LiteralPiece& piece : SplitTags(element.text)) {
        if (piece.is_tag) marks.push_back(std::move(piece.text));
      }
    }
  }
  std::sort(marks.begin(), marks.end());
  marks.erase(std::unique(marks.begin(), marks.end()), marks.end());
  return marks;
}

}  // namespace puna::chat
