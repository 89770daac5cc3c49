#include "cli/answer_view.h"

#include <cstdio>

#include "base/duration.h"
#include "cli/terminal.h"

namespace puna::cli {
namespace {

constexpr const char* kGrey = "\x1b[90m";
constexpr const char* kReset = "\x1b[0m";

// "1.23s", "456.7ms": short, as Go prints durations, with three digits of fraction.
std::string ShortDuration(int64_t nanoseconds) {
  const auto value = static_cast<double>(nanoseconds);
  if (nanoseconds >= 60'000'000'000) {
    return fmt::format("{}m{:.3f}s", nanoseconds / 60'000'000'000,
                       static_cast<double>(nanoseconds % 60'000'000'000) / 1e9);
  }
  if (nanoseconds >= 1'000'000'000) return fmt::format("{:.3f}s", value / 1e9);
  if (nanoseconds >= 1'000'000) return fmt::format("{:.3f}ms", value / 1e6);
  return fmt::format("{:.3f}µs", value / 1e3);
}

}  // namespace

AnswerView::AnswerView(const AnswerStyle& style)
    : style_(style), wrapper_(style.word_wrap ? TerminalWidth() : 0) {}

void AnswerView::Print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

// The window may have another size by now.
void AnswerView::PrintWrapped(std::string_view text) {
  if (style_.word_wrap) wrapper_.SetWidth(TerminalWidth());
  Print(wrapper_.Push(text));
}

void AnswerView::Thinking(const std::string& text) {
  if (text.empty()) return;
  thinking_ += text;
  if (style_.hide_thinking) return;
  if (!in_thinking_) {
    in_thinking_ = true;
    Print(style_.terminal ? fmt::format("{}Thinking...\n", kGrey) : "Thinking...\n");
  }
  PrintWrapped(text);
}

void AnswerView::EndThinking() {
  if (!in_thinking_) return;
  in_thinking_ = false;
  Print(wrapper_.Finish());
  Print(wrapper_.in_line() ? "\n" : "");
  Print(style_.terminal ? fmt::format("...done thinking.{}\n\n", kReset) : "...done thinking.\n\n");
  wrapper_ = WordWrapper(wrapper_.width());
}

void AnswerView::Content(const std::string& text) {
  if (text.empty()) return;
  EndThinking();
  // The blank line after thinking is ours; that of the model would be a second one.
  const size_t first = content_.empty() && !thinking_.empty() ? text.find_first_not_of('\n') : 0;
  content_ += text;
  if (first != std::string::npos) PrintWrapped(std::string_view(text).substr(first));
}

void AnswerView::Finish() {
  EndThinking();
  Print(wrapper_.Finish());
  if (style_.terminal) {
    Print(wrapper_.in_line() ? "\n\n" : "\n");
  } else if (!content_.empty()) {
    Print("\n");
  }
}

std::string FormatTimings(const Json& object) {
  std::string text;
  const auto duration = [&](const char* label, const char* key) {
    const int64_t value = object.value(key, int64_t{0});
    if (value > 0) text += fmt::format("{:<22}{}\n", label, ShortDuration(value));
    return value;
  };
  const auto part = [&](const std::string& label, const char* count_key, const char* time_key) {
    const int64_t count = object.value(count_key, int64_t{0});
    if (count > 0) text += fmt::format("{:<22}{} token(s)\n", label + " count:", count);
    const int64_t time = duration((label + " duration:").c_str(), time_key);
    if (count > 0 && time > 0) {
      text += fmt::format("{:<22}{:.2f} tokens/s\n", label + " rate:",
                          static_cast<double>(count) * 1e9 / static_cast<double>(time));
    }
  };
  duration("total duration:", "total_duration");
  duration("load duration:", "load_duration");
  part("prompt eval", "prompt_eval_count", "prompt_eval_duration");
  part("eval", "eval_count", "eval_duration");
  return text;
}

}  // namespace puna::cli
