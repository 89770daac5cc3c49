// Makes JSON of what Go's decoder, and so Ollama, takes in strings although JSON forbids it: bytes
// that are no UTF-8, and half of a surrogate pair as \uXXXX, which JSON.stringify writes for a text
// that was cut inside an emoji.
#ifndef PUNA_BASE_JSON_REPAIR_H_
#define PUNA_BASE_JSON_REPAIR_H_

#include <optional>
#include <string>
#include <string_view>

namespace puna {

// The text with U+FFFD for each such byte or half, as Go reads it; nothing where there is none.
// What else is wrong stays. Linear time, at most three times the length. Thread safe.
std::optional<std::string> RepairJsonStrings(std::string_view text);

}  // namespace puna

#endif  // PUNA_BASE_JSON_REPAIR_H_
