// Which filters, tests and global functions the language has. One table each, in the file that
// implements them.
#ifndef PUNA_CHAT_JINJA_JINJA_NAMES_H_
#define PUNA_CHAT_JINJA_JINJA_NAMES_H_

#include <string_view>

namespace puna::chat::jinja {

bool IsFilterName(std::string_view name);
bool IsTestName(std::string_view name);

}  // namespace puna::chat::jinja

#endif  // PUNA_CHAT_JINJA_JINJA_NAMES_H_
