// The keys of PEFT's alpha_pattern, which are Python's regular expressions.
#ifndef PUNA_STORE_CONVERT_PEFT_KEY_H_
#define PUNA_STORE_CONVERT_PEFT_KEY_H_

#include <string_view>

#include "base/result.h"

namespace puna::store {

// True if `key` matches the end of `module` ("model.layers.0.self_attn.q_proj"), from its beginning
// or from behind a point on, as re.match(rf"(.*\.)?({key})$", module) does. Takes the time of the
// key's length, whatever it is. kUnsupported for what names of modules need not: repeated groups,
// counts, assertions beside ^ and $, references.
Result<bool> MatchesPeftKey(std::string_view key, std::string_view module);

}  // namespace puna::store

#endif  // PUNA_STORE_CONVERT_PEFT_KEY_H_
