#include "chat/pattern_reader.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "chat/argument_value.h"

namespace puna::chat {
namespace {

using Kind = PatternProgram::Kind;
using Operation = PatternProgram::Operation;

constexpr size_t kMaxNameBytes = 512;
// Around values that hold what would else end them.
constexpr std::string_view kCdataOpen = "<![CDATA[", kCdataClose = "]]>";

bool InWord(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
}
bool MayBegin(Slot slot, char c) {
  if (slot == Slot::kJson) return c == '{' || c == '[';
  if (slot == Slot::kPython)
    return c == '[' || c == '_' || std::isalpha(static_cast<unsigned char>(c)) != 0;
  return c == '{';
}

// Whether `text` may be the beginning of what $TYPE is, and of `end` behind it.
bool MayBeType(std::string_view text, std::string_view end) {
  if (!text.empty() && InWord(text[0])) return false;  // goes on with the word in front
  if (const size_t last = text.rfind('<');
      last != std::string_view::npos && end.starts_with(text.substr(last)))
    text = text.substr(0, last);
  while (!text.empty() && IsJsonSpace(text.front())) text.remove_prefix(1);
  static constexpr std::string_view kMark = "<|constrain|>";
  if (kMark.starts_with(text)) return true;
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  return std::all_of(text.begin(), text.end(), [](char c) { return InWord(c) || IsJsonSpace(c); });
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && IsJsonSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsJsonSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::string WithoutOptional(std::string text) {
  std::erase(text, '~');
  return text;
}

bool IsValue(Slot slot) {
  return slot == Slot::kJson || slot == Slot::kPython || slot == Slot::kArgs ||
         slot == Slot::kPlain;
}

class Compiler {
 public:
  PatternProgram Calls(const CallPattern& pattern) {
    for (const PatternElement& element : ParsePattern(pattern.open)) Single(element);
    const size_t start = operations().size();
    const std::vector<PatternElement> call = ParsePattern(pattern.call);
    pair_ = ParsePattern(pattern.pair);
    const size_t tail = Body(call);
    operations().emplace_back().kind = Kind::kAccept;
    Behind(pattern, call, tail, start);
    return std::move(program_);
  }

  PatternProgram Mark(std::string_view text, Kind end) {
    std::vector<PatternElement> elements = ParsePattern(text);
    for (size_t i = 0; i < elements.size();) {
      PatternElement& element = elements[i];
      if (element.text.empty() && element.slot == Slot::kNone) element.text = element.before;
      if (element.slot == Slot::kType) {
        i = Capture(elements, i);
      } else {
        Single(elements[i++]);
      }
    }
    operations().emplace_back().kind = end;
    return std::move(program_);
  }

 private:
  std::vector<Operation>& operations() { return program_.operations; }
  size_t Here() { return operations().size(); }

  void Single(const PatternElement& element) {
    if (element.slot == Slot::kNone && element.text.empty()) return;
    Operation operation;
    operation.kind = element.slot == Slot::kNone   ? Kind::kLiteral
                     : element.slot == Slot::kWord ? Kind::kWord
                                                   : Kind::kValue;
    operation.slot = element.slot;
    operation.text = element.text;
    operations().push_back(std::move(operation));
  }

  // Appends what reads elements[from...] up to the last slot; the result is the first element
  // behind that.
  size_t Body(const std::vector<PatternElement>& elements, size_t from = 0) {
    size_t last = 0;
    for (size_t i = 0; i < elements.size(); ++i) {
      if (elements[i].slot != Slot::kNone) last = i;
    }
    size_t i = from;
    while (i <= last) {
      const Slot slot = elements[i].slot;
      if (slot == Slot::kNone || slot == Slot::kWord || IsValue(slot)) {
        Single(elements[i++]);
      } else if (slot == Slot::kPairs) {
        i = Pairs(elements, i);
      } else {
        i = Capture(elements, i);
      }
    }
    return i;
  }

  size_t Capture(const std::vector<PatternElement>& elements, size_t i) {
    const size_t at = Here();
    Operation capture;
    capture.kind = Kind::kCapture;
    capture.slot = elements[i].slot;
    capture.before = WithoutOptional(elements[i].before);
    operations().push_back(std::move(capture));
    CHECK(++i < elements.size()) << "nothing ends the slot";
    const PatternElement& next = elements[i];
    if (next.slot == Slot::kPairs) {
      i = Pairs(elements, i);
      operations()[at].branches = operations()[at + 1].branches;
      return i;
    }
    if (IsValue(next.slot)) {
      operations()[at].branches = {{"", at + 1, next.slot}};
      return i;
    }
    std::string end = next.text;
    operations()[at].after = WithoutOptional(next.before);
    for (++i; i < elements.size() && elements[i].before.empty(); ++i) {
      if (elements[i].slot == Slot::kSame) {
        end += PatternProgram::kSameKey;
      } else if (end.back() == PatternProgram::kSameKey) {
        end += elements[i].text;
      } else {
        break;
      }
    }
    operations()[at].branches = {{std::move(end), at + 1}};
    return i;
  }

  // A branch to either an argument, which leads back, or to the literal behind all of them.
  size_t Pairs(const std::vector<PatternElement>& elements, size_t i) {
    const size_t branch = Here();
    operations().emplace_back().kind = Kind::kBranch;
    const size_t pair_start = Here();
    Body(pair_, 1);
    Operation done;
    done.kind = Kind::kPair;
    done.to = branch;
    operations().push_back(std::move(done));
    CHECK(++i < elements.size() && elements[i].slot == Slot::kNone) << "nothing ends the arguments";
    operations()[branch].branches = {{pair_[0].text, pair_start}, {elements[i].text, Here()}};
    return i + 1;
  }

  // Behind a call: what decorates its end, or another one, or other text. Behind the closing text
  // the next call needs an opening.
  void Behind(const CallPattern& pattern, const std::vector<PatternElement>& call, size_t tail,
              size_t start) {
    const size_t here = Here();
    const std::vector<PatternElement> close = ParsePattern(pattern.close);
    const size_t closed = close.empty() ? here : here + 1;
    Operation branch, last;
    branch.kind = last.kind = Kind::kBranch;
    branch.may_end = last.may_end = true;
    const auto add = [](const std::vector<PatternElement>& elements, size_t from, size_t to,
                        Operation* out) {
      for (size_t i = from; i < elements.size(); ++i) {
        if (!elements[i].text.empty()) out->branches.push_back({elements[i].text, to});
      }
    };
    if (call[0].slot == Slot::kNone) {
      branch.branches.push_back({call[0].text, start + 1});
    } else {
      branch.branches.push_back({"", start, call[0].slot});
    }
    if (start > 0) {
      branch.branches.push_back({operations()[0].text, 1});
      last.branches.push_back({operations()[0].text, 1});
    }
    add(call, tail, here, &branch);
    add(ParsePattern(pattern.between), 0, here, &branch);
    add(close, 0, closed, &branch);
    add(close, 0, closed, &last);
    operations().push_back(std::move(branch));
    if (closed != here) operations().push_back(std::move(last));
  }

  PatternProgram program_;
  std::vector<PatternElement> pair_;
};

}  // namespace

const std::string& PatternProgram::first_literal() const { return operations[0].text; }

bool PatternProgram::MayBeginWith(char c) const {
  return operations[0].kind == Kind::kValue && MayBegin(operations[0].slot, c);
}

PatternProgram CompileCalls(const CallPattern& pattern) { return Compiler().Calls(pattern); }
PatternProgram CompileMark(std::string_view pattern, PatternProgram::Kind end) {
  return Compiler().Mark(pattern, end);
}

PatternReader::PatternReader(const PatternProgram& program, std::span<const Tool> tools)
    : program_(program), tools_(tools) {}

PatternReader::State PatternReader::Feed(char c, std::vector<ToolCall>* calls) {
  while (true) {
    if (const Step step = FeedOnce(c, calls)) return *step;
  }
}

PatternReader::Step PatternReader::FeedOnce(char c, std::vector<ToolCall>* calls) {
  const Operation& operation = program_.operations[at_];
  switch (operation.kind) {
    case Kind::kLiteral:
      if (matched_ == 0 && IsJsonSpace(c) && !IsJsonSpace(operation.text[0]))
        return State::kReading;
      if (c != operation.text[matched_]) return State::kBroken;
      if (++matched_ < operation.text.size()) return State::kReading;
      return GoTo(at_ + 1, calls);
    case Kind::kWord:
      if (captured_.empty() && IsJsonSpace(c)) return State::kReading;
      if (InWord(c) && captured_.size() < kMaxNameBytes) {
        captured_ += c;
        return State::kReading;
      }
      if (captured_.empty() || InWord(c)) return State::kBroken;
      GoTo(at_ + 1, calls);
      return std::nullopt;
    case Kind::kCapture:
      return Capture(c, calls);
    case Kind::kBranch:
      return Branch(c, calls);
    default:
      return Value(c, calls);
  }
}

PatternReader::Step PatternReader::Capture(char c, std::vector<ToolCall>* calls) {
  const Operation& operation = program_.operations[at_];
  if (ends_.empty()) {
    for (const PatternProgram::Branch& branch : operation.branches) {
      std::string& end = ends_.emplace_back(branch.text);
      if (const size_t same = end.find(PatternProgram::kSameKey); same != std::string::npos)
        end.replace(same, 1, key_);
    }
  }
  for (const PatternProgram::Branch& branch : operation.branches) {
    if (branch.begins == Slot::kNone || !MayBegin(branch.begins, c)) continue;
    if (!Take(operation, calls)) return State::kBroken;
    GoTo(branch.to, calls);
    return std::nullopt;
  }
  captured_ += c;
  for (size_t i = 0; i < ends_.size(); ++i) {
    if (ends_[i].empty() || !captured_.ends_with(ends_[i])) continue;
    const std::string_view value(captured_.data(), captured_.size() - ends_[i].size());
    if (program_.cdata && value.starts_with(kCdataOpen) && !value.ends_with(kCdataClose)) continue;
    captured_.resize(value.size());
    if (!Take(operation, calls)) return State::kBroken;
    return GoTo(operation.branches[i].to, calls);
  }
  if (operation.slot != Slot::kValue && captured_.size() > kMaxNameBytes) return State::kBroken;
  if (operation.slot == Slot::kType && !MayBeType(captured_, ends_[0])) return State::kBroken;
  return State::kReading;
}

PatternReader::Step PatternReader::Branch(char c, std::vector<ToolCall>* calls) {
  const Operation& operation = program_.operations[at_];
  if (seen_.empty() && IsJsonSpace(c)) return State::kReading;
  seen_ += c;
  bool may_grow = false;
  const PatternProgram::Branch* whole = nullptr;
  for (const PatternProgram::Branch& branch : operation.branches) {
    if (branch.begins != Slot::kNone) continue;
    may_grow |= branch.text.size() > seen_.size() && branch.text.starts_with(seen_);
    const bool longer = whole == nullptr || branch.text.size() > whole->text.size();
    if (longer && seen_.starts_with(branch.text)) whole = &branch;
  }
  if (may_grow) return State::kReading;
  if (whole != nullptr) {
    const std::string rest = seen_.substr(whole->text.size());
    const bool is_decoration = operation.may_end && program_.operations[whole->to].may_end;
    State state = GoTo(whole->to, calls);
    if (is_decoration && rest.empty()) return State::kPassed;
    for (size_t i = 0; i < rest.size() && state == State::kReading; ++i)
      state = Feed(rest[i], calls);
    return state;
  }
  for (const PatternProgram::Branch& branch : operation.branches) {
    if (branch.begins == Slot::kNone || seen_.size() > 1 || !MayBegin(branch.begins, c)) continue;
    GoTo(branch.to, calls);
    return std::nullopt;
  }
  return operation.may_end ? State::kEnded : State::kBroken;
}

PatternReader::Step PatternReader::Value(char c, std::vector<ToolCall>* calls) {
  const Operation& operation = program_.operations[at_];
  if (!in_value_) {
    if (IsJsonSpace(c)) return State::kReading;
    if (!MayBegin(operation.slot, c)) return State::kBroken;
    json_.Reset();
    plain_ = operation.slot == Slot::kPython ? PlainScanner::OfPythonCalls()
                                             : PlainScanner::OfPlainObject(program_.quote);
    in_value_ = true;
  }
  bool more = false, done = false;
  if (operation.slot == Slot::kPython || operation.slot == Slot::kPlain) {
    const PlainScanner::State state = plain_.Feed(c);
    more = state == PlainScanner::State::kMore;
    done = state == PlainScanner::State::kDone;
  } else {
    const JsonScanner::State state = json_.Feed(c);
    more = state == JsonScanner::State::kMore;
    done = state == JsonScanner::State::kDone;
  }
  if (more) return State::kReading;
  in_value_ = false;
  if (!done || !Take(operation, calls)) return State::kBroken;
  return GoTo(at_ + 1, calls);
}

// To an operation, and through those that take no text.
PatternReader::State PatternReader::GoTo(size_t at, std::vector<ToolCall>* calls) {
  at_ = at;
  matched_ = 0;
  seen_.clear();
  captured_.clear();
  ends_.clear();
  const Operation& operation = program_.operations[at_];
  switch (operation.kind) {
    case Kind::kPair:
      return AddPair() ? GoTo(operation.to, calls) : State::kBroken;
    case Kind::kAccept:
      Accept(calls);
      GoTo(at_ + 1, calls);
      return State::kAccepted;
    case Kind::kDropped:
      return State::kEnded;
    case Kind::kThinking:
      return State::kThinking;
    default:
      return State::kReading;
  }
}

bool PatternReader::IsDeclared(std::string_view name) const {
  return std::any_of(tools_.begin(), tools_.end(),
                     [&](const Tool& tool) { return tool.name() == name; });
}

// What a slot holds. False if it cannot be that.
bool PatternReader::Take(const Operation& operation, std::vector<ToolCall>* calls) {
  switch (operation.slot) {
    case Slot::kName:
      return TakeName(std::move(captured_));
    case Slot::kId:
      call_.id = Trimmed(captured_);
      return true;
    case Slot::kNamedId: {
      call_.id = Trimmed(captured_);
      const size_t colon = call_.id.rfind(':');
      return colon != std::string::npos && TakeName(call_.id.substr(0, colon));
    }
    case Slot::kKey:
      key_ = Trimmed(captured_);
      return !key_.empty();
    case Slot::kText:
      is_text_ = Trimmed(captured_);
      return true;
    case Slot::kValue: {
      std::string_view value = captured_;
      if (!operation.before.empty() && value.starts_with(operation.before))
        value.remove_prefix(operation.before.size());
      if (!operation.after.empty() && value.ends_with(operation.after))
        value.remove_suffix(operation.after.size());
      value_ = value;
      return true;
    }
    case Slot::kArgs:
      call_.arguments = ParseModelJson(json_.text());
      return call_.arguments.is_object();
    case Slot::kPlain: {
      auto arguments = ParsePlainObject(plain_.text(), program_.quote);
      if (arguments) call_.arguments = *std::move(arguments);
      return arguments.has_value();
    }
    case Slot::kJson:
      call_is_taken_ = true;
      return CallsFromJson(json_.text(), tools_, program_.declared_only, calls);
    case Slot::kPython: {
      call_is_taken_ = true;
      std::vector<ToolCall> found;
      if (!ParsePythonCalls(plain_.text(), &found)) return false;
      for (ToolCall& call : found) {
        // As Llama 3 writes its built-in tools.
        if (call.name.ends_with(".call") && !IsDeclared(call.name))
          call.name.resize(call.name.size() - 5);
        if (program_.declared_only && !IsDeclared(call.name)) return false;
      }
      std::move(found.begin(), found.end(), std::back_inserter(*calls));
      return true;
    }
    default:
      return true;
  }
}

// A name that is not declared is one word, perhaps in the namespace "functions" and with control
// tokens behind it.
bool PatternReader::TakeName(std::string text) {
  std::string_view name = Trimmed(text);
  if (!IsDeclared(name)) {
    static constexpr std::string_view kNamespace = "functions.";
    if (name.starts_with(kNamespace)) name.remove_prefix(kNamespace.size());
    if (const size_t end = name.find_first_of(" \n\t\r<["); end != std::string_view::npos) {
      // Behind it Harmony may name the language of the arguments, with a mark or without.
      const std::string_view rest = Trimmed(name.substr(end));
      const bool is_word = rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == rest.npos;
      if (!rest.starts_with("<|") && !(is_word && IsDeclared(name.substr(0, end)))) return false;
      name = name.substr(0, end);
    }
    if (program_.declared_only && !IsDeclared(name)) return false;
  }
  call_.name = name;
  return !name.empty();
}

bool PatternReader::AddPair() {
  const auto tool = std::find_if(tools_.begin(), tools_.end(),
                                 [&](const Tool& one) { return one.name() == call_.name; });
  const DeclaredValue schema = tool == tools_.end() ? DeclaredValue() : DeclaredValue(*tool, key_);
  bool is_text = is_text_ == "true";
  if (program_.cdata && value_.starts_with(kCdataOpen) && value_.ends_with(kCdataClose) &&
      value_.size() >= kCdataOpen.size() + kCdataClose.size()) {
    value_ =
        value_.substr(kCdataOpen.size(), value_.size() - kCdataOpen.size() - kCdataClose.size());
    is_text = true;
  }
  const std::string& mark = program_.nested_mark;
  Json& argument = call_.arguments[std::exchange(key_, "")];
  if (is_text) {
    argument = value_;
  } else {
    argument =
        mark.empty() ? ArgumentFromText(value_, schema) : ArgumentFromTags(value_, mark, schema);
  }
  value_.clear();
  is_text_.clear();
  return true;
}

void PatternReader::Accept(std::vector<ToolCall>* calls) {
  if (!std::exchange(call_is_taken_, false)) calls->push_back(std::move(call_));
  call_ = ToolCall();
  accepted_ = true;
}

bool PatternReader::MayEnd() const { return accepted_ && program_.operations[at_].may_end; }

}  // namespace puna::chat
