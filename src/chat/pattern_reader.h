// Reads what a CallPattern describes, byte by byte.
#ifndef PUNA_CHAT_PATTERN_READER_H_
#define PUNA_CHAT_PATTERN_READER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/json_scanner.h"
#include "chat/pattern.h"
#include "chat/plain_scanner.h"
#include "chat/tool_format.h"

namespace puna::chat {

// A pattern as a program: operations in a row, with branches where several texts may follow.
struct PatternProgram {
  enum class Kind : uint8_t {
    kLiteral,   // exactly `text`
    kWord,      // letters and digits
    kCapture,   // any text up to one of `branches`, into `slot`
    kBranch,    // one of `branches`
    kValue,     // a value that tells its own end, into `slot`
    kPair,      // an argument is complete; back to `to`
    kAccept,    // a call is complete
    kDropped,   // a text that is no content is complete
    kThinking,  // and thinking follows
  };
  struct Branch {
    std::string text;           // kSameKey in it stands for the argument's name
    size_t to = 0;              // the operation behind it
    Slot begins = Slot::kNone;  // without text: a value of this slot, which begins here
  };
  struct Operation {
    Kind kind = Kind::kLiteral;
    Slot slot = Slot::kNone;
    std::string text;
    std::string before, after;  // white space that belongs to a captured text's surroundings
    std::vector<Branch> branches;
    bool may_end = false;  // a branch: anything else may follow
    size_t to = 0;
  };
  static constexpr char kSameKey = '\x01';

  std::vector<Operation> operations;
  bool declared_only = false;
  std::string quote, nested_mark;  // as in OutputFormat
  bool cdata = false;

  // The text that it must begin with, up to the first white space or slot.
  const std::string& first_literal() const;
  // Whether it begins with a value, and `c` may be the first byte of that.
  bool MayBeginWith(char c) const;
};

PatternProgram CompileCalls(const CallPattern& pattern);
// A text without slots but $WORD and $TYPE that is dropped, or opens thinking.
PatternProgram CompileMark(std::string_view pattern, PatternProgram::Kind end);

// `program` and `tools` must outlive it.
class PatternReader final : public CallReader {
 public:
  PatternReader(const PatternProgram& program, std::span<const Tool> tools);
  State Feed(char c, std::vector<ToolCall>* calls) override;
  bool MayEnd() const override;
  std::string unread() const override { return seen_; }

 private:
  // Nothing: the byte is to be fed to the operation that is current now.
  using Step = std::optional<State>;
  Step FeedOnce(char c, std::vector<ToolCall>* calls);
  Step Capture(char c, std::vector<ToolCall>* calls);
  Step Branch(char c, std::vector<ToolCall>* calls);
  Step Value(char c, std::vector<ToolCall>* calls);
  State GoTo(size_t at, std::vector<ToolCall>* calls);
  bool Take(const PatternProgram::Operation& operation, std::vector<ToolCall>* calls);
  bool TakeName(std::string text);
  bool AddPair();
  void Accept(std::vector<ToolCall>* calls);
  bool IsDeclared(std::string_view name) const;

  const PatternProgram& program_;
  std::span<const Tool> tools_;
  size_t at_ = 0;
  size_t matched_ = 0;  // bytes of a literal
  std::string seen_;    // of the branches' texts
  std::string captured_;
  std::vector<std::string> ends_;  // of the capture
  JsonScanner json_;
  PlainScanner plain_;
  bool in_value_ = false;
  bool accepted_ = false;
  std::string key_, value_, is_text_;
  ToolCall call_;
  bool call_is_taken_ = false;  // by a slot that holds whole calls
};

}  // namespace puna::chat

#endif  // PUNA_CHAT_PATTERN_READER_H_
