// From what a request wants the answer to look like to a compiled constraint. Compiling is work for
// the blocking pool; results are kept per model, because clients ask for the same form again and
// again.
#ifndef PUNA_API_CONSTRAINT_H_
#define PUNA_API_CONSTRAINT_H_

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/json.h"
#include "base/result.h"
#include "grammar/grammar.h"
#include "tokenizer/tokenizer.h"

namespace puna::api {

// Ollama's "format": null or "" is nothing, "json" any JSON object, an object a JSON schema.
// Anything else is kInvalidArgument in Ollama's words.
Result<std::optional<grammar::Part>> PartOfFormat(const Json& format);

// The compiled constraints of one model that were used last: at most 32, and as many of them as
// have masks of `most_mask_bytes` together. Thread safe.
class ConstraintCache {
 public:
  explicit ConstraintCache(std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                           size_t most_mask_bytes = size_t{128} << 20);

  // kInvalidArgument or kUnsupported as Grammar::Compile says, or if no text at all is allowed.
  Result<std::shared_ptr<const grammar::Constraint>> Get(const grammar::Part& part);

 private:
  std::shared_ptr<const grammar::TokenTrie> Trie();
  void Shrink();
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  const size_t most_mask_bytes_;
  std::once_flag trie_once_;
  std::shared_ptr<const grammar::TokenTrie> trie_;
  std::mutex mutex_;
  // By the digest of Part::Key, which may be as long as a request; the most recently used first.
  std::list<std::pair<std::string, std::shared_ptr<const grammar::Constraint>>> recent_;
};

}  // namespace puna::api

#endif  // PUNA_API_CONSTRAINT_H_
