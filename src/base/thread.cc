#include "base/thread.h"

#include <pthread.h>

#include <system_error>
#include <utility>

namespace puna {
namespace {

void NameThisThread(const std::string& name) {
#if defined(__APPLE__)
  ::pthread_setname_np(name.c_str());
#else
  ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());  // a longer one is refused
#endif
}

}  // namespace

Result<std::thread> StartThread(std::string name, std::function<void()> body) {
  try {
    return std::thread([name, body = std::move(body)] {
      NameThisThread(name);
      body();
    });
  } catch (const std::system_error& error) {
    return MakeError(ErrorCode::kResourceExhausted,
                     "the system starts no thread {}: {}; see `ulimit -u`, the limit on processes "
                     "of the container (pids.max) and free memory",
                     name, error.code().message());
  }
}

}  // namespace puna
