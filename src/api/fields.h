// Typed access to the fields of a request's JSON, with the error texts of Go's decoder, which
// clients of Ollama know:
//   json: cannot unmarshal number into Go struct field ChatRequest.model of type string
// A field that is absent or null leaves its variable as it was. The first error stops everything
// after it: read all fields, then look at status() once.
#ifndef PUNA_API_FIELDS_H_
#define PUNA_API_FIELDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace puna::api {

// The JSON object in a request's body, its strings as Go reads them (base/json_repair.h). Empty:
// "missing request body"; malformed: where and what; of more objects or values than any request
// needs: the limits. kInvalidArgument.
Result<Json> ParseBody(std::string_view body);

class Fields {
 public:
  // `object` must outlive the reader; `owner` is the path in messages ("ChatRequest",
  // "ChatRequest.messages"). Names are
  // matched exactly first, then without regard to case, as Go does.
  Fields(const Json& object, std::string_view owner);

  void Read(std::string_view name, std::string* value);
  void Read(std::string_view name, bool* value);
  void Read(std::string_view name, int64_t* value);
  void Read(std::string_view name, double* value);
  void Read(std::string_view name, std::vector<std::string>* value);
  template <typename T>
  void Read(std::string_view name, std::optional<T>* value) {
    if (Find(name) == nullptr) return;
    T read{};
    Read(name, &read);
    if (status_) *value = std::move(read);
  }
  // A string or a list of strings.
  void ReadStrings(std::string_view name, std::vector<std::string>* value);

  // Null if absent or null.
  const Json* Find(std::string_view name) const;
  // The same for objects and lists of objects; what is none is an error, elements included. `type`
  // is what messages call an object.
  Result<const Json*> FindObject(std::string_view name, std::string_view type);
  Result<const Json*> FindObjects(std::string_view name, std::string_view type);
  // Notes that `name` is not of `type` ("string", "[]api.Message").
  void Mismatch(std::string_view name, const Json& found, std::string_view type);
  const Status& status() const { return status_; }
  // The owner of an object in the field `name`: "ChatRequest.messages".
  std::string OwnerOf(std::string_view name) const;

 private:
  const Json& object_;
  std::string owner_;
  Status status_;
};

}  // namespace puna::api

#endif  // PUNA_API_FIELDS_H_
