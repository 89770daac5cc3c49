// Jinja templates as chat templates use them, rendered as Python's Jinja renders them for Hugging
// Face: blocks trimmed and left-stripped, loop controls, {% generation %}, raise_exception,
// strftime_now, and json.dumps as `tojson`.
#ifndef PUNA_CHAT_JINJA_JINJA_H_
#define PUNA_CHAT_JINJA_JINJA_H_

#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "chat/jinja/jinja_meter.h"

namespace puna::chat::jinja {

struct Program;

struct RenderOptions {
  std::tm now = {};  // what strftime_now tells
  // Python's sandbox refuses list.append and its kin. Some published templates (Kimi K2) call it
  // all the same and cannot render a tool round trip in Python; true lets them. It also lets tojson
  // write what map and its kin give (the DeepSeek R1 template of llama.cpp), as a list.
  bool allow_list_changes = false;
  Limits limits;
};

// Immutable and thread safe.
class Template {
 public:
  // kInvalidArgument ("line N: ...") for what Python's Jinja does not compile.
  static Result<std::shared_ptr<const Template>> Parse(std::string_view source);
  ~Template();

  // `variables` is an object. kInvalidArgument with the template's own words for raise_exception
  // and for what Python would raise, recursion without end too; kResourceExhausted beyond the other
  // limits.
  Result<std::string> Render(const Json& variables, const RenderOptions& options) const;

 private:
  explicit Template(std::unique_ptr<const Program> program);
  std::unique_ptr<const Program> program_;
};

}  // namespace puna::chat::jinja

#endif  // PUNA_CHAT_JINJA_JINJA_H_
