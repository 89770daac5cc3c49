// Two stages in a row: thinking is cut off the front of the answer, the rest goes through the tool
// scanner, which also finds what comes later. Both read byte by byte and keep only what may still
// become a tag, which is what makes the result independent of how the text arrives.
#include <algorithm>
#include <utility>

#include "chat/chat.h"
#include "chat/pattern.h"
#include "chat/prepare.h"
#include "chat/tool_format.h"
#include "chat/tool_scanner.h"

namespace puna::chat {
namespace {

bool IsWhiteSpace(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

// Thinking at the front of an answer. White space around its tags belongs to nobody. It ends at the
// closing tag, or with a complete call of `calls`.
class ThinkSplitter {
 public:
  // `begun`: the prompt already wrote some of the thinking, or else of what comes behind it.
  ThinkSplitter(ThinkTags tags, bool starts_thinking, bool begun, ScannerRules calls)
      : tags_(std::move(tags)),
        calls_(std::move(calls)),
        may_repeat_open_(starts_thinking && !begun) {
    if (tags_.open.empty() || tags_.close.empty()) {
      state_ = State::kDone;
    } else if (starts_thinking) {
      state_ = begun ? State::kThinking : State::kBeforeThinking;
    } else {
      state_ = begun ? State::kDone : State::kBeforeTag;
    }
  }

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
    if (state_ == State::kInCall) GiveBack(thinking, rest);
    const bool inside = state_ == State::kBeforeThinking || state_ == State::kThinking;
    (inside ? thinking : rest)->append(held_);
    held_.clear();
  }

  size_t undecided_bytes() const { return held_.size(); }

 private:
  enum class State : uint8_t {
    kBeforeTag,
    kBeforeThinking,
    kThinking,
    kInCall,     // within thinking; held_ is what may be a call
    kAfterCall,  // that ended the thinking; the closing tag may still come
    kAfterThinking,
    kDone,
  };

  void Feed(char c, std::string* thinking, std::string* rest) {
    switch (state_) {
      case State::kBeforeTag:
        BeforeTag(c, rest);
        break;
      case State::kBeforeThinking:
        BeforeThinking(c, thinking, rest);
        break;
      case State::kThinking:
        if (!OpensCall(c)) UntilClosed(c, thinking);
        break;
      case State::kInCall:
        InCall(c, thinking, rest);
        break;
      case State::kAfterCall:
        UntilClosed(c, rest);
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

  // Some models open the thinking once more that the prompt has opened.
  void BeforeThinking(char c, std::string* thinking, std::string* rest) {
    if (held_.empty() && IsWhiteSpace(c)) return;
    held_ += c;
    if (may_repeat_open_ && tags_.open.starts_with(held_)) {
      if (held_ != tags_.open) return;
      held_.clear();
      may_repeat_open_ = false;
      return;
    }
    state_ = State::kThinking;
    for (const char held : std::exchange(held_, "")) Feed(held, thinking, rest);
  }

  // held_ is always the longest tail that begins the closing tag or, in thinking, a call.
  void UntilClosed(char c, std::string* out) {
    held_ += c;
    if (held_ == tags_.close) {
      held_.clear();
      state_ = State::kAfterThinking;
      return;
    }
    const auto begins = [&](std::string_view tail) {
      return tags_.close.starts_with(tail) ||
             (state_ == State::kThinking &&
              std::any_of(calls_.markers.begin(), calls_.markers.end(),
                          [&](const std::string& marker) { return marker.starts_with(tail); }));
    };
    size_t drop = 0;
    while (!begins(std::string_view(held_).substr(drop))) ++drop;
    out->append(held_, 0, drop);
    held_.erase(0, drop);
  }

  bool OpensCall(char c) {
    const std::string text = held_ + c;
    if (std::find(calls_.markers.begin(), calls_.markers.end(), text) == calls_.markers.end())
      return false;
    held_ = text;
    state_ = State::kInCall;
    reader_ = calls_.open(text);
    std::vector<ToolCall> none;
    for (const char marked : text) reader_->Feed(marked, &none);
    return true;
  }

  // A call is handed on as text, for the scanner to read it.
  void InCall(char c, std::string* thinking, std::string* rest) {
    held_ += c;
    std::vector<ToolCall> found;
    const CallReader::State state = reader_->Feed(c, &found);
    if (state == CallReader::State::kReading || state == CallReader::State::kPassed) return;
    if (found.empty()) {
      GiveBack(thinking, rest);
      return;
    }
    reader_.reset();
    rest->append(std::exchange(held_, ""));
    state_ = State::kAfterCall;
  }

  // What turned out to be no call is thinking, where only the closing tag is looked for.
  void GiveBack(std::string* thinking, std::string* rest) {
    reader_.reset();
    state_ = State::kThinking;
    for (const char c : std::exchange(held_, "")) {
      if (state_ == State::kThinking) {
        UntilClosed(c, thinking);
      } else {
        Feed(c, thinking, rest);
      }
    }
  }

  ThinkTags tags_;
  ScannerRules calls_;
  std::unique_ptr<CallReader> reader_;
  bool may_repeat_open_;
  State state_;
  std::string held_;
  size_t leading_spaces_ = 0;
};

std::string_view TrimRight(std::string_view text) {
  while (!text.empty() && IsWhiteSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view TrimLeft(std::string_view text) {
  while (!text.empty() && IsWhiteSpace(text.front())) text.remove_prefix(1);
  return text;
}

// `format` null: one without channels. Clients also write thinking into the content; of what they
// write, templates take away what is closed thinking, and white space in front.
void ContinueAnswer(const Message& begun, std::string_view prompt, const OutputFormat* format,
                    OutputOptions* options) {
  const ThinkTags& tags = options->think_tags;
  const bool in_channels = format != nullptr && !format->thinking.empty();
  std::string_view text = begun.content.empty() ? begun.thinking : begun.content;
  bool thinking = begun.content.empty();
  if (const size_t close = tags.empty() ? std::string_view::npos : text.rfind(tags.close);
      close != std::string_view::npos)
    text.remove_prefix(close + tags.close.size());
  text = TrimLeft(text);
  if (text.empty() || !prompt.ends_with(text)) return;
  if (!tags.empty() && text.starts_with(tags.open)) {
    text = TrimLeft(text.substr(tags.open.size()));
    thinking = true;
  }
  if (thinking && tags.empty() && !in_channels) return;
  options->starts_thinking = thinking;
  std::string open;
  if (format != nullptr && (in_channels || !thinking))
    open = thinking ? TextWithoutSlots(format->thinking) : format->content_open;
  const bool with_prefix = format == nullptr || !tags.empty() || open.starts_with(format->prefix);
  options->given = with_prefix ? open : format->prefix + open;
  options->given += text;
}

}  // namespace

struct OutputParser::Impl {
  explicit Impl(const OutputOptions& options)
      : splitter(options.think_tags, options.starts_thinking, !options.given.empty(),
                 CallsWithinThinking(options)) {
    ScannerRules rules;
    if (options.format == "go") {
      rules = RulesOfGoTag(options.tool_call_tag, options.tools);
    } else if (const OutputFormat* format = FindOutputFormat(options.format)) {
      rules = RulesOf(*format, options.tools, options.think_tags);
    }
    if (!rules.open) return;
    scanner = std::make_unique<ToolScanner>(std::move(rules));
    const bool given_to_splitter = options.starts_thinking && !options.think_tags.empty();
    if (!given_to_splitter) scanner->Given(options.given);
  }

  static ScannerRules CallsWithinThinking(const OutputOptions& options) {
    const OutputFormat* format = FindOutputFormat(options.format);
    return format == nullptr ? ScannerRules() : RulesWithinThinking(*format, options.tools);
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

size_t OutputParser::undecided_bytes() const {
  const size_t scanned = impl_->scanner != nullptr ? impl_->scanner->undecided_bytes() : 0;
  return impl_->splitter.undecided_bytes() + scanned;
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
  if (const Message* begun = ContinuedMessage(request.messages))
    ContinueAnswer(*begun, prompt, format, &options);
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
