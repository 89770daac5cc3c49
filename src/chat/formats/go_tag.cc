// Models with a Go template: Ollama's generic reading. After the tag that the template puts before
// its calls comes, somewhere, JSON that names a declared tool, or such a name and then JSON with
// its arguments. What stands between and behind calls is decoration whose form the template does
// not tell, so it is dropped once there was a call.
#include <algorithm>

#include "base/json.h"
#include "chat/json_scanner.h"
#include "chat/tool_format.h"

namespace puna::chat {
namespace {

constexpr size_t kMaxTagBytes = 1024;

class GoTagReader final : public CallReader {
 public:
  GoTagReader(std::shared_ptr<const std::vector<Tool>> tools, size_t tag_bytes)
      : tools_(std::move(tools)), bare_(tag_bytes == 0), tag_left_(tag_bytes) {}

  State Feed(char c, std::vector<ToolCall>* calls) override {
    if (tag_left_ > 0) {
      --tag_left_;
      return State::kReading;
    }
    if (!scanner_.started() && c != '{' && c != '[') {
      head_ += c;
      if (head_.size() > 2 * kMaxTagBytes) head_.erase(0, head_.size() - kMaxTagBytes);
      return State::kReading;
    }
    const JsonScanner::State state = scanner_.Feed(c);
    if (state == JsonScanner::State::kMore) return State::kReading;
    const bool good = state == JsonScanner::State::kDone && Accept(scanner_.text(), calls);
    if (state == JsonScanner::State::kInvalid) head_ += scanner_.text();
    if (good) head_.clear();
    scanner_.Reset();
    accepted_ |= good;
    if (good) return State::kAccepted;
    // "[name]{...}": a bracket that is no JSON is part of what stands before it.
    const bool may_go_on = accepted_ || (!bare_ && state == JsonScanner::State::kInvalid);
    return may_go_on ? State::kReading : State::kBroken;
  }

  bool MayEnd() const override { return accepted_; }

 private:
  bool Accept(const std::string& text, std::vector<ToolCall>* calls) {
    if (CallsFromJson(text, *tools_, true, calls)) return true;
    ToolCall call;
    size_t best = std::string::npos;
    for (const Tool& tool : *tools_) {  // the name nearest to the arguments
      const std::string name = tool.name();
      const size_t at = name.empty() ? std::string::npos : head_.rfind(name);
      if (at == std::string::npos ||
          (best != std::string::npos && at + name.size() <= best + call.name.size()))
        continue;
      best = at;
      call.name = name;
    }
    if (best == std::string::npos) return false;
    call.arguments = ParseModelJson(text);
    if (!call.arguments.is_object()) return false;
    calls->push_back(std::move(call));
    return true;
  }

  std::shared_ptr<const std::vector<Tool>> tools_;
  bool bare_;
  size_t tag_left_;
  std::string head_;
  JsonScanner scanner_;
  bool accepted_ = false;
};

}  // namespace

ScannerRules RulesOfGoTag(const std::string& tag, const std::vector<Tool>& tools) {
  ScannerRules rules;
  if (tools.empty()) return rules;
  if (tag.empty() || tag == "{" || tag == "[") {
    rules.bare = "{[";
  } else {
    rules.markers.push_back(tag);
  }
  rules.open = [shared = std::make_shared<const std::vector<Tool>>(tools)](
                   const std::string& marker) -> std::unique_ptr<CallReader> {
    return std::make_unique<GoTagReader>(shared, marker.size());
  };
  return rules;
}

}  // namespace puna::chat
