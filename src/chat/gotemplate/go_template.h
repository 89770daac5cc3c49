// Go's text/template with the functions that Ollama adds.
#ifndef PUNA_CHAT_GOTEMPLATE_GO_TEMPLATE_H_
#define PUNA_CHAT_GOTEMPLATE_GO_TEMPLATE_H_

#include <ctime>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/gotemplate/go_ast.h"
#include "chat/gotemplate/go_value.h"

namespace puna::chat::gotemplate {

struct GoLimits {
  uint64_t max_steps = 10'000'000;
  uint64_t max_output_bytes = uint64_t{32} << 20;
  int max_depth = 200;  // of templates that call templates
};

// Immutable and thread safe.
class GoTemplate {
 public:
  // kInvalidArgument for what Go does not parse. A template that mentions neither .Messages nor
  // .Response gets
  // {{ .Response }} appended.
  static Result<std::shared_ptr<const GoTemplate>> Parse(std::string_view source);

  // `data` is the template's dot and $. kInvalidArgument for what Go refuses while executing,
  // kResourceExhausted beyond limits.
  Result<std::string> Execute(const GoValue& data, const std::tm& now,
                              const GoLimits& limits = {}) const;
  // The same up to the first {{ ... .Response ... }}: nothing behind that node is executed.
  Result<std::string> ExecuteUpToResponse(const GoValue& data, const std::tm& now,
                                          const GoLimits& limits = {}) const;

  // The names of all fields and variables, in lower case, except inside {{ define }}s that nothing
  // calls.
  const std::set<std::string>& variables() const { return variables_; }
  const Tree& tree() const { return tree_; }

 private:
  GoTemplate() = default;
  Tree tree_;
  List up_to_response_;
  std::set<std::string> variables_;
};

// What stands around {{ .Thinking }} where the template shows earlier messages: the first and last
// text of the innermost list that contains it, trimmed. Empty if it is nowhere.
void InferThinkTags(const Tree& tree, std::string* open, std::string* close);

// The first text inside `if .ToolCalls`, trimmed and cut at its first "{"; "{" if there is none.
std::string InferToolCallTag(const Tree& tree);

}  // namespace puna::chat::gotemplate

#endif  // PUNA_CHAT_GOTEMPLATE_GO_TEMPLATE_H_
