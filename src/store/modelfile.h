// The Modelfile language. https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx; grammar
// and errors are Ollama's.
#ifndef PUNA_STORE_MODELFILE_H_
#define PUNA_STORE_MODELFILE_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace puna::store {

struct ModelfileMessage {
  std::string role;  // system, user or assistant
  std::string content;
};

struct Modelfile {
  std::vector<std::string> from;      // names or paths as written, in order; at least one
  std::vector<std::string> adapters;  // paths as written
  std::string system;
  std::string template_text;
  std::string renderer, parser, draft;
  std::string requires_version;  // without the v that may stand before it
  std::vector<std::string> licenses;
  std::vector<ModelfileMessage> messages;
  // Typed by name as Ollama types its options: {"num_ctx": 4096, "stop": ["a", "b"]}.
  Json parameters = Json::object();
  std::vector<std::string> warnings;  // parameters that are deprecated and ignored
};

// UTF-8, or UTF-16 with a byte order mark. Errors name the line.
Result<Modelfile> ParseModelfile(std::string_view text);

// Adds `value` to `parameters` under `name`, converted to the type that the option has; "stop"
// collects. Unknown names and values of another type are kInvalidArgument. Deprecated names return
// true in `*deprecated` and add nothing.
Status SetParameter(const std::string& name, const std::string& value, Json* parameters,
                    bool* deprecated);

// `value` as a Modelfile writes it, quoted only where it would be read as something else. The
// language has no escapes, so that there are texts that it cannot hold: kUnsupported.
Result<std::string> QuoteModelfileValue(const std::string& value);

}  // namespace puna::store

#endif  // PUNA_STORE_MODELFILE_H_
