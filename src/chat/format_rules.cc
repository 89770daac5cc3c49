// A format's row as rules for the scanner: every pattern that may begin with what was seen reads
// along, and the first to be complete is the one that was meant.
#include <algorithm>
#include <memory>
#include <utility>

#include "chat/pattern_reader.h"
#include "chat/tool_format.h"

namespace puna::chat {
namespace {

struct Programs {
  std::vector<PatternProgram> programs;  // the earlier one wins
  std::vector<Tool> tools;
};

// A bracket is no marker: it means a call at the front of the output only.
constexpr std::string_view kListOpen = "[";
bool IsBare(const PatternProgram& program) {
  return program.first_literal().empty() || program.first_literal() == kListOpen;
}

class ParallelReader final : public CallReader {
 public:
  ParallelReader(std::shared_ptr<const Programs> programs, const std::string& marker)
      : programs_(std::move(programs)) {
    for (const PatternProgram& program : programs_->programs) {
      if (IsBare(program) != marker.empty()) continue;
      if (!program.first_literal().starts_with(marker)) continue;
      readers_.push_back(std::make_unique<PatternReader>(program, programs_->tools));
    }
  }

  State Feed(char c, std::vector<ToolCall>* calls) override {
    for (size_t i = 0; i < readers_.size();) {
      std::vector<ToolCall> found;
      const State state = readers_[i]->Feed(c, &found);
      if (state == State::kBroken) {
        readers_.erase(readers_.begin() + static_cast<std::ptrdiff_t>(i));
        continue;
      }
      if (state == State::kReading || state == State::kPassed) {
        if (readers_.size() == 1) return state;
        ++i;
        continue;
      }
      std::move(found.begin(), found.end(), std::back_inserter(*calls));
      std::unique_ptr<CallReader> winner = std::move(readers_[i]);
      readers_.clear();
      readers_.push_back(std::move(winner));
      return state;
    }
    return readers_.empty() ? State::kBroken : State::kReading;
  }

  bool MayEnd() const override { return readers_.size() == 1 && readers_[0]->MayEnd(); }
  std::string unread() const override { return readers_[0]->unread(); }

 private:
  std::shared_ptr<const Programs> programs_;
  std::vector<std::unique_ptr<CallReader>> readers_;
};

}  // namespace

ScannerRules RulesOf(const OutputFormat& format, const std::vector<Tool>& tools,
                     const ThinkTags& think_tags) {
  using Kind = PatternProgram::Kind;
  auto programs = std::make_shared<Programs>();
  programs->tools = tools;
  std::vector<PatternProgram>& all = programs->programs;
  if (!tools.empty() && !format.calls.call.empty()) {
    all.push_back(CompileCalls(format.calls));
    for (const CallPattern& pattern : format.also) all.push_back(CompileCalls(pattern));
  }
  if (!format.thinking.empty()) {
    all.push_back(CompileMark(format.thinking_next + format.thinking, Kind::kThinking));
    all.push_back(CompileMark(format.thinking, Kind::kThinking));
  }
  const bool thinks_again = format.thinks_again && !think_tags.empty();
  if (thinks_again) all.push_back(CompileMark(think_tags.open, Kind::kThinking));
  for (const std::string& mark : format.dropped) all.push_back(CompileMark(mark, Kind::kDropped));

  ScannerRules rules;
  rules.thinking_close = thinks_again ? think_tags.close : format.thinking_close;
  rules.trims_thinking = thinks_again;
  for (PatternProgram& program : all) {
    program.declared_only = format.declared_only;
    program.quote = format.quote;
    program.nested_mark = format.nested_mark;
    program.cdata = format.cdata;
    const std::string& literal = program.first_literal();
    if (!IsBare(program)) {
      rules.markers.push_back(literal);
      continue;
    }
    for (const char c : {'{', '['}) {
      const bool may_begin = literal.empty() ? program.MayBeginWith(c) : c == literal[0];
      if (may_begin && rules.bare.find(c) == std::string::npos) rules.bare += c;
    }
  }
  // A marker that begins with another one is found by that one.
  std::sort(rules.markers.begin(), rules.markers.end());
  const auto begun = [](const std::string& shorter, const std::string& longer) {
    return longer.starts_with(shorter);
  };
  rules.markers.erase(std::unique(rules.markers.begin(), rules.markers.end(), begun),
                      rules.markers.end());
  if (all.empty()) return rules;
  rules.open = [programs](const std::string& marker) -> std::unique_ptr<CallReader> {
    return std::make_unique<ParallelReader>(programs, marker);
  };
  return rules;
}

ScannerRules RulesWithinThinking(const OutputFormat& format, const std::vector<Tool>& tools) {
  if (!format.calls_end_thinking) return {};
  OutputFormat calls = format;
  calls.declared_only = true;
  calls.dropped.clear();
  return RulesOf(calls, tools, {});
}

}  // namespace puna::chat
