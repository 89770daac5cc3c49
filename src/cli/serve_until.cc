#include "cli/serve_until.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/log.h"

namespace puna::cli {

sigset_t BlockEndSignals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

void ServeUntilSignal(api::ApiServer* server, const sigset_t& signals,
                      std::chrono::nanoseconds drain) {
  int signal = 0;
  ::sigwait(&signals, &signal);
  drain = std::clamp<std::chrono::nanoseconds>(drain, {}, std::chrono::hours(1000));
  LogInfo("{}: no new requests, running ones may take {} s more",
          signal == SIGINT ? "interrupted" : "asked to end",
          std::chrono::duration<double>(drain).count());
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  if (server->Shutdown(std::chrono::steady_clock::now() + drain)) {
    LogInfo("stopped");
    return;
  }
  LogError("stopped without waiting any longer, exit code {}", kExitStuck);
  std::fflush(nullptr);
  std::_Exit(kExitStuck);  // what static objects would wait for does not come
}

}  // namespace puna::cli
