// The file that keeps one page of the key/value cache, and its name. What a page holds depends on
// the model, on the program that computed it and on every token up to its end; the name is a hash
// of all of them, so a file can only be taken for what it is.
//
// Layout, little-endian: "PUNAPAGE", version (4 bytes), 0 (4 bytes), the name in hexadecimal (64),
// the size of the page (8), the page, SHA-256 of all before in hexadecimal (64).
#ifndef PUNA_ENGINE_PAGE_FILE_H_
#define PUNA_ENGINE_PAGE_FILE_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace puna::engine {

// The name of nothing yet: where the chain of names of a model's pages begins. `identity` says
// everything that pages depend on beside the tokens.
std::string PageChain(std::string_view identity);
// The name of the page with these tokens (a whole page's) behind the page `chain`: 64 hexadecimal
// digits.
std::string NextInChain(std::string_view chain, std::span<const int32_t> tokens);

// The bytes of the file before and behind those of the page.
struct PageFrame {
  std::string head, tail;
};
PageFrame FramePage(std::string_view name, std::span<const uint8_t> page);

// The page in `file`, if it is whole and the one called `name`; kCorrupt says what is wrong.
Result<std::span<const uint8_t>> OpenPage(std::span<const uint8_t> file, std::string_view name,
                                          uint64_t page_bytes);

}  // namespace puna::engine

#endif  // PUNA_ENGINE_PAGE_FILE_H_
