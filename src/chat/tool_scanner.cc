// Byte by byte, so that the result cannot depend on how the text was cut. In text, a byte either
// extends the beginning of a marker, or ends it: then the longest tail that can still become a
// marker is kept and the rest is text. Tails are looked for only within one marker's length, which
// makes the whole linear. A broken call is given back as text and not searched again, except that
// its bytes end where the next ones begin.
#include "chat/tool_scanner.h"

#include <algorithm>
#include <utility>

namespace puna::chat {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

}  // namespace

ToolScanner::ToolScanner(ToolFormat format, std::vector<Tool> tools)
    : format_(std::move(format)), tools_(std::move(tools)) {}

void ToolScanner::Add(std::string_view text, OutputDelta* delta) {
  for (const char c : text) reader_ != nullptr ? Read(c, delta) : Text(c, delta);
}

void ToolScanner::Emit(std::string_view text, OutputDelta* delta) {
  for (const char c : text) {
    if (IsSpace(c)) {
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
  if (at_start_ && candidate_.empty() && format_.bare && (c == '{' || c == '[')) {
    const bool marker_too = std::any_of(format_.markers.begin(), format_.markers.end(),
                                        [&](const std::string& marker) { return marker[0] == c; });
    if (!marker_too) {
      Open("");
      Read(c, delta);
      return;
    }
  }
  candidate_ += c;
  while (!candidate_.empty()) {
    for (const std::string& marker : format_.markers) {
      if (candidate_ == marker) {
        Open(marker);
        return;
      }
    }
    const bool may_grow =
        std::any_of(format_.markers.begin(), format_.markers.end(),
                    [&](const std::string& marker) { return marker.starts_with(candidate_); });
    if (may_grow) return;
    Emit(std::string_view(candidate_).substr(0, 1), delta);
    candidate_.erase(0, 1);
  }
}

void ToolScanner::Open(const std::string& marker) {
  reader_ = format_.open(CallContext{tools_, marker});
  pending_ = marker;
  candidate_.clear();
  at_start_ = false;
}

void ToolScanner::Read(char c, OutputDelta* delta) {
  pending_ += c;
  const size_t calls_before = delta->tool_calls.size();
  const CallReader::State state = reader_->Feed(c, &delta->tool_calls);
  if (delta->tool_calls.size() > calls_before) {
    pending_.clear();
    spaces_.clear();
    after_call_ = true;
  }
  if (state == CallReader::State::kReading || state == CallReader::State::kAccepted) return;
  const std::unique_ptr<CallReader> reader = std::move(reader_);
  const std::string text = std::exchange(pending_, "");
  if (state == CallReader::State::kBroken) {
    Emit(text, delta);
    return;
  }
  Add(reader->unread(), delta);
}

void ToolScanner::Finish(OutputDelta* delta) {
  if (reader_ != nullptr && !reader_->MayEnd()) Emit(pending_, delta);
  Emit(candidate_, delta);
  delta->content += spaces_;
  reader_.reset();
  pending_.clear();
  candidate_.clear();
  spaces_.clear();
}

}  // namespace puna::chat
