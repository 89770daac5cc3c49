// What `puna run` was told, and how it becomes requests. Shared by one prompt and the chat.
#ifndef PUNA_CLI_RUN_OPTIONS_H_
#define PUNA_CLI_RUN_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace puna::cli {

struct RunOptions {
  std::string model;
  std::vector<std::string> prompt_words;
  std::string system;
  Json parameters = Json::object();  // "options" of a request
  Json format;                       // null, "json" or a schema
  std::string think;                 // "true", "false" or a level; "": what the model does
  bool model_thinks = false;         // whether it can
  Json keep_alive;                   // seconds, or a duration as text; null: the server's
  bool verbose = false;
  bool word_wrap = true;
  bool hide_thinking = false;
  bool history = true;
  bool insecure = false;         // of a pull
  std::optional<bool> truncate;  // of embeddings
  int64_t dimensions = 0;        // of embeddings; 0: all
};

// "json", or a JSON Schema as text.
Result<Json> ParseFormat(const std::string& text);

// A duration, or a number of seconds, as text. The API takes the latter as a number only.
Result<Json> ParseKeepAliveOption(const std::string& text);

// model, options, format, keep_alive and think, where they are set.
Json RequestOf(const RunOptions& options);

}  // namespace puna::cli

#endif  // PUNA_CLI_RUN_OPTIONS_H_
