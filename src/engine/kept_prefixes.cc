// Between the engine and the pages on disk. A prompt that arrives brings back into the prefix cache
// what of it is on disk and not in memory; from there on nothing knows where a page came from. What
// is kept is decided when a prompt is done: if it found a long beginning, somebody else had it too,
// so a third one may come.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "engine/engine.h"
#include "engine/engine_state.h"

namespace puna::engine {
namespace {

constexpr auto kLeastTokens = static_cast<int64_t>(DiskPrefixes::kHeadPages) * backend::kPageTokens;
// Reading happens between two steps, while others wait.
constexpr int64_t kMostBytesAtOnce = int64_t{256} << 20;

}  // namespace

void Engine::State::OpenFolder() {
  const EngineOptions& options = parts.options;
  if (options.prefix_folder.empty() || options.weights_digest.empty() || !options.prefix_cache ||
      parts.states || parts.config.encoder || options.embeddings || pool.total() == 0) {
    return;
  }
  const auto page_bytes = static_cast<int64_t>(parts.program->PageBytes(0).size());
  if (page_bytes == 0) return;
  auto opened =
      DiskPrefixes::Open({.folder = options.prefix_folder,
                          .max_bytes = options.prefix_folder_bytes,
                          .identity = fmt::format("{}\n{}\n{}", options.weights_digest,
                                                  parts.program->PageFormat(), page_bytes),
                          .page_bytes = page_bytes});
  if (!opened) {
    LogWarning("prompts are not kept across restarts: {}", opened.error().message);
    return;
  }
  disk = *std::move(opened);
}

void Engine::State::BringBack(std::span<const TokenId> tokens) {
  if (disk == nullptr || std::cmp_less_equal(tokens.size(), kLeastTokens)) return;
  tokens = tokens.first(tokens.size() - 1);              // the last token is always computed
  const model::PageTable known = prefixes.Find(tokens);  // held until the others are in the tree
  const int64_t page_bytes = static_cast<int64_t>(parts.program->PageBytes(0).size());
  const int64_t most = std::max<int64_t>(1, kMostBytesAtOnce / page_bytes);
  std::vector<int32_t> pages(known.pages().begin(), known.pages().end());
  const auto found = disk->Find(tokens, pages.size(), static_cast<size_t>(most));
  if (found.empty()) return;
  const size_t end = found.back().first + found.back().pages;
  prefixes.MakeFree(static_cast<int64_t>(end - pages.size()));
  for (const DiskPrefixes::FileOnDisk& file : found) {
    if (!ReadPages(file, &pages)) break;
  }
  NoteTouched();
  prefixes.Insert(tokens, pages, /*still_running=*/false);
  for (size_t i = known.pages().size(); i < pages.size(); ++i) pool.Release(pages[i]);
}

// Appends those that `pages` does not have yet. On false it is as before.
bool Engine::State::ReadPages(const DiskPrefixes::FileOnDisk& file, std::vector<int32_t>* pages) {
  const size_t before = pages->size();
  std::vector<std::span<uint8_t>> bytes;
  bool good = true;
  while (good && pages->size() < file.first + file.pages) {
    const Result<int32_t> free = pool.Allocate();
    good = free.has_value();
    if (!good) break;
    pages->push_back(*free);
    bytes.push_back(parts.program->PageBytes(*free));
  }
  if (good && disk->Read(file, bytes)) return true;
  for (size_t i = before; i < pages->size(); ++i) pool.Release((*pages)[i]);
  pages->resize(before);
  return false;
}

void Engine::State::KeepOnDisk(const Sequence& sequence) {
  // Of a prompt that nobody asked for yet, nobody else had the beginning.
  if (disk == nullptr || sequence.prefix_key() != 0 || sequence.background()) return;
  const int64_t shared = std::min(sequence.cached_prompt_tokens(), sequence.cache().length());
  if (shared < kLeastTokens) return;
  disk->Keep(std::span(sequence.tokens()).first(static_cast<size_t>(shared)), [&](size_t i) {
    return std::span<const uint8_t>(parts.program->PageBytes(sequence.cache().pages()[i]));
  });
}

}  // namespace puna::engine
