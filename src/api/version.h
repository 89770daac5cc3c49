// What puna says of its own version, and of the API it speaks.
#ifndef PUNA_API_VERSION_H_
#define PUNA_API_VERSION_H_

namespace puna::api {

extern const char kVersion[];

// Clients compare /api/version with the Ollama release that brought a feature, so it names the
// release that is imitated.
inline constexpr char kOllamaVersion[] = "0.32.0";

}  // namespace puna::api

#endif  // PUNA_API_VERSION_H_
