#include "cli/serve_until.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/log.h"

namespace puna::cli {
namespace {

// Whether SIGHUP says that the terminal is gone that this process belongs to. nohup has it ignored,
// and services have no terminal.
bool HangupIsOfTerminal() {
  struct sigaction action = {};
  ::sigaction(SIGHUP, nullptr, &action);
  if (action.sa_handler == SIG_IGN) return false;
  const int terminal = ::open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return false;
  ::close(terminal);
  return true;
}

const char* ReasonOf(int signal) {
  switch (signal) {
    case SIGINT:
      return "interrupted";
    case SIGHUP:
      return "the terminal is gone";
    default:
      return "asked to end";
  }
}

}  // namespace

sigset_t BlockEndSignals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGHUP);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

void ServeUntilSignal(api::ApiServer* server, const sigset_t& signals,
                      std::chrono::nanoseconds drain) {
  const bool ends_on_hangup = HangupIsOfTerminal();
  int signal = 0;
  while (::sigwait(&signals, &signal), signal == SIGHUP && !ends_on_hangup) server->ReadKeysAgain();
  drain = std::clamp<std::chrono::nanoseconds>(drain, {}, std::chrono::hours(1000));
  LogInfo("{}: no new requests, running ones may take {} s more", ReasonOf(signal),
          std::chrono::duration<double>(drain).count());
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGHUP, SIG_IGN);  // a shell that ends may tell what the terminal has told
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
