// Runs a libFuzzer-style target without libFuzzer: every seed file as it is, then random mutations
// of the seeds until the time or the number of runs is used up. It has no coverage feedback; what
// it has is that it runs everywhere, in every test run, under every sanitizer, and repeats exactly
// for the same seed number.
//
//   x_fuzz [--seconds N] [--runs N] [--seed N] [FILE|FOLDER...]
//
// A crash leaves the input in ./crash-<target>.bin so that it can be kept as a regression seed. An
// input that takes absurdly long, or makes the process absurdly large, counts as a crash.
//
// A target that knows its format may define LLVMFuzzerCustomMutator (libFuzzer's signature, in
// place only); half of the mutations are then its own.
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) __attribute__((weak));

namespace {

using Bytes = std::vector<uint8_t>;
constexpr unsigned kMostSeconds = 60;  // of one input; under a sanitizer on a busy machine
constexpr long kMostKilobytes = 4 << 20;

Bytes g_current;
std::string g_crash_file;

void SaveAndDie(int signal_number) {
  if (FILE* file = std::fopen(g_crash_file.c_str(), "wb")) {
    std::fwrite(g_current.data(), 1, g_current.size(), file);
    std::fclose(file);
  }
  std::signal(signal_number, SIG_DFL);
  std::raise(signal_number);
}

void AddSeeds(const std::filesystem::path& path, std::vector<Bytes>* seeds) {
  if (std::filesystem::is_directory(path)) {
    for (const auto& entry : std::filesystem::directory_iterator(path))
      AddSeeds(entry.path(), seeds);
    return;
  }
  std::ifstream in(path, std::ios::binary);
  seeds->emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

void RunOne() {
  alarm(kMostSeconds);
  LLVMFuzzerTestOneInput(g_current.data(), g_current.size());
  alarm(0);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  if (usage.ru_maxrss > kMostKilobytes) {
    std::fprintf(stderr, "the process grew to %ld KiB\n", usage.ru_maxrss);
    std::abort();
  }
}

// Structure-blind mutations; interesting integers matter most for formats full of counts and
// offsets.
void Mutate(std::mt19937_64& random, const std::vector<Bytes>& seeds, Bytes* bytes) {
  static constexpr uint64_t kInteresting[] = {0,
                                              1,
                                              2,
                                              0x7f,
                                              0x80,
                                              0xff,
                                              0x7fff,
                                              0x8000,
                                              0xffff,
                                              0x7fffffff,
                                              0x80000000,
                                              0xffffffff,
                                              0x7fffffffffffffff,
                                              0x8000000000000000,
                                              0xffffffffffffffff};
  const int rounds = 1 + static_cast<int>(random() % 6);
  for (int round = 0; round < rounds; ++round) {
    const size_t size = bytes->size();
    const size_t at = size == 0 ? 0 : random() % size;
    switch (random() % 7) {
      case 0:
        if (size != 0) (*bytes)[at] ^= static_cast<uint8_t>(1u << (random() % 8));
        break;
      case 1:
        if (size != 0) (*bytes)[at] = static_cast<uint8_t>(random());
        break;
      case 2: {
        const uint64_t value = kInteresting[random() % std::size(kInteresting)];
        const size_t width = size_t{1} << (random() % 4);
        if (at + width <= size) std::memcpy(bytes->data() + at, &value, width);
        break;
      }
      case 3:
        bytes->resize(at);
        break;
      case 4:
        if (size != 0)
          bytes->erase(
              bytes->begin() + static_cast<ptrdiff_t>(at),
              bytes->begin() + static_cast<ptrdiff_t>(std::min(size, at + 1 + random() % 16)));
        break;
      case 5: {
        Bytes extra(1 + random() % 16);
        for (uint8_t& byte : extra) byte = static_cast<uint8_t>(random());
        bytes->insert(bytes->begin() + static_cast<ptrdiff_t>(at), extra.begin(), extra.end());
        break;
      }
      case 6: {
        if (seeds.empty()) break;
        const Bytes& other = seeds[random() % seeds.size()];
        if (other.empty()) break;
        const size_t from = random() % other.size();
        const size_t length = std::min<size_t>(other.size() - from, 1 + random() % 64);
        bytes->insert(bytes->begin() + static_cast<ptrdiff_t>(at),
                      other.begin() + static_cast<ptrdiff_t>(from),
                      other.begin() + static_cast<ptrdiff_t>(from + length));
        break;
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  double seconds = 2;
  uint64_t runs = UINT64_MAX;
  uint64_t seed = 1;
  std::vector<Bytes> seeds;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--seconds" && has_value) {
      seconds = std::atof(argv[++i]);
    } else if (argument == "--runs" && has_value) {
      runs = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--seed" && has_value) {
      seed = std::strtoull(argv[++i], nullptr, 10);
    } else {
      AddSeeds(argument, &seeds);
    }
  }
  g_crash_file = "crash-" + std::filesystem::path(argv[0]).filename().string() + ".bin";
  for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGALRM})
    std::signal(number, SaveAndDie);

  for (const Bytes& bytes : seeds) {
    g_current = bytes;
    RunOne();
  }
  std::mt19937_64 random(seed);
  uint64_t done = 0;
  const auto start = std::chrono::steady_clock::now();
  while (done < runs) {
    if ((done & 15) == 0 &&
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > seconds) {
      break;
    }
    g_current = seeds.empty() ? Bytes{} : seeds[random() % seeds.size()];
    if (LLVMFuzzerCustomMutator != nullptr && (done & 1) == 0) {
      LLVMFuzzerCustomMutator(g_current.data(), g_current.size(), g_current.size(),
                              static_cast<unsigned int>(random()));
    } else {
      Mutate(random, seeds, &g_current);
    }
    RunOne();
    ++done;
  }
  std::printf("%s: %zu seeds, %llu mutations, no crash\n", argv[0], seeds.size(),
              static_cast<unsigned long long>(done));
  return 0;
}
