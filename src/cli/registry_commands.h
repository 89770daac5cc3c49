// Long work of the server, such as fetching a model that a command needs and the server does not
// have.
#ifndef PUNA_CLI_REGISTRY_COMMANDS_H_
#define PUNA_CLI_REGISTRY_COMMANDS_H_

#include <string>

#include "base/result.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/terminal.h"

namespace puna::cli {

// Has the server do long work: its reports are shown by `progress`, and Ctrl-C ends it
// (kCancelled).
Status PostWithProgress(const ApiClient& client, const char* path, const Json& request,
                        ProgressLines* progress);

// Has the server pull the model, with progress on standard error. Ctrl-C ends it (kCancelled); what
// has arrived is kept for the next time.
Status PullModel(const ApiClient& client, const std::string& model, bool insecure);

// Makes a model of a GGUF file or a folder on this machine; without a name it gets that of the
// file.
Status ImportModel(const Context& context, const std::string& path, const std::string& name);

}  // namespace puna::cli

#endif  // PUNA_CLI_REGISTRY_COMMANDS_H_
