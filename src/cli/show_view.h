// What `puna show` prints, from the answer of /api/show. The interactive chat prints the same.
#ifndef PUNA_CLI_SHOW_VIEW_H_
#define PUNA_CLI_SHOW_VIEW_H_

#include <string>

#include "base/json.h"
#include "base/result.h"

namespace puna::cli {

// Titled sections: Model, Capabilities, Parameters, with `verbose` Metadata and Tensors, then
// System and the beginning of the License.
std::string FormatModelInfo(const Json& show, bool verbose);

// One part as it is: "license", "modelfile", "parameters", "template" or "system".
Result<std::string> FormatModelPart(const Json& show, const std::string& part);

}  // namespace puna::cli

#endif  // PUNA_CLI_SHOW_VIEW_H_
