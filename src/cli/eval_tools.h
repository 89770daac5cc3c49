// The tools behind `puna eval`. Each does one thing and prints nothing else on standard output.
#ifndef PUNA_CLI_EVAL_TOOLS_H_
#define PUNA_CLI_EVAL_TOOLS_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/settings.h"

namespace puna::cli {

// Ids separated by white space; anything else is kInvalidArgument naming the word.
Result<std::vector<int32_t>> ParseTokenIds(std::string_view text);
// Those of a file; none at all is an error too.
Result<std::vector<int32_t>> ReadTokenIds(const std::string& path);

// What the commands that run a model take in common.
struct EvalModelOptions {
  std::string model;
  std::string backend = "cpu";
  std::string kv_type = "f16";
  int threads = 0;
  int64_t chunk = 512;  // tokens of one pass
};

struct EvalLogitsOptions {
  EvalModelOptions model;
  std::string tokens_file, out;
  std::vector<std::string> adapters;  // FILE or FILE=SCALE
};
Status EvalLogits(const Settings& settings, const EvalLogitsOptions& options);
Status EvalEmbedding(const Settings& settings, const EvalLogitsOptions& options);

struct EvalPerplexityOptions {
  EvalModelOptions model;
  std::string text_file;
  int64_t context = 512;
  int64_t max_windows = 0;  // 0: all
};
Status EvalPerplexity(const Settings& settings, const EvalPerplexityOptions& options);

Status EvalTokenize(const Settings& settings, const std::string& model, bool special);
Status EvalDequantize(const Settings& settings, const std::string& model, const std::string& tensor,
                      const std::string& out);
// The architectures that run and the models that users know them by: a line each, or all of
// docs/architectures.md.
Status EvalArchitectures(bool markdown);
// Exactly one of the file names is not empty.
Status EvalTemplate(const std::string& jinja_file, const std::string& go_file);

// Whether the JSON value on standard input obeys the schema in a file.
Result<bool> EvalSchema(const std::string& schema_file);

}  // namespace puna::cli

#endif  // PUNA_CLI_EVAL_TOOLS_H_
