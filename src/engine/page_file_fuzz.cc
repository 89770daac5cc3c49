// Any bytes: either an error, or a page that lies within them. The first byte chooses the size that
// is expected. The name is that of a well-formed file, so that a mutation may keep the head.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/check.h"
#include "engine/page_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace puna::engine;
  if (size == 0) return 0;
  // Exactly as long, so that a sanitizer sees reads beyond the end.
  const std::vector<uint8_t> file(data + 1, data + size);
  const std::string name = PageChain("fuzz");
  const auto page = OpenPage(file, name, data[0]);
  if (page) {
    CHECK(page->size() == data[0]);
    const PageFrame frame = FramePage(name, *page);
    CHECK(frame.head.size() + page->size() + frame.tail.size() == file.size());
  }
  return 0;
}
