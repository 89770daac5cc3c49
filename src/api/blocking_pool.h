// Threads for work that takes long on one thread: templates, tokenizing, hashing, large JSON,
// reading manifests. All run from the start, so that no request can fail for want of a thread.
#ifndef PUNA_API_BLOCKING_POOL_H_
#define PUNA_API_BLOCKING_POOL_H_

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>
#include <vector>

#include "base/result.h"

namespace puna::api {

class BlockingPool {
 public:
  BlockingPool() = default;
  ~BlockingPool() { Join(); }
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  // Once, before anything is posted.
  Status Start(int threads);
  boost::asio::io_context::executor_type executor() { return context_.get_executor(); }
  // Waits until everything posted is done. Nothing may be posted afterwards.
  void Join();

 private:
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> open_{
      context_.get_executor()};
  std::vector<std::thread> threads_;
};

}  // namespace puna::api

#endif  // PUNA_API_BLOCKING_POOL_H_
