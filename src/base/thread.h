// Threads with names, by which debuggers, `top -H` and perf tell apart what puna does at once.
#ifndef PUNA_BASE_THREAD_H_
#define PUNA_BASE_THREAD_H_

#include <functional>
#include <string>
#include <thread>

#include "base/result.h"

namespace puna {

// Of `name` Linux keeps the first 15 characters. kResourceExhausted where the system starts no
// thread, as in a container that may have no more of them: whoever destroys a std::thread that
// still runs ends the process, so those started before have to be joined then, too.
Result<std::thread> StartThread(std::string name, std::function<void()> body);

}  // namespace puna

#endif  // PUNA_BASE_THREAD_H_
