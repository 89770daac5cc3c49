// A schema as a document: where its parts stand and what its references mean. Internal to grammar.
#ifndef PUNA_GRAMMAR_SCHEMA_DOCUMENT_H_
#define PUNA_GRAMMAR_SCHEMA_DOCUMENT_H_

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/json.h"
#include "base/result.h"

namespace puna::grammar {

class SchemaDocument {
 public:
  static constexpr int kMaxDepth = 100;
  static constexpr size_t kMaxNodes = 200'000;
  static constexpr size_t kMaxNameBytes = size_t{64} << 20;  // of the places and ids of all nodes

  // `root` must outlive the document. kInvalidArgument: too large, too deep, an id given twice, or
  // `effort` is at its end.
  static Result<SchemaDocument> Read(const Json& root, Effort* effort);

  const Json& root() const { return *root_; }
  // What the "$ref" or "$dynamicRef" (`keyword`) of the object `from` points to. kUnsupported:
  // another document, or one of several places, depending on the way that led to `from`.
  Result<const Json*> Resolve(const Json& from, const std::string& keyword) const;
  // "#/properties/a", for messages.
  std::string PlaceOf(const Json& node) const;

 private:
  // What a node of the document is: the names in a schema are keywords, in a map of schemas they
  // are anybody's, and data means nothing.
  enum class Role { kSchema, kSchemas, kData };
  static Role RoleOf(const std::string& keyword);
  Status Visit(const Json& node, const std::string& place, const std::string& base, int depth,
               Role role, Effort* effort);
  const Json* root_ = nullptr;
  size_t nodes_ = 0, name_bytes_ = 0;
  std::unordered_map<const Json*, std::string> places_;
  std::unordered_map<const Json*, std::string> bases_;      // of objects with a reference
  std::map<std::string, const Json*, std::less<>> by_uri_;  // resources, and anchors behind "#"
  std::multimap<std::string, const Json*, std::less<>> dynamic_;  // by the name of the anchor
  std::string root_base_;
};

}  // namespace puna::grammar

#endif  // PUNA_GRAMMAR_SCHEMA_DOCUMENT_H_
