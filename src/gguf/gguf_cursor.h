// A read position in untrusted bytes. Every read checks what is left first. Internal to gguf.
#ifndef PUNA_GGUF_GGUF_CURSOR_H_
#define PUNA_GGUF_GGUF_CURSOR_H_

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace puna::gguf {

// An unaligned little-endian number. The machines puna runs on are little-endian.
template <typename T>
T LoadNumber(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

class Cursor {
 public:
  explicit Cursor(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  uint64_t position() const { return position_; }
  uint64_t left() const { return bytes_.size() - position_; }

  // Null without moving if fewer than `count` bytes are left.
  const uint8_t* Take(uint64_t count) {
    if (count > left()) return nullptr;
    const uint8_t* at = bytes_.data() + position_;
    position_ += count;
    return at;
  }

  template <typename T>
  std::optional<T> TakeNumber() {
    const uint8_t* at = Take(sizeof(T));
    if (at == nullptr) return std::nullopt;
    return LoadNumber<T>(at);
  }

  // A 64-bit length and that many bytes.
  std::optional<std::string_view> TakeString() {
    const uint64_t start = position_;
    const std::optional<uint64_t> length = TakeNumber<uint64_t>();
    const uint8_t* at = length ? Take(*length) : nullptr;
    if (at == nullptr) {
      position_ = start;
      return std::nullopt;
    }
    return std::string_view(reinterpret_cast<const char*>(at), *length);
  }

 private:
  std::span<const uint8_t> bytes_;
  uint64_t position_ = 0;
};

}  // namespace puna::gguf

#endif  // PUNA_GGUF_GGUF_CURSOR_H_
