#include "base/thread.h"

#include <pthread.h>

#include <utility>

namespace puna {

void NameThread(const std::string& name) {
#if defined(__APPLE__)
  ::pthread_setname_np(name.c_str());
#else
  ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());  // a longer one is refused
#endif
}

std::thread StartThread(std::string name, std::function<void()> body) {
  return std::thread([name = std::move(name), body = std::move(body)] {
    NameThread(name);
    body();
  });
}

}  // namespace puna
