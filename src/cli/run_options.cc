#include "cli/run_options.h"

#include "base/json.h"

namespace puna::cli {

Result<Json> ParseFormat(const std::string& text) {
  if (text == "json") return Json("json");
  Json schema = ParseJson(text);
  if (!schema.is_object()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "the format is \"{}\", it must be json or a JSON Schema", text);
  }
  return schema;
}

Json RequestOf(const RunOptions& options) {
  Json request = {{"model", options.model}};
  if (!options.parameters.empty()) request["options"] = options.parameters;
  if (!options.format.is_null()) request["format"] = options.format;
  if (!options.keep_alive.empty()) request["keep_alive"] = options.keep_alive;
  if (options.think == "true" || options.think == "false") {
    request["think"] = options.think == "true";
  } else if (!options.think.empty()) {
    request["think"] = options.think;
  }
  return request;
}

}  // namespace puna::cli
