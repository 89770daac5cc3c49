#include "chat/jinja/jinja.h"

#include "chat/jinja/jinja_ast.h"
#include "chat/jinja/jinja_interpreter.h"
#include "chat/jinja/jinja_parser.h"

namespace puna::chat::jinja {

Template::Template(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
Template::~Template() = default;

Result<std::shared_ptr<const Template>> Template::Parse(std::string_view source) {
  PUNA_ASSIGN_OR_RETURN(std::unique_ptr<const Program> program, jinja::Parse(source));
  return std::shared_ptr<const Template>(new Template(std::move(program)));
}

Result<std::string> Template::Render(const Json& variables, const RenderOptions& options) const {
  Meter meter(options.limits);
  std::string text;
  {
    // Its values are gone before the meter, which they report to.
    Interpreter interpreter(*program_, meter, options.now, options.allow_list_changes);
    for (const auto& [name, value] : variables.items()) {
      interpreter.SetGlobal(name, Value::FromJson(meter, value));
    }
    if (!meter.failed()) text = interpreter.Run();
  }
  if (meter.failed()) return tl::unexpected<Error>(meter.error());
  return text;
}

}  // namespace puna::chat::jinja
