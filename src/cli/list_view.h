// The table of `puna list`; the interactive chat prints the same.
#ifndef PUNA_CLI_LIST_VIEW_H_
#define PUNA_CLI_LIST_VIEW_H_

#include <string>

#include "base/result.h"
#include "cli/api_client.h"

namespace puna::cli {

// Models whose names begin with `prefix`, in any case; without a line break at the end.
Result<std::string> ListText(const ApiClient& client, const std::string& prefix);

}  // namespace puna::cli

#endif  // PUNA_CLI_LIST_VIEW_H_
