#include "engine/page_file.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/sha256.h"

namespace puna::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "pages are kept as they are in memory");

// Counts up when the meaning of a page's bytes changes.
constexpr uint32_t kVersion = 1;
constexpr std::string_view kMagic = "PUNAPAGE";
constexpr size_t kHash = 64;
constexpr size_t kHead = 16 + kHash + 8;

std::string Head(std::string_view name, uint64_t page_bytes) {
  std::string head(kMagic);
  const auto append = [&](auto number) {
    head.append(reinterpret_cast<const char*>(&number), sizeof(number));
  };
  append(kVersion);
  append(uint32_t{0});
  head += name;
  append(page_bytes);
  return head;
}

std::string HashOf(std::string_view head, std::span<const uint8_t> page) {
  Sha256 hash;
  hash.Update(head);
  hash.Update(page);
  return hash.FinishHex();
}

std::string_view AsText(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::string PageChain(std::string_view identity) { return Sha256Hex(identity); }

std::string NextInChain(std::string_view chain, std::span<const int32_t> tokens) {
  Sha256 hash;
  hash.Update(chain);
  hash.Update({reinterpret_cast<const uint8_t*>(tokens.data()), tokens.size_bytes()});
  return hash.FinishHex();
}

PageFrame FramePage(std::string_view name, std::span<const uint8_t> page) {
  PageFrame frame{.head = Head(name, page.size()), .tail = {}};
  frame.tail = HashOf(frame.head, page);
  return frame;
}

Result<std::span<const uint8_t>> OpenPage(std::span<const uint8_t> file, std::string_view name,
                                          uint64_t page_bytes) {
  if (file.size() < kHead + kHash || file.size() - kHead - kHash != page_bytes) {
    return MakeError(ErrorCode::kCorrupt, "{} bytes, expected a page of {} and {} around it",
                     file.size(), page_bytes, kHead + kHash);
  }
  const std::string head = Head(name, page_bytes);
  if (AsText(file.first(kHead)) != head) {
    return MakeError(ErrorCode::kCorrupt, "not a page of version {} called {}", kVersion, name);
  }
  const std::span<const uint8_t> page = file.subspan(kHead, page_bytes);
  if (AsText(file.last(kHash)) != HashOf(head, page))
    return MakeError(ErrorCode::kCorrupt, "the checksum does not fit the content");
  return page;
}

}  // namespace puna::engine
