// Byte by byte, so that the result cannot depend on how the text was cut. In text, a byte either
// extends the beginning of a marker, or ends it: then the longest tail that can still become a
// marker is kept and the rest is text. Tails are looked for only within one marker's length, which
// makes the whole linear. A broken call is given back as text and not searched again, except that
// its bytes end where the next ones begin.
#include "chat/tool_scanner.h"

#include <algorithm>
#include <utility>

#include "chat/json_scanner.h"

namespace puna::chat {

ToolScanner::ToolScanner(ScannerRules rules) : rules_(std::move(rules)) {}

void ToolScanner::Add(std::string_view text, OutputDelta* delta) {
  for (const char c : text) {
    if (reader_ != nullptr) {
      Read(c, delta);
    } else {
      thinking_ ? Think(c, delta) : Text(c, delta);
    }
  }
}

void ToolScanner::Given(std::string_view prefix) {
  OutputDelta nothing;
  Add(prefix, &nothing);
  given_ = pending_.size() + candidate_.size();
  spaces_.clear();
}

std::string_view ToolScanner::Ungiven(std::string_view text) {
  const size_t given = std::min(given_, text.size());
  given_ -= given;
  return text.substr(given);
}

void ToolScanner::Emit(std::string_view text, OutputDelta* delta) {
  for (const char c : text) {
    if (IsJsonSpace(c)) {
      if (!after_call_) spaces_ += c;
      continue;
    }
    delta->content += spaces_;
    delta->content += c;
    spaces_.clear();
    at_start_ = false;
    after_call_ = false;
  }
}

void ToolScanner::Text(char c, OutputDelta* delta) {
  if (at_start_ && candidate_.empty() && rules_.bare.find(c) != std::string::npos) {
    const bool marker_too = std::any_of(rules_.markers.begin(), rules_.markers.end(),
                                        [&](const std::string& marker) { return marker[0] == c; });
    if (!marker_too) {
      Open("", delta);
      Read(c, delta);
      return;
    }
  }
  candidate_ += c;
  while (!candidate_.empty()) {
    for (const std::string& marker : rules_.markers) {
      if (candidate_ == marker) {
        Open(marker, delta);
        return;
      }
    }
    const bool may_grow =
        std::any_of(rules_.markers.begin(), rules_.markers.end(),
                    [&](const std::string& marker) { return marker.starts_with(candidate_); });
    if (may_grow) return;
    Emit(Ungiven(std::string_view(candidate_).substr(0, 1)), delta);
    candidate_.erase(0, 1);
  }
}

void ToolScanner::Open(const std::string& marker, OutputDelta* delta) {
  reader_ = rules_.open(marker);
  candidate_.clear();
  for (const char c : marker) Read(c, delta);
}

void ToolScanner::Read(char c, OutputDelta* delta) {
  pending_ += c;
  const size_t calls_before = delta->tool_calls.size();
  const CallReader::State state = reader_->Feed(c, &delta->tool_calls);
  if (delta->tool_calls.size() > calls_before) {
    pending_.clear();
    given_ = 0;
    spaces_.clear();
    after_call_ = true;
    at_start_ = false;
  }
  if (state == CallReader::State::kPassed) {
    pending_.clear();
    given_ = 0;
  }
  if (state == CallReader::State::kReading || state == CallReader::State::kPassed ||
      state == CallReader::State::kAccepted)
    return;
  if (state == CallReader::State::kBroken) {
    GiveBack(delta);
    return;
  }
  const std::unique_ptr<CallReader> reader = std::move(reader_);
  pending_.clear();
  given_ = 0;
  thinking_ = state == CallReader::State::kThinking;
  thought_ = false;
  Add(reader->unread(), delta);
}

// Behind a marker that the prompt wrote, what the model wrote is searched for markers of its own.
void ToolScanner::GiveBack(OutputDelta* delta) {
  reader_.reset();
  const size_t given = std::exchange(given_, 0);
  const std::string text = std::exchange(pending_, "").substr(given);
  given > 0 ? Add(text, delta) : Emit(text, delta);
}

// candidate_ is always the longest tail of the thinking that begins the closing text.
void ToolScanner::Think(char c, OutputDelta* delta) {
  const std::string& close = rules_.thinking_close;
  if (rules_.trims_thinking && !thought_ && IsJsonSpace(c)) return;
  thought_ = true;
  candidate_ += c;
  if (candidate_ == close) {
    candidate_.clear();
    given_ = 0;
    thinking_ = false;
    after_call_ |= rules_.trims_thinking;
    return;
  }
  size_t drop = 0;
  while (!close.starts_with(std::string_view(candidate_).substr(drop))) ++drop;
  delta->thinking += Ungiven(std::string_view(candidate_).substr(0, drop));
  candidate_.erase(0, drop);
}

void ToolScanner::Finish(OutputDelta* delta) {
  while (reader_ != nullptr && !reader_->MayEnd()) GiveBack(delta);
  const std::string_view held = Ungiven(candidate_);
  thinking_ ? void(delta->thinking += held) : Emit(held, delta);
  delta->content += spaces_;
  reader_.reset();
  pending_.clear();
  candidate_.clear();
  spaces_.clear();
}

}  // namespace puna::chat
