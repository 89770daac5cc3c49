#include "api/constraint.h"

#include <algorithm>

#include "base/sha256.h"

namespace puna::api {
namespace {

constexpr size_t kKept = 32;

}  // namespace

Result<std::optional<grammar::Part>> PartOfFormat(const Json& format) {
  if (format.is_null() || format == "") return std::nullopt;
  if (format == "json") return grammar::Part::JsonObject();
  if (format.is_object()) return grammar::Part::Schema(format);
  return MakeError(ErrorCode::kInvalidArgument,
                   "invalid format: {}; expected \"json\" or a valid JSON Schema object",
                   DumpJson(Json(DumpJson(format))));
}

ConstraintCache::ConstraintCache(std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                                 size_t most_mask_bytes)
    : tokenizer_(std::move(tokenizer)), most_mask_bytes_(most_mask_bytes) {}

std::shared_ptr<const grammar::TokenTrie> ConstraintCache::Trie() {
  std::call_once(trie_once_, [this] { trie_ = grammar::MakeTokenTrie(tokenizer_); });
  return trie_;
}

Result<std::shared_ptr<const grammar::Constraint>> ConstraintCache::Get(const grammar::Part& part) {
  std::string key = Sha256Hex(part.Key());
  {
    const std::lock_guard lock(mutex_);
    const auto it = std::find_if(recent_.begin(), recent_.end(),
                                 [&](const auto& entry) { return entry.first == key; });
    if (it != recent_.end()) {
      recent_.splice(recent_.begin(), recent_, it);
      return recent_.front().second;
    }
  }
  PUNA_ASSIGN_OR_RETURN(const auto compiled, grammar::Grammar::Compile(part));
  if (!compiled->satisfiable()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "the format contradicts itself, or needs properties that it neither names nor "
                     "allows: no answer at all would satisfy it");
  }
  auto constraint = std::make_shared<const grammar::Constraint>(compiled, Trie());
  const std::lock_guard lock(mutex_);
  recent_.emplace_front(std::move(key), constraint);
  Shrink();
  return constraint;
}

void ConstraintCache::Shrink() {
  size_t bytes = 0, kept = 0;
  for (auto it = recent_.begin(); it != recent_.end(); ++it, ++kept) {
    bytes += it->second->mask_bytes();
    if (kept < kKept && (kept == 0 || bytes <= most_mask_bytes_)) continue;
    recent_.erase(it, recent_.end());
    return;
  }
}

}  // namespace puna::api
