// Fetching a model that a command needs and the server does not have.
#ifndef PUNA_CLI_REGISTRY_COMMANDS_H_
#define PUNA_CLI_REGISTRY_COMMANDS_H_

#include <string>

#include "base/result.h"
#include "cli/api_client.h"

namespace puna::cli {

// Has the server pull the model, with progress on standard error. Ctrl-C ends it (kCancelled); what
// has arrived is kept for the next time.
Status PullModel(const ApiClient& client, const std::string& model, bool insecure);

}  // namespace puna::cli

#endif  // PUNA_CLI_REGISTRY_COMMANDS_H_
