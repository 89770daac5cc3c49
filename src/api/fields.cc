#include "api/fields.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/json.h"
#include "base/json_repair.h"
#include "base/text.h"

namespace puna::api {
namespace {

// A few bytes may become an object with a kilobyte of strings and lists, as messages and calls of
// tools do. What honest requests have a lot of are numbers: tokens.
constexpr int64_t kMaxObjects = 200'000;
constexpr int64_t kMaxValues = 2'000'000;

const char* GoKind(const Json& json) {
  if (json.is_string()) return "string";
  if (json.is_boolean()) return "bool";
  if (json.is_array()) return "array";
  if (json.is_object()) return "object";
  if (json.is_null()) return "null";
  return "number";
}

// The value of a text; an error in Go's words where it is none.
Result<Json> ParseText(std::string_view body) {
  try {
    return Json::parse(body);
  } catch (const Json::parse_error& error) {
    if (error.byte == 0 || error.byte > body.size()) {
      return MakeError(ErrorCode::kInvalidArgument, "unexpected EOF");
    }
    const auto c = static_cast<unsigned char>(body[error.byte - 1]);
    const std::string shown =
        std::isprint(c) != 0 ? std::string(1, static_cast<char>(c)) : fmt::format("\\x{:02x}", c);
    return MakeError(ErrorCode::kInvalidArgument,
                     "invalid character '{}' looking for beginning of value", shown);
  } catch (const Json::exception& error) {
    return MakeError(ErrorCode::kInvalidArgument, "invalid JSON: {}", error.what());
  }
}

}  // namespace

Result<Json> ParseBody(std::string_view body) {
  const auto is_space = [](unsigned char c) { return std::isspace(c) != 0; };
  if (std::all_of(body.begin(), body.end(), is_space)) {
    return MakeError(ErrorCode::kInvalidArgument, "missing request body");
  }
  const JsonShape shape = ShapeOfJson(body);
  if (shape.depth > kMaxJsonNesting)
    return MakeError(ErrorCode::kInvalidArgument, "exceeded max depth of {}", kMaxJsonNesting);
  if (shape.objects > kMaxObjects || shape.values > kMaxValues) {
    return MakeError(ErrorCode::kInvalidArgument, "the body has more than {} objects or {} values",
                     kMaxObjects, kMaxValues);
  }
  Result<Json> json = ParseText(body);
  if (!json) {
    if (const std::optional<std::string> repaired = RepairJsonStrings(body))
      json = ParseText(*repaired);
  }
  if (json && !json->is_object()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "json: cannot unmarshal {} into Go value of type object", GoKind(*json));
  }
  return json;
}

Fields::Fields(const Json& object, std::string_view owner) : object_(object), owner_(owner) {}

std::string Fields::OwnerOf(std::string_view name) const {
  return fmt::format("{}.{}", owner_, name);
}

const Json* Fields::Find(std::string_view name) const {
  auto it = object_.find(name);
  if (it == object_.end()) {
    for (it = object_.begin(); it != object_.end() && !EqualIgnoringCase(it.key(), name); ++it) {
    }
  }
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

Result<const Json*> Fields::FindObject(std::string_view name, std::string_view type) {
  const Json* found = Find(name);
  if (found != nullptr && !found->is_object()) Mismatch(name, *found, type);
  PUNA_RETURN_IF_ERROR(status_);
  return found;
}

Result<const Json*> Fields::FindObjects(std::string_view name, std::string_view type) {
  const Json* list = Find(name);
  if (list != nullptr && !list->is_array()) Mismatch(name, *list, fmt::format("[]{}", type));
  if (list != nullptr) {
    for (const Json& item : *list) {
      if (!item.is_object()) Mismatch(name, item, type);
    }
  }
  PUNA_RETURN_IF_ERROR(status_);
  return list;
}

void Fields::Mismatch(std::string_view name, const Json& found, std::string_view type) {
  if (!status_) return;
  status_ = MakeError(ErrorCode::kInvalidArgument,
                      "json: cannot unmarshal {} into Go struct field {}.{} of type {}",
                      GoKind(found), owner_, name, type);
}

void Fields::Read(std::string_view name, std::string* value) {
  const Json* found = Find(name);
  if (found == nullptr) return;
  if (!found->is_string()) return Mismatch(name, *found, "string");
  *value = found->get<std::string>();
}

void Fields::Read(std::string_view name, bool* value) {
  const Json* found = Find(name);
  if (found == nullptr) return;
  if (!found->is_boolean()) return Mismatch(name, *found, "bool");
  *value = found->get<bool>();
}

void Fields::Read(std::string_view name, int64_t* value) {
  const Json* found = Find(name);
  if (found == nullptr) return;
  if (found->is_number_integer()) {
    const bool too_large =
        found->is_number_unsigned() && found->get<uint64_t>() > uint64_t{INT64_MAX};
    if (too_large) return Mismatch(name, *found, "int");
    *value = found->get<int64_t>();
    return;
  }
  if (found->is_number_float()) {
    const double number = found->get<double>();
    if (number == std::floor(number) && std::abs(number) < 9e15) {
      *value = static_cast<int64_t>(number);
      return;
    }
  }
  Mismatch(name, *found, "int");
}

void Fields::Read(std::string_view name, double* value) {
  const Json* found = Find(name);
  if (found == nullptr) return;
  if (!found->is_number()) return Mismatch(name, *found, "float32");
  *value = found->get<double>();
}

void Fields::Read(std::string_view name, std::vector<std::string>* value) {
  const Json* found = Find(name);
  if (found == nullptr) return;
  if (!found->is_array()) return Mismatch(name, *found, "[]string");
  value->clear();
  for (const Json& element : *found) {
    if (!element.is_string()) return Mismatch(name, element, "string");
    value->push_back(element.get<std::string>());
  }
}

void Fields::ReadStrings(std::string_view name, std::vector<std::string>* value) {
  const Json* found = Find(name);
  if (found == nullptr) return;
  if (found->is_string()) {
    *value = {found->get<std::string>()};
  } else {
    Read(name, value);
  }
}

}  // namespace puna::api
