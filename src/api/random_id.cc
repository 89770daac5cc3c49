#include "api/random_id.h"

#include <random>

namespace puna::api {

std::string RandomId(std::string_view prefix, int length) {
  static constexpr std::string_view kCharacters = "abcdefghijklmnopqrstuvwxyz0123456789";
  static thread_local std::mt19937_64 random{std::random_device{}()};
  std::string id(prefix);
  for (int i = 0; i < length; ++i) id += kCharacters[random() % kCharacters.size()];
  return id;
}

}  // namespace puna::api
