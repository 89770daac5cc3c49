#include "api/blocking_pool.h"

#include <utility>

#include "base/thread.h"

namespace puna::api {

Status BlockingPool::Start(int threads) {
  for (int i = 0; i < threads; ++i) {
    PUNA_ASSIGN_OR_RETURN(std::thread thread,
                          StartThread("puna-prepare", [this] { context_.run(); }));
    threads_.push_back(std::move(thread));
  }
  return {};
}

void BlockingPool::Join() {
  open_.reset();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace puna::api
