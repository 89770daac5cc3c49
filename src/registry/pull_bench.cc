// How fast a model is pulled from this machine, hashed on the way, beside what the machine has to
// give: receiving the bytes for nobody, writing them down, hashing. The sender is a process of its
// own that copies nothing (sendfile), so that it leaves the cores to what is measured. Counters are
// seconds of a core for each GB: of this process, of it within the kernel, and of the sender. The
// store lies in TMPDIR; PUNA_BENCH_MB is the size of the blob. To measure another client against
// the same sender, PUNA_BENCH_SERVE=1 prints the blob's address and waits.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include "base/check.h"
#include "base/sha256.h"
#include "http/client.h"
#include "registry/registry.h"
#include "store/manifest.h"

namespace puna::registry {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kChunkBytes = 256 << 10;

int64_t BlobBytes() {
  const char* megabytes = std::getenv("PUNA_BENCH_MB");
  return static_cast<int64_t>(megabytes == nullptr ? 1024 : std::atoi(megabytes)) << 20;
}

// Serves one model of one large blob, from memory.
class Sender {
 public:
  static Sender& Get() {
    static Sender sender;
    return sender;
  }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  ~Sender() { ::kill(process_, SIGKILL); }

  std::string host() const { return fmt::format("127.0.0.1:{}", port_); }
  std::string blob_url() const { return fmt::format("http://{}/{}", host(), digest_); }
  double Seconds() const {
    clockid_t clock = 0;
    timespec time = {};
    CHECK(::clock_getcpuclockid(process_, &clock) == 0 && ::clock_gettime(clock, &time) == 0);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  }

 private:
  struct File {
    int descriptor;
    int64_t size;
  };

  Sender() {
    MakeModel();
    Listen();
    process_ = ::fork();
    if (process_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) {
      const int connection = ::accept(listener_, nullptr, nullptr);
      std::thread([this, connection] { Serve(connection); }).detach();
    }
  }

  void AddFile(const std::string& name, std::string_view text) {
    const int descriptor = ::memfd_create(name.c_str(), 0);
    CHECK(::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    files_[name] = {descriptor, static_cast<int64_t>(text.size())};
  }

  void MakeModel() {
    const int blob = ::memfd_create("blob", 0);
    std::vector<uint8_t> bytes(kChunkBytes);
    Sha256 sha;
    for (int64_t at = 0; at < BlobBytes(); at += kChunkBytes) {
      for (size_t i = 0; i < sizeof(at); ++i) bytes[i] = static_cast<uint8_t>(at >> (8 * i));
      sha.Update(bytes);
      CHECK(::write(blob, bytes.data(), bytes.size()) == kChunkBytes);
    }
    digest_ = "sha256:" + sha.FinishHex();
    files_[digest_] = {blob, BlobBytes()};
    const std::string config = R"({"model_format":"gguf"})";
    store::Manifest manifest;
    manifest.layers.push_back({std::string(store::kModelType), digest_, BlobBytes(), ""});
    manifest.config = {std::string(store::kConfigType), "sha256:" + Sha256Hex(config),
                       static_cast<int64_t>(config.size()), ""};
    AddFile(manifest.config.digest, config);
    AddFile("latest", store::FormatManifest(manifest));
  }

  void Listen() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    CHECK(::bind(listener_, any, length) == 0 && ::listen(listener_, 64) == 0);
    CHECK(::getsockname(listener_, any, &length) == 0);
    port_ = ntohs(address.sin_port);
  }

  void Serve(int connection) const {
    std::string head;
    char piece[4096];
    for (ssize_t got = 1; got > 0;) {
      got = ::recv(connection, piece, sizeof(piece), 0);
      head.append(piece, static_cast<size_t>(std::max<ssize_t>(got, 0)));
      if (!head.ends_with("\r\n\r\n")) continue;
      if (!Answer(connection, head)) break;
      head.clear();
    }
    ::close(connection);
  }

  // The file that the path ends with, whole or the range that is asked for.
  bool Answer(int connection, const std::string& head) const {
    const std::string path = head.substr(4, head.find(' ', 4) - 4);
    const auto found = files_.find(path.substr(path.rfind('/') + 1));
    CHECK(found != files_.end());
    const auto [file, size] = found->second;
    int64_t begin = 0, last = size - 1;
    const size_t range = head.find("bytes=");
    const bool part = range != std::string::npos;
    if (part) CHECK(std::sscanf(head.c_str() + range, "bytes=%ld-%ld", &begin, &last) == 2);
    const std::string answer = fmt::format(
        "HTTP/1.1 {}\r\nContent-Length: {}\r\n{}\r\n", part ? "206 Partial Content" : "200 OK",
        last - begin + 1,
        part ? fmt::format("Content-Range: bytes {}-{}/{}\r\n", begin, last, size) : "");
    ssize_t sent = ::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_MORE);
    while (begin <= last && sent > 0)
      sent = ::sendfile(connection, file, &begin, static_cast<size_t>(last - begin + 1));
    return sent > 0;
  }

  int listener_ = -1, port_ = 0;
  pid_t process_ = 0;
  std::string digest_;
  std::map<std::string, File> files_;
};

// Measures from its making on, and says so in the counters of `state`.
class Meter {
 public:
  explicit Meter(benchmark::State& state) : state_(state), start_(Now()) {}
  ~Meter() {
    const Times now = Now();
    const auto count = [&](double seconds) {
      return seconds / static_cast<double>(state_.iterations() * BlobBytes()) * 1e9;
    };
    state_.counters["puna"] = count(now.own - start_.own);
    state_.counters["kernel"] = count(now.kernel - start_.kernel);
    state_.counters["sender"] = count(now.sender - start_.sender);
    state_.SetBytesProcessed(static_cast<int64_t>(state_.iterations()) * BlobBytes());
  }

 private:
  struct Times {
    double own, kernel, sender;
  };
  static double Seconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  }
  static Times Now() {
    rusage usage = {};
    ::getrusage(RUSAGE_SELF, &usage);
    return {.own = Seconds(usage.ru_utime) + Seconds(usage.ru_stime),
            .kernel = Seconds(usage.ru_stime),
            .sender = Sender::Get().Seconds()};
  }
  benchmark::State& state_;
  const Times start_;
};

// A folder in TMPDIR for as long as this lives.
class Folder {
 public:
  Folder() {
    std::string name = fs::temp_directory_path() / "puna-bench-XXXXXX";
    CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Memory that the system has to get first, from a host that it is a guest of, costs more than all
// else; so it is got before.
void TouchMemory(const fs::path& folder) {
  const fs::path path = folder / "touched";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  const std::vector<uint8_t> bytes(kChunkBytes);
  for (int64_t at = 0; at < BlobBytes(); at += kChunkBytes)
    CHECK(::pwrite(file, bytes.data(), bytes.size(), at) == kChunkBytes);
  ::close(file);
  fs::remove(path);
}

// By one connection; into a file if the argument says so.
void BM_Receive(benchmark::State& state) {
  const std::string url = Sender::Get().blob_url();
  const Folder folder;
  TouchMemory(folder.path());
  const int file = ::open((folder.path() / "blob").c_str(), O_RDWR | O_CREAT, 0600);
  const Meter meter(state);
  for (auto _ : state) {
    int64_t at = 0;
    http::ClientRequest request;
    request.url = url;
    request.on_data = [&](std::string_view piece) {
      if (state.range(0) != 0) CHECK(::pwrite(file, piece.data(), piece.size(), at) > 0);
      at += static_cast<int64_t>(piece.size());
      return true;
    };
    CHECK(http::Fetch(request).has_value() && at == BlobBytes());
  }
  ::close(file);
}
BENCHMARK(BM_Receive)
    ->ArgName("write")
    ->Arg(0)
    ->Arg(1)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void BM_Hash(benchmark::State& state) {
  const std::vector<uint8_t> bytes(kChunkBytes);
  const Meter meter(state);
  for (auto _ : state) {
    Sha256 sha;
    for (int64_t at = 0; at < BlobBytes(); at += kChunkBytes) sha.Update(bytes);
    benchmark::DoNotOptimize(sha.FinishHex());
  }
}
BENCHMARK(BM_Hash)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_Pull(benchmark::State& state) {
  const auto name = store::ModelName::Parse(Sender::Get().host() + "/library/model");
  CHECK(name.has_value());
  const Folder folder;
  TouchMemory(folder.path());
  store::Store store({folder.path()});
  RegistryOptions options;
  options.connections = static_cast<int>(state.range(0));
  const Meter meter(state);
  for (auto _ : state) {
    const Status pulled = Registry(&store, options).Pull(*name, true, nullptr);
    CHECK(pulled.has_value());
  }
}
BENCHMARK(BM_Pull)
    ->ArgName("connections")
    ->RangeMultiplier(2)
    ->Range(1, 8)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// Before the first thread, since the sender is forked.
const bool started = [] {
  const Sender& sender = Sender::Get();
  while (std::getenv("PUNA_BENCH_SERVE") != nullptr) {
    std::printf("%s\n", sender.blob_url().c_str());
    std::fflush(stdout);
    ::pause();
  }
  return true;
}();

}  // namespace
}  // namespace puna::registry
