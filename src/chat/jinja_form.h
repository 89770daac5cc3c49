// The forms in which published Jinja templates want one and the same conversation.
#ifndef PUNA_CHAT_JINJA_FORM_H_
#define PUNA_CHAT_JINJA_FORM_H_

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
  bool tools_as_functions = false;  // under the names of older libraries, as text
};

// The forms that differ for this request, the plain one first, then those that follow one habit,
// then those that follow two.
std::vector<JinjaForm> FormsFor(const PromptRequest& request);

// The messages in a form, as far as it concerns them and not how they become JSON.
std::vector<Message> InForm(std::vector<Message> messages, const JinjaForm& form);

}  // namespace puna::chat

#endif  // PUNA_CHAT_JINJA_FORM_H_
