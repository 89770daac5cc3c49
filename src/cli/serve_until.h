// The end of a server that runs until somebody asks it to end.
#ifndef PUNA_CLI_SERVE_UNTIL_H_
#define PUNA_CLI_SERVE_UNTIL_H_

#include <signal.h>

#include <chrono>

#include "api/api.h"

namespace puna::cli {

// The exit code of a process that ends although a pass through a model does not.
inline constexpr int kExitStuck = 70;

// The signals that a server waits for, blocked in the calling thread and those it starts: before
// the server starts, so that no handler runs in the middle of anything.
sigset_t BlockEndSignals();

// Waits for one of `signals` and ends the server; running answers may take `drain` more. SIGHUP
// has it read its API keys again instead, but where that says that the terminal is gone. A second
// signal ends the process at once, and so does, with kExitStuck, a server that cannot be ended.
void ServeUntilSignal(api::ApiServer* server, const sigset_t& signals,
                      std::chrono::nanoseconds drain);

}  // namespace puna::cli

#endif  // PUNA_CLI_SERVE_UNTIL_H_
