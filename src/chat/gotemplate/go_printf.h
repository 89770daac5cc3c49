// fmt.Sprintf of Go.
#ifndef PUNA_CHAT_GOTEMPLATE_GO_PRINTF_H_
#define PUNA_CHAT_GOTEMPLATE_GO_PRINTF_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/gotemplate/go_value.h"

namespace puna::chat::gotemplate {

// `arguments` from `first` on, as `format` says. What does not fit together is told in the text, as
// in Go; only one of more than `max_bytes` is an error.
Result<std::string> Sprintf(std::string_view format, const std::vector<GoValue>& arguments,
                            size_t first, size_t max_bytes);

}  // namespace puna::chat::gotemplate

#endif  // PUNA_CHAT_GOTEMPLATE_GO_PRINTF_H_
