// Separates tool calls, thinking in channels and marks from text in a stream, for any ScannerRules.
#ifndef PUNA_CHAT_TOOL_SCANNER_H_
#define PUNA_CHAT_TOOL_SCANNER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/tool_format.h"

namespace puna::chat {

// Not thread safe. Work is linear in the text; held back are at most the white space and marker
// beginnings at the end, and a call that is not complete. White space between text and calls is
// dropped.
class ToolScanner {
 public:
  explicit ToolScanner(ScannerRules rules);
  // What the prompt already wrote of the answer; never part of the deltas.
  void Given(std::string_view prefix);
  void Add(std::string_view text, OutputDelta* delta);
  void Finish(OutputDelta* delta);
  // At the end of the text so far, without what the prompt wrote.
  size_t undecided_bytes() const {
    return spaces_.size() + candidate_.size() + pending_.size() - given_;
  }

 private:
  // Without what is left of that at its front.
  std::string_view Ungiven(std::string_view text);
  void Text(char c, OutputDelta* delta);
  void Think(char c, OutputDelta* delta);
  void Emit(std::string_view text, OutputDelta* delta);
  void Open(const std::string& marker, OutputDelta* delta);
  void Read(char c, OutputDelta* delta);
  void GiveBack(OutputDelta* delta);

  ScannerRules rules_;
  std::unique_ptr<CallReader> reader_;  // null: in ordinary text
  std::string pending_;                 // raw text since the marker or the last accepted call
  std::string spaces_;                  // white space that is dropped if a call follows
  std::string candidate_;               // beginning of a marker
  size_t given_ = 0;         // bytes that the prompt wrote, at the front of pending_ or candidate_
  bool thinking_ = false;    // until rules_.thinking_close, of which candidate_ is a part
  bool at_start_ = true;     // nothing but white space so far
  bool after_call_ = false;  // white space behind a call, or trimmed thinking, is dropped
  bool thought_ = false;     // in thinking: not only white space so far
};

}  // namespace puna::chat

#endif  // PUNA_CHAT_TOOL_SCANNER_H_
