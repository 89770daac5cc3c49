// The best of some short rounds: whatever else happens on the machine only makes a round slower.
#include "backend/machine_limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "backend/cpu/gemm.h"
#include "backend/cpu/kernels/kernel_table.h"
#include "backend/cpu/thread_pool.h"
#include "base/cores.h"

namespace puna::backend {
namespace {

constexpr int kRounds = 5;
constexpr int64_t kReadBytes = int64_t{1} << 30;
constexpr int64_t kDotRounds = int64_t{1} << 21;
// Bytes; which of the distances reads fastest differs between processors.
constexpr int64_t kAhead[] = {0, 2304, 4608};

// Seconds of the fastest of some runs of job(share), a share for each thread.
template <typename Job>
double Fastest(cpu::ThreadPool* pool, const Job& job) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = Clock::now();
    pool->Run([&](cpu::Worker& worker) { worker.ForStreams(worker.count(), job); });
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

// Asks for each line `ahead` bytes before it is read; behind the end nothing happens.
uint64_t SumOfWords(const uint8_t* bytes, int64_t size, int64_t ahead) {
  typedef uint64_t Lanes __attribute__((vector_size(64), may_alias));
  Lanes sums[4] = {};
  for (int64_t at = 0; at + 256 <= size; at += 256) {
    for (int i = 0; i < 4; ++i) {
      __builtin_prefetch(bytes + at + i * 64 + ahead);
      sums[i] += *reinterpret_cast<const Lanes*>(bytes + at + i * 64);
    }
  }
  uint64_t sum = 0;
  for (const Lanes& lanes : sums) {
    for (int i = 0; i < 8; ++i) sum += lanes[i];
  }
  return sum;
}

}  // namespace

Result<MachineLimits> MeasureMachine(const BackendOptions& options) {
  PUNA_ASSIGN_OR_RETURN(const cpu::Isa isa, cpu::ChooseIsa(options.isa));
  cpu::ThreadPool pool(options.threads > 0 ? options.threads : UsableCores());
  PUNA_RETURN_IF_ERROR(pool.status());
  MachineLimits limits;
  limits.isa = cpu::IsaName(isa);
  limits.threads = pool.threads();

  const cpu::AlignedBytes memory(kReadBytes);
  if (memory.data() == nullptr) {
    return MakeError(ErrorCode::kResourceExhausted, "no memory for {} bytes to read", kReadBytes);
  }
  const int64_t share = kReadBytes / limits.threads / 256 * 256;
  Fastest(&pool, [&](int64_t index) {
    std::memset(memory.data() + index * share, 1, static_cast<size_t>(share));
  });
  std::atomic<uint64_t> sink{0};
  double read_s = 1e9;
  for (const int64_t ahead : kAhead) {
    read_s = std::min(read_s, Fastest(&pool, [&](int64_t index) {
                        sink += SumOfWords(memory.data() + index * share, share, ahead);
                      }));
  }
  limits.read_gb_s = 1e-9 * static_cast<double>(share * limits.threads) / read_s;

  const auto dots = cpu::KernelsOf(isa).spin_dots;
  if (dots != nullptr) {
    std::atomic<int64_t> products{0};
    const double dot_s = Fastest(&pool, [&](int64_t) { products += dots(kDotRounds); });
    limits.int8_gmac_s = 1e-9 * static_cast<double>(products) / kRounds / dot_s;
  }
  return limits;
}

}  // namespace puna::backend
