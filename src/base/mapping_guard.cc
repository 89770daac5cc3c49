// The handler may interrupt anything, so all that it does is read a table of atomics and call mmap.
// Sanitizers take SIGBUS only when asked to, and then get it back for faults that are not ours.
#include "base/mapping_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>

namespace puna {
namespace {

struct Guarded {
  std::atomic<uintptr_t> begin{0}, end{0};  // 0: a free place
  std::atomic<bool> unreadable{false};
};

constexpr size_t kMostGuarded = 4096;
constinit Guarded guarded[kMostGuarded];
constinit std::atomic<size_t> places_used{0};  // all behind them are free
constinit std::mutex changes;                  // held by whoever changes the ranges
constinit uintptr_t system_page = 0;           // 0: the handler is not there yet
struct sigaction former_action;

Guarded* Find(uintptr_t address) {
  const size_t used = places_used.load();
  for (size_t i = 0; i < used; ++i) {
    Guarded& one = guarded[i];
    const uintptr_t begin = one.begin.load();
    if (begin == 0 || address < begin || address >= one.end.load()) continue;
    // Else the end may have been that of another mapping in the same place.
    if (one.begin.load() == begin) return &one;
  }
  return nullptr;
}

// The flag comes first: whoever reads a zero on another thread finds it set.
bool PutZeros(Guarded* one, uintptr_t address) {
  one->unreadable = true;
  const uintptr_t begin = address / system_page * system_page;
  void* put = ::mmap(reinterpret_cast<void*>(begin), one->end.load() - begin, PROT_READ,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  return put != MAP_FAILED;
}

void OnBusError(int signal, siginfo_t* info, void*) {
  const int saved_errno = errno;
  const bool fault = info->si_code > 0;  // else somebody has sent it
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  Guarded* one = fault ? Find(address) : nullptr;
  if (one == nullptr || !PutZeros(one, address)) {
    ::sigaction(signal, &former_action, nullptr);
    if (!fault) ::raise(signal);  // a fault comes again by itself
  }
  errno = saved_errno;
}

// False if the system refuses.
bool Install() {
  if (system_page != 0) return true;
  const long page = ::sysconf(_SC_PAGESIZE);
  struct sigaction action = {};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  if (page <= 0 || ::sigaction(SIGBUS, nullptr, &former_action) != 0) return false;
  system_page = static_cast<uintptr_t>(page);
  if (::sigaction(SIGBUS, &action, nullptr) != 0) system_page = 0;
  return system_page != 0;
}

}  // namespace

void GuardMapping(std::span<const uint8_t> mapping) {
  if (mapping.empty()) return;
  const std::lock_guard lock(changes);
  const auto begin = reinterpret_cast<uintptr_t>(mapping.data());
  if (Find(begin) != nullptr || !Install()) return;
  Guarded* free = std::find_if(std::begin(guarded), std::end(guarded),
                               [](const Guarded& one) { return one.begin.load() == 0; });
  if (free == std::end(guarded)) return;
  free->unreadable = false;
  free->end = begin + mapping.size();
  free->begin = begin;
  places_used = std::max(places_used.load(), static_cast<size_t>(free - guarded) + 1);
}

void ForgetMapping(std::span<const uint8_t> mapping) {
  const std::lock_guard lock(changes);
  if (Guarded* one = Find(reinterpret_cast<uintptr_t>(mapping.data()))) one->begin = 0;
}

void MarkUnreadable(const uint8_t* address) {
  if (Guarded* one = Find(reinterpret_cast<uintptr_t>(address))) one->unreadable = true;
}

bool IsUnreadable(const uint8_t* address) {
  const Guarded* one = Find(reinterpret_cast<uintptr_t>(address));
  return one != nullptr && one->unreadable.load();
}

}  // namespace puna
