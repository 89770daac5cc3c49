// Grammars that say which text a model may write: JSON Schema, GBNF and regular expressions become
// one automaton over bytes, and the automaton becomes masks over the tokens of a vocabulary.
//
// A request goes: parts (what the caller wants) -> Grammar (compiled once, slow) -> Constraint
// (with a vocabulary; caches what it learns) -> Matcher (one text under way).
//
// Schemas, grammars and patterns are hostile: reading them is bounded in size, depth and states,
// and what is wrong or not supported is an error that names it. Nothing is ignored.
#ifndef PUNA_GRAMMAR_GRAMMAR_H_
#define PUNA_GRAMMAR_GRAMMAR_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "tokenizer/tokenizer.h"

namespace puna::grammar {

using TokenId = int32_t;
class Automaton;
class MaskCache;
class TokenTrie;

// How a schema is read where it leaves things open.
enum class SchemaReading {
  // Exactly what the schema accepts: other properties than the named ones, any type where none is
  // named. For judging texts.
  kExact,
  // What whoever asks a model to answer in this form means, a subset of kExact: an object with
  // `properties` has no others unless `additionalProperties` says so, and keywords of one type
  // imply that type where none is named.
  kNarrow,
};

// A piece of a grammar. Parts are values; they are read when a Grammar is compiled.
struct Part {
  enum class Kind : uint8_t {
    kText,        // exactly `text`
    kToken,       // the control token written `text`, or its text where it is an ordinary token
    kUntil,       // any text up to and with the first `text`
    kSchema,      // a JSON value as `schema` wants it
    kSchemaText,  // a string that `schema` accepts, bare, and that `text` does not occur in
    kGbnf,        // what the rule "root" of the GBNF grammar `text` accepts
    kRegex,       // what the regular expression `text` (ECMAScript) matches as a whole
    kSequence,    // `parts` one after the other
    kChoice,      // one of `parts`
    kRepeat,      // parts[0], `min` to `max` times; max < 0: without limit
  };
  Kind kind = Kind::kText;
  std::string text;
  std::shared_ptr<const Json> schema;  // may be large, and parts are copied
  SchemaReading reading = SchemaReading::kNarrow;
  std::vector<Part> parts;
  int64_t min = 0, max = 0;

  static Part Text(std::string_view text);
  static Part Token(std::string_view text);
  static Part Until(std::string_view text);
  static Part Schema(Json schema, SchemaReading reading = SchemaReading::kNarrow);
  static Part SchemaText(Json schema, std::string_view never);
  static Part Gbnf(std::string_view text);
  static Part Regex(std::string_view pattern);
  static Part Sequence(std::vector<Part> parts);
  static Part Choice(std::vector<Part> parts);
  static Part Repeat(Part part, int64_t min, int64_t max);
  static Part Optional(Part part) { return Repeat(std::move(part), 0, 1); }
  // Up to `max` characters of white space.
  static Part Spaces(int64_t max);
  // Any JSON object: Ollama's format "json".
  static Part JsonObject();

  // A text that two parts share exactly if they are equal: for caches.
  std::string Key() const;
};

// Immutable and thread safe.
class Grammar {
 public:
  // kInvalidArgument: malformed, or beyond a limit. kUnsupported: a schema's keyword that a grammar
  // cannot say; the message names it.
  //
  // JSON is written compactly or with one space behind "," and ":"; the white space of pretty
  // printing is allowed within bounds. Objects have their properties in the schema's order.
  static Result<std::shared_ptr<const Grammar>> Compile(const Part& part);
  ~Grammar();

  // False if no text at all is accepted (a schema that contradicts itself).
  bool satisfiable() const;
  bool Accepts(std::string_view text) const;
  // Whether the grammar accepts a JSON value in its compact form, with the properties of its
  // objects in some order and numbers in their shortest form. kResourceExhausted if too many orders
  // would have to be tried.
  Result<bool> AcceptsJson(std::string_view json) const;
  const Automaton& automaton() const { return *automaton_; }

 private:
  explicit Grammar(std::unique_ptr<const Automaton> automaton);
  std::unique_ptr<const Automaton> automaton_;
};

// A vocabulary in the form that masks are made from. Takes about 0.1 s for 150,000 tokens, so one
// is made per model. Immutable and thread safe.
std::shared_ptr<const TokenTrie> MakeTokenTrie(
    std::shared_ptr<const tokenizer::Tokenizer> tokenizer);

// A grammar over a vocabulary, shared by all texts that follow it. Thread safe.
class Constraint {
 public:
  Constraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie);
  ~Constraint();
  const Grammar& grammar() const { return *grammar_; }
  const TokenTrie& trie() const { return *trie_; }
  int64_t vocabulary_size() const;
  // About what the masks take that were made so far.
  size_t mask_bytes() const;

 private:
  friend class Matcher;
  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const TokenTrie> trie_;
  std::unique_ptr<MaskCache> cache_;
};

// One text under way. Not thread safe.
class Matcher {
 public:
  explicit Matcher(std::shared_ptr<const Constraint> constraint);
  ~Matcher();
  Matcher(Matcher&&) noexcept;
  Matcher& operator=(Matcher&&) noexcept;

  // One bit per token of the vocabulary, the lowest bit of word 0 first: what may come next. End of
  // generation is allowed exactly when the text is complete. kInvalidArgument if the grammar is
  // too ambiguous to be followed. Valid until the next call of anything.
  Result<std::span<const uint64_t>> Mask();
  // Takes the next token. kInvalidArgument if the grammar does not allow it; then nothing changed.
  Status Accept(TokenId token);
  // Nothing may follow: the text is complete and can not go on.
  bool finished() const;
  // The text is complete, though it may go on.
  bool complete() const;
  // Tokens that must come next whatever the model would say, as the tokenizer would write that
  // text. Empty where there is a choice. Nothing is accepted.
  std::vector<TokenId> Forced() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_GRAMMAR_H_
