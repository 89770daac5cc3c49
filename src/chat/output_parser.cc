// Two stages in a row: thinking is cut off the front of the answer, the rest goes through the tool
// scanner. Both read byte by byte and keep only what may still become a tag, which is what makes
// the result independent of how the text arrives.
#include <algorithm>
#include <utility>

#include "chat/chat.h"
#include "chat/formats/formats.h"
#include "chat/tool_scanner.h"

namespace puna::chat {
namespace {

bool IsSpace(char c) {
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
        if (IsSpace(c)) break;
        state_ = State::kThinking;
        [[fallthrough]];
      case State::kThinking:
        Thinking(c, thinking);
        break;
      case State::kAfterThinking:
        if (IsSpace(c)) break;
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
    if (spaces + 1 == held_.size() && IsSpace(c)) {
      ++leading_spaces_;
      return;
    }
    const std::string_view tag = std::string_view(held_).substr(leading_spaces_);
    if (tag == tags_.open) {
      held_.clear();
      state_ = State::kBeforeThinking;
    } else if (!std::string_view(tags_.open).starts_with(tag)) {
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
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

struct OutputParser::Impl {
  explicit Impl(const OutputOptions& options)
      : splitter(options.think_tags, options.starts_thinking) {
    if (options.tools.empty()) return;
    if (options.tool_format == "go") {
      scanner = std::make_unique<ToolScanner>(GoTagFormat(options.tool_call_tag), options.tools);
    } else if (const ToolFormat* format = FindToolFormat(options.tool_format)) {
      scanner = std::make_unique<ToolScanner>(*format, options.tools);
    }
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
                               std::string_view prompt) {
  OutputOptions options;
  options.think_tags = prompt_template.think_tags();
  options.starts_thinking =
      !options.think_tags.empty() && TrimRight(prompt).ends_with(options.think_tags.open);
  options.tools = request.tools;
  if (!prompt_template.is_jinja()) {
    options.tool_format = "go";
    options.tool_call_tag = prompt_template.tool_call_tag();
    return options;
  }
  for (const ToolFormat& format : ToolFormats()) {
    if (!format.used_by(prompt_template.source())) continue;
    options.tool_format = format.name;
    break;
  }
  return options;
}

}  // namespace puna::chat
