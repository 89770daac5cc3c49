#include "store/bundled_model.h"

#include "base/check.h"

// The assembler copies the file into the read-only data of the program: no converter, no megabytes
// of C++ source. PUNA_BUNDLED_MODEL is the path; store/CMakeLists.txt sets it and rebuilds this
// file when the model changes.
asm(R"(
    .section .rodata
    .balign 64
    .global puna_bundled_model_begin
    .global puna_bundled_model_end
puna_bundled_model_begin:
    .incbin ")" PUNA_BUNDLED_MODEL R"("
puna_bundled_model_end:
    .byte 0
    .previous
)");
extern "C" const uint8_t puna_bundled_model_begin[];
extern "C" const uint8_t puna_bundled_model_end[];

namespace puna::store {

std::span<const uint8_t> BundledModelBytes() {
  return {puna_bundled_model_begin, puna_bundled_model_end};
}

std::shared_ptr<const gguf::File> BundledModelFile() {
  static const std::shared_ptr<const gguf::File> file = [] {
    auto parsed = gguf::File::Parse(BundledModelBytes());
    CHECK(parsed) << "the bundled model: " << parsed.error().message;
    return *std::move(parsed);
  }();
  return file;
}

}  // namespace puna::store
