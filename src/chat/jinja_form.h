// The forms in which published Jinja templates want one and the same conversation.
#ifndef PUNA_CHAT_JINJA_FORM_H_
#define PUNA_CHAT_JINJA_FORM_H_

#include <functional>
#include <string>
#include <vector>

#include "chat/chat.h"

namespace puna::chat {

// Which of the templates' incompatible habits to follow.
struct JinjaForm {
  bool arguments_as_text = false;
  bool short_call_ids = false;         // nine letters and digits
  bool one_call_a_turn = false;        // each followed by its result
  bool calls_without_content = false;  // where the turn has thinking too
  bool system_in_user = false;
  bool later_system_in_user = false;  // all but the first message's
  bool turns = false;  // user and assistant in turns: neighbours in one message, none that is empty
  bool no_tools_as_list = false;    // an empty one where there are none
  bool tools_as_functions = false;  // under the names of older libraries, as text
  bool tools_in_full = false;       // with what a definition may leave out
  bool types_without_null = false;  // of tools' parameters, by name where one is left
};

// What `render` makes of the plain form or, where that is an error of kInvalidArgument, of the form
// that follows as few habits as possible: one, or of all of them those without which it fails. The
// error is that of the plain form. Of n habits that matter to the request, a template that nothing
// helps is rendered at most n + 3 times, another at most 2 n + 3 times.
Result<std::string> RenderInForms(
    const PromptRequest& request,
    const std::function<Result<std::string>(const JinjaForm&)>& render);

// The messages and tools in a form, as far as it concerns them and not how they become JSON. A text
// of a system message stays where it stands among the others, as prompts of later turns must begin
// like those of earlier ones.
std::vector<Message> InForm(std::vector<Message> messages, const JinjaForm& form);
std::vector<Tool> InForm(std::vector<Tool> tools, const JinjaForm& form);

}  // namespace puna::chat

#endif  // PUNA_CHAT_JINJA_FORM_H_
