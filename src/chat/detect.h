// Which well-known prompt format a Jinja chat template is, as Ollama tells it when a model is
// created from a GGUF file: the name is shown, and the stop words become parameters of the model.
#ifndef PUNA_CHAT_DETECT_H_
#define PUNA_CHAT_DETECT_H_

#include <string_view>
#include <vector>

namespace puna::chat {

struct KnownTemplate {
  std::string_view name;                // Ollama's name, such as "chatml"
  std::vector<std::string_view> stops;  // its stop words
};

// Null if the template is none of them. Thread safe; the result lives as long as the program.
const KnownTemplate* DetectTemplate(std::string_view jinja_source);

}  // namespace puna::chat

#endif  // PUNA_CHAT_DETECT_H_
