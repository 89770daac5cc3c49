// Waiting is the whole difficulty. A network of 16 layers has some 130 loops per generated token,
// each a few microseconds long, so a sleeping wait (50 us to wake up) would cost more than the
// work. But a wait that only spins takes the core away from the thread it waits for when the
// machine has more runnable threads than cores. So a wait spins for a bounded time and then sleeps,
// and the bound adapts: a worker whose last wait ended in sleep spins half as long the next time,
// one that was served while spinning returns to the full bound.
//
// On a busy machine the threads of a pool seldom have a core at the same time. Where all meet at
// the end of each loop, the one that has a core gives it up after one loop, and a token costs a
// hundred time slices. Here it goes on alone as long as its slice lasts: loops count finished
// chunks, not workers that arrived, and others are waited for only while they hold a chunk (and at
// the end of the job, whose memory is the caller's).
//
// Rejected: static shares (one slow core delays all), one wake-up per loop, OpenMP (its waiting
// policy is global to the process and its threads are not ours to stop).
#include "backend/cpu/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "base/check.h"
#include "base/thread.h"

namespace puna::backend::cpu {
namespace {

constexpr int64_t kMaxSpinNs = 50'000;
constexpr int64_t kMinSpinNs = 1'000;
constexpr int kPausesPerClockRead = 16;
constexpr uint32_t kClosed = uint32_t{1} << 31;

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns when `word` no longer holds `old`: spins for at most *spin_ns, then sleeps, and adapts
// *spin_ns.
void WaitWhile(const std::atomic<uint32_t>& word, uint32_t old, int64_t* spin_ns) {
  if (word.load(std::memory_order_acquire) != old) return;
  const int64_t end_ns = NowNs() + *spin_ns;
  do {
    for (int i = 0; i < kPausesPerClockRead; ++i) {
      Pause();
      if (word.load(std::memory_order_acquire) != old) {
        *spin_ns = kMaxSpinNs;
        return;
      }
    }
  } while (NowNs() < end_ns);
  *spin_ns = std::max(kMinSpinNs, *spin_ns / 2);
  word.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads)
    : threads_(threads),
      workers_(static_cast<size_t>(threads)),
      shares_(static_cast<size_t>(threads)),
      inside_(kClosed) {
  CHECK(threads >= 1) << threads;
  for (int i = 0; i < threads; ++i) {
    workers_[i].pool_ = this;
    workers_[i].index_ = i;
    workers_[i].spin_ns_ = kMaxSpinNs;
  }
  for (int i = 1; i < threads; ++i) {
    auto thread = StartThread("puna-compute", [this, i] { ThreadMain(&workers_[i]); });
    if (!thread) {
      status_ = WithContext(thread.error(), fmt::format("{} compute threads", threads));
      return;
    }
    started_.push_back(*std::move(thread));
  }
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  job_round_.fetch_add(1, std::memory_order_release);
  job_round_.notify_all();
  for (std::thread& thread : started_) thread.join();
}

void ThreadPool::RunErased(ErasedJob job, void* context) {
  if (threads_ == 1) return job(context, workers_[0]);
  job_ = job;
  context_ = context;
  first_loop_ = loop_.load(std::memory_order_relaxed);
  // Tags of shares that were long not used would look like later loops when numbers wrap around.
  const uint64_t untouched = uint64_t{first_loop_} << 32;
  common_.word.store(untouched, std::memory_order_relaxed);
  for (Share& share : shares_) share.word.store(untouched, std::memory_order_relaxed);
  inside_.store(0, std::memory_order_release);
  job_round_.fetch_add(1, std::memory_order_release);
  job_round_.notify_all();
  workers_[0].loop_ = first_loop_;
  job(context, workers_[0]);
  uint32_t inside = inside_.fetch_or(kClosed, std::memory_order_acq_rel) | kClosed;
  while (inside != kClosed) {
    WaitWhile(inside_, inside, &workers_[0].spin_ns_);
    inside = inside_.load(std::memory_order_acquire);
  }
}

void ThreadPool::ThreadMain(Worker* worker) {
  uint32_t round = 0;
  for (;;) {
    // Between jobs a sleep is normal and says nothing about how loops should wait.
    int64_t spin_ns = kMaxSpinNs;
    WaitWhile(job_round_, round, &spin_ns);
    round = job_round_.load(std::memory_order_acquire);
    if (stop_) return;
    // It may be a later job already, which is then tried again: all its loops are over by then.
    if (!Enter()) continue;
    worker->loop_ = first_loop_;
    job_(context_, *worker);
    Leave();
  }
}

// False if the job is over, or about to be.
bool ThreadPool::Enter() {
  uint32_t inside = inside_.load(std::memory_order_relaxed);
  do {
    if ((inside & kClosed) != 0) return false;
  } while (!inside_.compare_exchange_weak(inside, inside + 1, std::memory_order_acquire,
                                          std::memory_order_relaxed));
  return true;
}

void ThreadPool::Leave() {
  inside_.fetch_sub(1, std::memory_order_acq_rel);
  inside_.notify_all();
}

void ThreadPool::EndLoop(Worker* worker, int64_t done, int64_t chunks) {
  const uint32_t loop = worker->loop_++;
  if (done > 0 && done_.fetch_add(done, std::memory_order_acq_rel) + done == chunks) {
    done_.store(0, std::memory_order_relaxed);
    loop_.store(loop + 1, std::memory_order_release);
    loop_.notify_all();
  } else {
    WaitWhile(loop_, loop, &worker->spin_ns_);
  }
}

}  // namespace puna::backend::cpu
