// Threads that compute together. A job is one function that the workers run from its first line to
// its last (single program, multiple data); inside it they share loops, each of which ends when all
// its chunks are done, so that a pass through a whole network wakes the threads once and not once
// per matrix.
//
//   pool.Run([&](Worker& worker) {
//     worker.For(chunks_a, [&](int64_t chunk) { ... });
//     worker.For(chunks_b, [&](int64_t chunk) { ... });   // sees what all chunks of a wrote
//   });
//
// All workers must reach the same loops in the same order with the same counts. Nobody waits for a
// worker that holds no chunk: one that has lost its core finds loops that are over, passes them by
// and joins the one that is going on; one that gets no core in time misses the job. So work belongs
// into chunks, and code between loops may read only what no chunk of the job writes, or atomics
// that are written once.
#ifndef PUNA_BACKEND_CPU_THREAD_POOL_H_
#define PUNA_BACKEND_CPU_THREAD_POOL_H_

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/result.h"

namespace puna::backend::cpu {

class ThreadPool;

// One thread's part in a job.
class Worker {
 public:
  int index() const { return index_; }
  int count() const;
  // Runs body(0) .. body(chunks - 1), each once on some worker, lower ones first; returns when all
  // are done.
  template <typename Body>
  void For(int64_t chunks, Body&& body);
  // The same for chunks that lie behind each other in memory and are read once: each worker begins
  // with a share of consecutive chunks, so that its core reads one ascending stream, and then helps
  // with the shares of the others.
  template <typename Body>
  void ForStreams(int64_t chunks, Body&& body);
  // Runs body() on one worker; returns when it is done.
  template <typename Body>
  void Once(Body&& body) {
    For(1, [&](int64_t) { body(); });
  }

 private:
  friend class ThreadPool;
  ThreadPool* pool_ = nullptr;
  int index_ = 0;
  uint32_t loop_ = 0;    // the next one of the job
  int64_t spin_ns_ = 0;  // how long the next wait spins before it sleeps
};

// Not thread safe: one Run at a time. The thread that calls Run is worker 0.
class ThreadPool {
 public:
  // `threads` >= 1; that many less one are started. Nothing may be run if status() is an error: the
  // system did not start all of them.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  const Status& status() const { return status_; }
  int threads() const { return threads_; }

  // Runs job(worker) on the calling thread and on those others that come in time; returns when none
  // is in it any more.
  template <typename Job>
  void Run(Job&& job) {
    RunErased([](void* context, Worker& worker) { (*static_cast<Job*>(context))(worker); }, &job);
  }

 private:
  friend class Worker;
  using ErasedJob = void (*)(void* context, Worker& worker);

  // Chunks that are handed out one after the other: the loop that they belong to in the upper half,
  // how many are taken in the lower. In one word, so that a worker that comes late to a loop cannot
  // take a chunk of a later one. On a cache line of its own: all workers hammer it.
  struct alignas(64) Share {
    std::atomic<uint64_t> word{0};
    // The next of `chunks` chunks, or -1.
    int64_t Take(uint32_t loop, int64_t chunks);
  };

  void RunErased(ErasedJob job, void* context);
  void ThreadMain(Worker* worker);
  bool Enter();
  void Leave();
  // `done` of the loop's `chunks` chunks were this worker's. Returns when all are done.
  void EndLoop(Worker* worker, int64_t done, int64_t chunks);

  const int threads_;
  std::vector<Worker> workers_;
  std::vector<std::thread> started_;
  Status status_;

  ErasedJob job_ = nullptr;
  void* context_ = nullptr;
  uint32_t first_loop_ = 0;  // of the job
  std::atomic<bool> stop_{false};

  Share common_;                               // of loops that are not split
  std::vector<Share> shares_;                  // by worker
  alignas(64) std::atomic<int64_t> done_{0};   // chunks of the loop that is going on
  alignas(64) std::atomic<uint32_t> loop_{0};  // the one that is going on
  alignas(64) std::atomic<uint32_t> inside_;   // workers but 0 in the job, and whether it is closed
  alignas(64) std::atomic<uint32_t> job_round_{0};
};

inline int Worker::count() const { return pool_->threads(); }

inline int64_t ThreadPool::Share::Take(uint32_t loop, int64_t chunks) {
  uint64_t seen = word.load(std::memory_order_relaxed);
  for (;;) {
    const auto tag = static_cast<uint32_t>(seen >> 32);
    const uint64_t taken = tag == loop ? seen & 0xffffffff : 0;
    const bool over = static_cast<int32_t>(tag - loop) > 0;
    if (over || static_cast<int64_t>(taken) >= chunks) return -1;
    const uint64_t next = uint64_t{loop} << 32 | (taken + 1);
    if (word.compare_exchange_weak(seen, next, std::memory_order_relaxed))
      return static_cast<int64_t>(taken);
  }
}

template <typename Body>
void Worker::For(int64_t chunks, Body&& body) {
  if (chunks <= 0) return;
  if (pool_->threads() == 1) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) body(chunk);
    return;
  }
  int64_t done = 0;
  for (int64_t chunk; (chunk = pool_->common_.Take(loop_, chunks)) >= 0; ++done) body(chunk);
  pool_->EndLoop(this, done, chunks);
}

template <typename Body>
void Worker::ForStreams(int64_t chunks, Body&& body) {
  if (pool_->threads() == 1) return For(chunks, body);
  if (chunks <= 0) return;
  const int n = pool_->threads();
  int64_t done = 0;
  for (int i = 0; i < n; ++i) {
    const int owner = (index_ + i) % n;
    const int64_t begin = chunks * owner / n, end = chunks * (owner + 1) / n;
    ThreadPool::Share& share = pool_->shares_[static_cast<size_t>(owner)];
    for (int64_t chunk; (chunk = share.Take(loop_, end - begin)) >= 0; ++done) body(begin + chunk);
  }
  pool_->EndLoop(this, done, chunks);
}

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_THREAD_POOL_H_
