// SHA-256, the name of everything in the store. Not thread safe per object.
#ifndef PUNA_BASE_SHA256_H_
#define PUNA_BASE_SHA256_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace puna {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void Update(std::span<const uint8_t> bytes);
  void Update(std::string_view text);
  // 64 lower-case hexadecimal digits. The object is spent afterwards.
  std::string FinishHex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Sha256Hex(std::string_view text);

}  // namespace puna

#endif  // PUNA_BASE_SHA256_H_
