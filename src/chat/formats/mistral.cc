// Mistral, in both forms: [TOOL_CALLS][{"name": ..., "arguments": {...}}, ...] of the older models,
// and [TOOL_CALLS]name[ARGS]{...} of the newer ones, with [CALL_ID]id behind the name in some, and
// one marker per call.
#include "chat/formats/formats.h"
#include "chat/json_scanner.h"

namespace puna::chat {
namespace {

constexpr size_t kMaxNameBytes = 512;

class MistralReader final : public CallReader {
 public:
  explicit MistralReader(const CallContext& context) : array_(MakeJsonReader(context, "", false)) {}

  State Feed(char c, std::vector<ToolCall>* calls) override {
    const bool is_space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    switch (stage_) {
      case Stage::kStart:
        if (is_space) return State::kReading;
        if (c == '[') {
          stage_ = Stage::kArray;
          return array_->Feed(c, calls);
        }
        stage_ = Stage::kName;
        [[fallthrough]];
      case Stage::kName:
        if (c == '{') {
          stage_ = Stage::kArguments;
          scanner_.Feed(c);
          return State::kReading;
        }
        head_ += c;
        return head_.size() > kMaxNameBytes ? State::kBroken : State::kReading;
      case Stage::kArguments:
        return Arguments(c, calls);
      case Stage::kArray:
        return array_->Feed(c, calls);
      case Stage::kDone:
        break;
    }
    if (is_space) return State::kReading;
    unread_ = std::string(1, c);
    return State::kEnded;
  }

  bool MayEnd() const override {
    return stage_ == Stage::kDone || (stage_ == Stage::kArray && array_->MayEnd());
  }
  std::string unread() const override {
    return stage_ == Stage::kArray ? array_->unread() : unread_;
  }

 private:
  enum class Stage : uint8_t { kStart, kName, kArguments, kArray, kDone };

  State Arguments(char c, std::vector<ToolCall>* calls) {
    const JsonScanner::State state = scanner_.Feed(c);
    if (state == JsonScanner::State::kMore) return State::kReading;
    ToolCall call;
    if (state == JsonScanner::State::kDone)
      call.arguments = Json::parse(scanner_.text(), nullptr, false);
    call.name = Part(0, head_.find('['));
    if (const size_t id = head_.find("[CALL_ID]"); id != std::string::npos) {
      call.id = Part(id + 9, head_.find('[', id + 9));
    }
    if (state == JsonScanner::State::kInvalid || !call.arguments.is_object() || call.name.empty())
      return State::kBroken;
    calls->push_back(std::move(call));
    stage_ = Stage::kDone;
    return State::kAccepted;
  }

  // The trimmed piece [begin, end) of what stood before the arguments.
  std::string Part(size_t begin, size_t end) const {
    const std::string piece = head_.substr(begin, end == std::string::npos ? end : end - begin);
    const size_t first = piece.find_first_not_of(" \t\r\n");
    return first == std::string::npos
               ? ""
               : piece.substr(first, piece.find_last_not_of(" \t\r\n") - first + 1);
  }

  Stage stage_ = Stage::kStart;
  std::string head_;
  JsonScanner scanner_;
  std::unique_ptr<CallReader> array_;
  std::string unread_;
};

bool UsedBy(std::string_view source) {
  return source.find("[TOOL_CALLS]") != std::string_view::npos;
}

std::unique_ptr<CallReader> Open(const CallContext& context) {
  return std::make_unique<MistralReader>(context);
}

// Both forms: the model knows its own.
grammar::Part Calls(std::span<const Tool> tools, bool several) {
  using grammar::Part;
  const Part marker = Part::Token("[TOOL_CALLS]");
  std::vector<Part> named;
  for (const Tool& tool : tools) {
    named.push_back(Part::Sequence(
        {marker, Part::Text(tool.name()), Part::Token("[ARGS]"), ArgumentsPart(tool)}));
  }
  const Part list =
      Part::Sequence({marker, Part::Optional(Part::Text(" ")), Part::Text("["),
                      CallsPart(JsonCallPart(tools, "arguments"), ", ", several), Part::Text("]")});
  return Part::Choice({list, CallsPart(Part::Choice(std::move(named)), "", several)});
}

}  // namespace

ToolFormat MistralFormat() { return {"mistral", UsedBy, {"[TOOL_CALLS]"}, false, Open, Calls}; }

}  // namespace puna::chat
