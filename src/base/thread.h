// Threads with names, by which debuggers, `top -H` and perf tell apart what puna does at once.
#ifndef PUNA_BASE_THREAD_H_
#define PUNA_BASE_THREAD_H_

#include <functional>
#include <string>
#include <thread>

namespace puna {

// Names the calling thread; Linux keeps the first 15 characters.
void NameThread(const std::string& name);

// Throws std::system_error where no thread can be started, as std::thread does.
std::thread StartThread(std::string name, std::function<void()> body);

}  // namespace puna

#endif  // PUNA_BASE_THREAD_H_
