// Threads that compute together. A job is one function that every worker runs from its first line
// to its last (single program, multiple data); inside it the workers share loops and meet at
// barriers, so that a pass through a whole network wakes the threads once and not once per matrix.
//
//   pool.Run([&](Worker& worker) {
//     worker.For(chunks_a, [&](int64_t chunk) { ... });   // ends in a barrier
//     worker.For(chunks_b, [&](int64_t chunk) { ... });
//   });
//
// All workers must reach the same loops in the same order with the same counts.
#ifndef PUNA_BACKEND_CPU_THREAD_POOL_H_
#define PUNA_BACKEND_CPU_THREAD_POOL_H_

#include <atomic>
#include <cstdint>
#include <string_view>
#include <thread>
#include <vector>

namespace puna::backend::cpu {

// Cores that this process may use at once: its affinity mask, cut by the quotas of its cgroup (v2)
// and of the groups above.
int UsableCores();
// Whole cores, rounded up, in the text of a cgroup's cpu.max ("max 100000", "150000 100000"); 0: no
// limit or not readable.
int CoresOfQuota(std::string_view cpu_max);

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
  int64_t spin_ns_ = 0;  // how long the next wait spins before it sleeps
};

// Not thread safe: one Run at a time. The thread that calls Run is worker 0.
class ThreadPool {
 public:
  // `threads` >= 1; that many less one are started.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // Runs job(worker) once on every worker and returns when all have finished.
  template <typename Job>
  void Run(Job&& job) {
    RunErased([](void* context, Worker& worker) { (*static_cast<Job*>(context))(worker); }, &job);
  }

 private:
  friend class Worker;
  using ErasedJob = void (*)(void* context, Worker& worker);

  void RunErased(ErasedJob job, void* context);
  void ThreadMain(Worker* worker);
  void Barrier(Worker* worker);

  const int threads_;
  std::vector<Worker> workers_;
  std::vector<std::thread> started_;

  ErasedJob job_ = nullptr;
  void* context_ = nullptr;
  bool stop_ = false;

  // Each on a cache line of its own: all workers hammer them.
  struct alignas(64) Counter {
    std::atomic<int64_t> next{0};
  };
  std::vector<Counter> shares_;  // by worker: chunks of its share that are taken
  alignas(64) std::atomic<int64_t> next_chunk_{0};
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> barrier_round_{0};
  alignas(64) std::atomic<uint32_t> job_round_{0};
};

inline int Worker::count() const { return pool_->threads(); }

template <typename Body>
void Worker::For(int64_t chunks, Body&& body) {
  if (chunks <= 0) return;
  if (pool_->threads() == 1) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) body(chunk);
    return;
  }
  for (;;) {
    const int64_t chunk = pool_->next_chunk_.fetch_add(1, std::memory_order_relaxed);
    if (chunk >= chunks) break;
    body(chunk);
  }
  pool_->Barrier(this);
}

template <typename Body>
void Worker::ForStreams(int64_t chunks, Body&& body) {
  if (pool_->threads() == 1) return For(chunks, body);
  if (chunks <= 0) return;
  const int n = pool_->threads();
  for (int i = 0; i < n; ++i) {
    const int owner = (index_ + i) % n;
    const int64_t begin = chunks * owner / n, end = chunks * (owner + 1) / n;
    std::atomic<int64_t>& taken = pool_->shares_[static_cast<size_t>(owner)].next;
    for (;;) {
      const int64_t chunk = begin + taken.fetch_add(1, std::memory_order_relaxed);
      if (chunk >= end) break;
      body(chunk);
    }
  }
  pool_->Barrier(this);
}

}  // namespace puna::backend::cpu

#endif  // PUNA_BACKEND_CPU_THREAD_POOL_H_
