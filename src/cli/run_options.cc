#include "cli/run_options.h"

#include "base/duration.h"
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

Result<Json> ParseKeepAliveOption(const std::string& text) {
  PUNA_ASSIGN_OR_RETURN(const auto parsed, ParseKeepAlive(text));
  if (ParseGoDuration(text)) return Json(text);
  if (parsed == kForever) return Json(-1);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(parsed);
  if (seconds == parsed) return Json(seconds.count());
  return Json(std::chrono::duration<double>(parsed).count());
}

Json RequestOf(const RunOptions& options) {
  Json request = {{"model", options.model}};
  if (!options.parameters.empty()) request["options"] = options.parameters;
  if (!options.format.is_null()) request["format"] = options.format;
  if (!options.keep_alive.is_null()) request["keep_alive"] = options.keep_alive;
  if (options.think == "true" || options.think == "false") {
    request["think"] = options.think == "true";
  } else if (!options.think.empty()) {
    request["think"] = options.think;
  } else if (options.model_thinks) {
    request["think"] = true;
  }
  return request;
}

}  // namespace puna::cli
