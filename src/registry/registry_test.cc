// Pull and push against a registry in this process that behaves as ollama.com's does (token,
// redirect to another host name) and fails in the ways that networks and strangers do.
#include "registry/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "http/client.h"
#include "http/server.h"
#include "store/manifest.h"
#include "tests/support/no_threads.h"
#include "tests/support/shared_data.h"
#include "tests/support/small_disk.h"

namespace puna::registry {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;

std::string DigestOf(std::string_view bytes) { return "sha256:" + Sha256Hex(bytes); }

std::string RandomBytes(size_t count, uint32_t seed) {
  std::string bytes(count, '\0');
  for (char& c : bytes) {
    seed = seed * 1664525 + 1013904223;
    c = static_cast<char>(seed >> 24);
  }
  return bytes;
}

// What the registry does wrong.
struct Faults {
  bool wants_token = false;        // 401 until a signed token request was made
  bool redirects = false;          // blobs are at another host name
  bool no_ranges = false;          // answers every GET with the whole
  int busy_answers = 0;            // the first so many requests for blobs are 503
  int broken_transfers = 0;        // so many answers end in the middle
  int64_t fail_after = -1;         // after so many bytes of blobs everything is 503
  int wrong_byte_at = -1;          // of every blob
  int wrong_bytes_left = 1 << 30;  // so many answers have it
  bool shifted_ranges = false;     // sends other bytes than were asked for
  bool crawls_once = false;        // the first answer hardly moves, the others take their time
  bool halts = false;              // large answers wait after 1000 bytes until Heal, or 20 seconds
  std::string redirect_to;         // instead of the blob
  int64_t claimed_size = -1;       // of the first layer, in the manifest
};

class FakeRegistry {
 public:
  explicit FakeRegistry(Faults faults) : faults_(std::move(faults)) {
    http::ServerOptions options;
    options.port = 0;
    auto started = http::Server::Start(
        options, [this](const http::Request& request, http::BodyReader& body,
                        http::ResponseWriter& writer) { return Answer(request, body, writer); });
    server_ = *std::move(started);
  }

  std::string host() const { return fmt::format("127.0.0.1:{}", server_->port()); }
  std::string AddBlob(const std::string& bytes) {
    const std::lock_guard lock(mutex_);
    blobs_[DigestOf(bytes)] = bytes;
    return DigestOf(bytes);
  }
  // A model of these layers.
  void AddModel(const std::vector<std::string>& layers) {
    store::Manifest manifest;
    for (const std::string& layer : layers) {
      manifest.layers.push_back(
          {std::string(store::kModelType), AddBlob(layer), static_cast<int64_t>(layer.size()), ""});
    }
    if (faults_.claimed_size >= 0) manifest.layers[0].size_bytes = faults_.claimed_size;
    const std::string config = R"({"model_format":"gguf"})";
    manifest.config = {std::string(store::kConfigType), AddBlob(config),
                       static_cast<int64_t>(config.size()), ""};
    manifest_ = store::FormatManifest(manifest);
  }

  std::map<std::string, std::string> blobs() {
    const std::lock_guard lock(mutex_);
    return blobs_;
  }
  std::string manifest() {
    const std::lock_guard lock(mutex_);
    return manifest_;
  }
  void Heal() {
    const std::lock_guard lock(mutex_);
    faults_.fail_after = -1;
    halted_ = false;
  }
  std::atomic<int64_t> bytes_sent = 0;
  std::atomic<int> token_requests = 0, proxied_requests = 0;
  // A file at a path. Before the first request.
  void AddFile(const std::string& path, const std::string& bytes) {
    AddBlob(bytes);
    files_[path] = bytes;
  }
  void SetManifest(std::string text) { manifest_ = std::move(text); }

 private:
  static std::string PathOf(std::string target) {
    if (const size_t scheme = target.find("://"); scheme != std::string::npos)
      target = target.substr(target.find('/', scheme + 3));
    return target.substr(0, target.find('?'));
  }

  http::Task<void> Answer(const http::Request& request, http::BodyReader& body,
                          http::ResponseWriter& writer) {
    const std::string prefix = "/v2/library/tiny/";
    // A proxy is asked for whole URLs.
    if (const size_t at = request.target.find("://"); at != std::string::npos) ++proxied_requests;
    const std::string path = PathOf(request.target);
    if (const auto it = files_.find(path); it != files_.end()) {
      co_await AnswerBlob(DigestOf(it->second), request, writer);
    } else if (path == "/token") {
      ++token_requests;
      const bool signed_by_key =
          request.Header("authorization").starts_with("AAAAC3NzaC1lZDI1NTE5");
      co_await writer.Send(signed_by_key ? 200 : 403, "application/json", R"({"token":"secret"})");
    } else if (faults_.wants_token && !path.starts_with("/elsewhere/") &&
               request.Header("authorization") != "Bearer secret") {
      writer.SetHeader("WWW-Authenticate",
                       fmt::format("Bearer realm=\"http://{}/token\",service=\"s\","
                                   "scope=\"repository:library/tiny:pull,push\"",
                                   host()));
      co_await writer.Send(401, "", "");
    } else if (path == prefix + "manifests/latest") {
      co_await AnswerManifest(request, body, writer);
    } else if (path.starts_with(prefix + "blobs/uploads/")) {
      co_await AnswerUpload(request, body, writer);
    } else if (path.starts_with(prefix + "blobs/")) {
      const std::string digest = path.substr(prefix.size() + 6);
      if (faults_.redirects || !faults_.redirect_to.empty()) {
        writer.SetHeader("Location", !faults_.redirect_to.empty()
                                         ? faults_.redirect_to
                                         : fmt::format("http://localhost:{}/elsewhere/{}",
                                                       server_->port(), digest));
        co_await writer.Send(307, "", "");
      } else {
        co_await AnswerBlob(digest, request, writer);
      }
    } else if (path.starts_with("/elsewhere/")) {
      // A token that leaks to the place of the bytes is a fault of the client.
      if (!request.Header("authorization").empty()) {
        co_await writer.Send(400, "", "a token");
      } else {
        co_await AnswerBlob(path.substr(11), request, writer);
      }
    } else {
      co_await writer.Send(404, "", "");
    }
  }

  http::Task<void> AnswerManifest(const http::Request& request, http::BodyReader& body,
                                  http::ResponseWriter& writer) {
    if (request.method == "PUT") {
      auto text = co_await body.ReadAll(1 << 20);
      {
        const std::lock_guard lock(mutex_);
        manifest_ = *text;
      }
      co_await writer.Send(201, "", "");
    } else {
      const std::string text = manifest();
      co_await writer.Send(text.empty() ? 404 : 200, "application/json", text);
    }
  }

  http::Task<void> AnswerBlob(const std::string& digest, const http::Request& request,
                              http::ResponseWriter& writer) {
    std::string bytes;
    bool known = false, busy = false;
    int64_t fail_after = -1;
    {
      const std::lock_guard lock(mutex_);
      const auto it = blobs_.find(digest);
      known = it != blobs_.end();
      if (known) bytes = it->second;
      busy = faults_.busy_answers-- > 0;
      fail_after = faults_.fail_after;
    }
    if (!known || busy || (fail_after >= 0 && bytes_sent > fail_after)) {
      co_await writer.Send(known ? 503 : 404, "", "");
      co_return;
    }
    int status = 200;
    size_t begin = 0, end = bytes.size();
    if (std::sscanf(std::string(request.Header("range")).c_str(), "bytes=%zu-%zu", &begin, &end) ==
            2 &&
        !faults_.no_ranges) {
      status = 206;
      end = std::min(end + 1, bytes.size());
      writer.SetHeader("Content-Range",
                       fmt::format("bytes {}-{}/{}", begin + (faults_.shifted_ranges ? 1 : 0),
                                   end - 1, bytes.size()));
    } else {
      begin = 0;
      end = bytes.size();
    }
    std::string part = bytes.substr(begin, end - begin);
    const auto wrong = static_cast<size_t>(faults_.wrong_byte_at);
    if (faults_.wrong_byte_at >= 0 && begin <= wrong && wrong < end &&
        faults_.wrong_bytes_left-- > 0) {
      part[wrong - begin] ^= 1;
    }
    if (faults_.halts && part.size() > 1000) {
      co_await SendHalting(status, std::move(part), writer);
      co_return;
    }
    if (faults_.crawls_once && part.size() > 1000) {
      co_await SendSlowly(status, std::move(part), writer);
      co_return;
    }
    if (part.size() > 1000 && broken_so_far_++ < faults_.broken_transfers) {
      // Half of it, and then the connection goes.
      co_await writer.StartStream(status, "application/octet-stream");
      co_await writer.Write(part.substr(0, part.size() / 2));
      bytes_sent += static_cast<int64_t>(part.size() / 2);
      co_return;
    }
    bytes_sent += static_cast<int64_t>(part.size());
    co_await writer.Send(status, "application/octet-stream", std::move(part));
  }

  // About 20 MB/s, but for one answer 20 kB/s.
  http::Task<void> SendSlowly(int status, std::string bytes, http::ResponseWriter& writer) {
    const bool crawl = !crawled_.exchange(true);
    const size_t step = crawl ? 1000 : 1 << 20;
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    co_await writer.StartStream(status, "application/octet-stream");
    for (size_t at = 0; at < bytes.size(); at += step) {
      if (!co_await writer.Write(bytes.substr(at, step))) co_return;
      timer.expires_after(std::chrono::milliseconds(50));
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    co_await writer.Finish();
  }

  http::Task<void> SendHalting(int status, std::string bytes, http::ResponseWriter& writer) {
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
    co_await writer.StartStream(status, "application/octet-stream");
    co_await writer.Write(bytes.substr(0, 1000));
    for (int i = 0; halted_ && i < 2000; ++i) {
      timer.expires_after(std::chrono::milliseconds(10));
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    co_await writer.Write(bytes.substr(1000));
    co_await writer.Finish();
  }

  http::Task<void> AnswerUpload(const http::Request& request, http::BodyReader& body,
                                http::ResponseWriter& writer) {
    auto bytes = co_await body.ReadAll(64 << 20);
    if (request.method == "POST") {
      writer.SetHeader("Location", "/v2/library/tiny/blobs/uploads/1?state=a");
      co_await writer.Send(202, "", "");
    } else if (request.method == "PATCH") {
      {
        const std::lock_guard lock(mutex_);
        upload_ += *bytes;
      }
      writer.SetHeader("Location", "/v2/library/tiny/blobs/uploads/1?state=b");
      co_await writer.Send(202, "", "");
    } else {
      std::string upload;
      {
        const std::lock_guard lock(mutex_);
        upload.swap(upload_);
      }
      const std::string digest = AddBlob(upload);
      const bool right = request.target.find(digest.substr(7)) != std::string::npos;
      co_await writer.Send(right ? 201 : 400, "", "");
    }
  }

  std::mutex mutex_;
  Faults faults_;
  std::map<std::string, std::string> blobs_, files_;
  std::string manifest_, upload_;
  std::atomic<bool> crawled_ = false, halted_ = true;
  std::atomic<int> broken_so_far_ = 0;
  std::unique_ptr<http::Server> server_;
};

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest()
      : folder_(fs::temp_directory_path() / fmt::format("puna-registry-{}", ::getpid())) {
    fs::remove_all(folder_);
    store_ = std::make_unique<store::Store>(folder_ / "models");
    UseConnections(4);
  }
  void UseConnections(int count, std::chrono::milliseconds speed_window = std::chrono::hours(1)) {
    RegistryOptions options;
    options.key_file = folder_ / "id_ed25519";
    options.retry_unit = std::chrono::milliseconds(1);
    options.connections = count;
    options.speed_window = speed_window;
    registry_ = std::make_unique<Registry>(store_.get(), options);
  }
  ~RegistryTest() override { fs::remove_all(folder_); }

  static store::ModelName Name(const FakeRegistry& peer) {
    return *store::ModelName::Parse(peer.host() + "/library/tiny");
  }
  Status Pull(const FakeRegistry& peer) {
    return registry_->Pull(Name(peer), /*insecure=*/true, [&](const store::Progress& progress) {
      statuses_.push_back(progress.status);
      return !cancel_;
    });
  }
  void ExpectBlob(const std::string& bytes) {
    const auto text = ReadFile(*store_->BlobPath(DigestOf(bytes)));
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(*text, bytes);
  }
  size_t FilesInBlobs() const {
    std::error_code error;
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         fs::directory_iterator(folder_ / "models/blobs", error))
      ++count;
    return count;
  }

  fs::path folder_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Registry> registry_;
  std::vector<std::string> statuses_;
  bool cancel_ = false;
  // Several parts: one is at least 8 MiB.
  const std::string weights_ = RandomBytes((20 << 20) + 123, 1);
};

TEST_F(RegistryTest, PullsPlainBlobs) {
  FakeRegistry peer({});
  peer.AddModel({weights_, "template"});
  const Status done = Pull(peer);
  ASSERT_TRUE(done) << done.error().message;
  ExpectBlob(weights_);
  ExpectBlob("template");
  EXPECT_EQ(FilesInBlobs(), 3u);
  EXPECT_EQ(statuses_.front(), "pulling manifest");
  EXPECT_EQ(statuses_.back(), "success");
  EXPECT_THAT(statuses_, Contains("pulling " + Sha256Hex(weights_).substr(0, 12)));
  EXPECT_EQ(*store_->ReadManifestText(Name(peer)), peer.manifest());
}

TEST_F(RegistryTest, ARegistryWithoutTlsIsToldWithWhatToDo) {
  FakeRegistry peer({});
  peer.AddModel({"weights"});
  const Status pulled = registry_->Pull(Name(peer), /*insecure=*/false, nullptr);
  ASSERT_FALSE(pulled);
  EXPECT_THAT(pulled.error().message, HasSubstr("--insecure, permits plain http"));
}

TEST_F(RegistryTest, FollowsTokenAndRedirect) {
  FakeRegistry peer({.wants_token = true, .redirects = true});
  peer.AddModel({weights_});
  const Status done = Pull(peer);
  ASSERT_TRUE(done) << done.error().message;
  ExpectBlob(weights_);
  EXPECT_EQ(peer.token_requests, 1);
}

TEST_F(RegistryTest, ServersWithoutRangesWorkToo) {
  FakeRegistry peer({.no_ranges = true, .broken_transfers = 2});
  peer.AddModel({weights_});
  const Status done = Pull(peer);
  ASSERT_TRUE(done) << done.error().message;
  ExpectBlob(weights_);
}

TEST_F(RegistryTest, BrokenTransfersAreContinued) {
  FakeRegistry peer({.redirects = true, .broken_transfers = 7});
  peer.AddModel({weights_});
  const Status done = Pull(peer);
  ASSERT_TRUE(done) << done.error().message;
  ExpectBlob(weights_);
  // Each byte came once, but for what was on its way when connections broke.
  EXPECT_LT(peer.bytes_sent, static_cast<int64_t>(weights_.size()) + 10000);
}

TEST_F(RegistryTest, ARegistryThatIsBusyAtFirstIsAskedAgain) {
  FakeRegistry peer({.busy_answers = 3});
  peer.AddModel({weights_});
  const Status done = Pull(peer);
  ASSERT_TRUE(done) << done.error().message;
  ExpectBlob(weights_);
  FakeRegistry always({.busy_answers = 1000});
  always.AddModel({RandomBytes(5000, 4)});
  const Status failed = Pull(always);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kUnavailable) << failed.error().message;
}

TEST_F(RegistryTest, AnInterruptedPullIsResumed) {
  UseConnections(1);  // more could all be under way before the fault begins
  FakeRegistry peer({.fail_after = 9 << 20});
  peer.AddModel({weights_});
  const Status failed = Pull(peer);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kUnavailable) << failed.error().message;
  EXPECT_EQ(store_->List().size(), 1u) << "only the bundled model may be listed";
  EXPECT_FALSE(*store_->HasBlob(DigestOf(weights_)));
  const int64_t before = peer.bytes_sent;
  EXPECT_GT(before, 0);
  peer.Heal();
  const Status done = Pull(peer);
  ASSERT_TRUE(done) << done.error().message;
  ExpectBlob(weights_);
  EXPECT_LT(peer.bytes_sent - before, static_cast<int64_t>(weights_.size()));
}

TEST_F(RegistryTest, CancellingKeepsWhatArrivedAndListsNothing) {
  FakeRegistry peer({});
  peer.AddModel({weights_});
  cancel_ = true;
  const Status cancelled = Pull(peer);
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  cancel_ = false;
  ASSERT_TRUE(Pull(peer));
  ExpectBlob(weights_);
}

TEST_F(RegistryTest, AWrongByteIsFound) {
  FakeRegistry peer({.wrong_byte_at = 9000000});
  peer.AddModel({weights_});
  const Status failed = Pull(peer);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("digest mismatch, file must be downloaded again"));
  EXPECT_FALSE(*store_->HasBlob(DigestOf(weights_)));
  EXPECT_EQ(FilesInBlobs(), 0u) << "wrong bytes must not be resumed from";
}

TEST_F(RegistryTest, AWrongByteIsFetchedAgainWithItsPartOnly) {
  UseConnections(1);  // so that parts come one after the other
  FakeRegistry peer({.wrong_byte_at = 7000000, .wrong_bytes_left = 1});
  peer.AddModel({weights_});
  const Status done = Pull(peer);
  ASSERT_TRUE(done) << done.error().message;
  ExpectBlob(weights_);
  EXPECT_THAT(statuses_, Contains("repairing " + Sha256Hex(weights_).substr(0, 12)));
  // Of three parts of 8 MiB, 8 MiB and the rest it is the first.
  EXPECT_LT(peer.bytes_sent, static_cast<int64_t>(weights_.size()) + (11 << 20));
}

TEST_F(RegistryTest, APartThatBrokeOffIsSuspectedFirst) {
  UseConnections(1);
  // The first answer breaks in the middle, and its continuation brings the wrong byte.
  FakeRegistry peer({.broken_transfers = 1, .wrong_byte_at = 7000000, .wrong_bytes_left = 1});
  peer.AddModel({weights_});
  const Status done = Pull(peer);
  ASSERT_TRUE(done) << done.error().message;
  ExpectBlob(weights_);
  EXPECT_LT(peer.bytes_sent, static_cast<int64_t>(weights_.size()) + (16 << 20));
}

TEST_F(RegistryTest, AConnectionThatCrawlsIsMadeAnew) {
  UseConnections(4, std::chrono::milliseconds(500));
  FakeRegistry peer({.crawls_once = true});
  peer.AddModel({RandomBytes(64 << 20, 2)});
  const auto start = std::chrono::steady_clock::now();
  const Status done = Pull(peer);
  ASSERT_TRUE(done) << done.error().message;
  // The part of 8 MiB alone would have taken seven minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST_F(RegistryTest, FewBytesAreNotKeptFromTheFile) {
  FakeRegistry peer({.halts = true});
  peer.AddModel({weights_});
  bool arrived_alone = false;
  const Status pulled =
      registry_->Pull(Name(peer), /*insecure=*/true, [&](const store::Progress& progress) {
        if (progress.total_bytes > 1000 && progress.completed_bytes > 0 &&
            progress.completed_bytes < 100000) {
          arrived_alone = true;
          peer.Heal();
        }
        return true;
      });
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_TRUE(arrived_alone);
  ExpectBlob(weights_);
}

TEST_F(RegistryTest, OtherBytesThanAskedForAreRefused) {
  FakeRegistry peer({.shifted_ranges = true});
  peer.AddModel({weights_});
  const Status failed = Pull(peer);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("asked for the bytes from "));
}

TEST_F(RegistryTest, EndlessManifestsAreCutOff) {
  FakeRegistry peer({});
  peer.SetManifest(std::string(5 << 20, ' '));
  const Status failed = Pull(peer);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("longer than"));
}

TEST_F(RegistryTest, HostileManifestsChangeNothing) {
  const std::string hex(64, 'a');
  const auto layer = [&](const std::string& digest, const std::string& size) {
    return R"({"config":{"mediaType":"c","digest":"sha256:)" + hex +
           R"(","size":1},"layers":[{"mediaType":"m","digest":")" + digest + R"(","size":)" + size +
           "}]}";
  };
  const std::vector<std::string> manifests = {
      "null",
      "[]",
      "{}",
      R"({"config":5,"layers":[]})",
      layer("sha256:../../etc/passwd", "1"),
      layer("sha256:" + std::string(63, 'a'), "1"),
      layer("/etc/passwd", "1"),
      layer("sha256:" + hex, "-5"),
      layer("sha256:" + hex, "9223372036854775807"),
      layer("sha256:" + hex, "1e300"),
      layer("sha256:" + hex, "\"big\""),
      std::string(100000, '['),
      R"({"config":{"mediaType":"c"},"layers":)" + std::string(9999, '[')};
  for (const std::string& manifest : manifests) {
    FakeRegistry peer({});
    peer.SetManifest(manifest);
    EXPECT_FALSE(Pull(peer)) << manifest.substr(0, 200);
    EXPECT_EQ(FilesInBlobs(), 0u) << manifest.substr(0, 200);
    EXPECT_EQ(store_->List().size(), 1u);
  }
}

std::string MiniModel() { return *ReadFile(puna::testing::SourcePath("models/mini.gguf")); }

TEST_F(RegistryTest, FilesArePulledByTheirAddress) {
  FakeRegistry peer({.redirects = true, .broken_transfers = 2});
  peer.AddFile("/a/My-Model.gguf", MiniModel());
  const store::ModelName name = *store::ModelName::Parse("mine");
  const std::string url = "http://" + peer.host() + "/a/My-Model.gguf";
  EXPECT_TRUE(IsFileUrl(url));
  const Status refused = registry_->PullFile(url, name, /*insecure=*/false, nullptr);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kPermissionDenied);
  const Status done = registry_->PullFile(url, name, /*insecure=*/true, nullptr);
  ASSERT_TRUE(done) << done.error().message;
  ExpectBlob(MiniModel());
  EXPECT_TRUE(store_->Find(name));
  peer.AddFile("/not.gguf", RandomBytes(5000, 3));
  const size_t before = FilesInBlobs();
  EXPECT_FALSE(registry_->PullFile("http://" + peer.host() + "/not.gguf", name, true, nullptr));
  EXPECT_EQ(FilesInBlobs(), before) << "what is no model may not stay";
}

TEST_F(RegistryTest, ProxiesAreAskedForForeignHostsOnly) {
  FakeRegistry peer({}), proxy({});
  peer.AddModel({"mine"});
  proxy.AddModel({weights_});
  const std::string address = "http://" + proxy.host();
  ::setenv("HTTP_PROXY", address.c_str(), 1);
  ::setenv("NO_PROXY", "nobody.test", 1);
  const Status through =
      registry_->Pull(*store::ModelName::Parse("hf.co/library/tiny"), true, nullptr);
  const Status direct = Pull(peer);
  const Status excepted =
      registry_->Pull(*store::ModelName::Parse("nobody.test/library/tiny"), true, nullptr);
  ::unsetenv("HTTP_PROXY");
  ::unsetenv("NO_PROXY");
  ASSERT_TRUE(through) << through.error().message;
  EXPECT_GT(proxy.proxied_requests, 2);
  ExpectBlob(weights_);
  ASSERT_TRUE(direct) << direct.error().message;
  EXPECT_EQ(peer.proxied_requests, 0);
  ASSERT_FALSE(excepted) << "there is no such host";
}

TEST(FetchTest, StrangersCannotLeadToThisMachine) {
  FakeRegistry peer({});
  const std::string port = peer.host().substr(peer.host().find(':'));
  for (const std::string& host : {std::string("127.0.0.1"), std::string("localhost"),
                                  std::string("127.1"), std::string("[::ffff:127.0.0.1]")}) {
    http::ClientRequest request;
    request.url = "http://" + host + port + "/v2/library/tiny/manifests/latest";
    request.peers = http::Peers::kNotLinkLocal;
    EXPECT_TRUE(http::Fetch(request)) << host;
    request.peers = http::Peers::kPublic;
    const auto refused = http::Fetch(request);
    ASSERT_FALSE(refused) << host;
    EXPECT_EQ(refused.error().code, ErrorCode::kPermissionDenied) << refused.error().message;
    EXPECT_THAT(refused.error().message, HasSubstr("refused"));
  }
  for (const char* host : {"169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"}) {
    for (const http::Peers peers : {http::Peers::kNotLinkLocal, http::Peers::kPublic}) {
      http::ClientRequest request;
      request.url = fmt::format("http://{}/latest/meta-data", host);
      request.peers = peers;
      const auto refused = http::Fetch(request);
      ASSERT_FALSE(refused) << host;
      EXPECT_EQ(refused.error().code, ErrorCode::kPermissionDenied) << refused.error().message;
    }
  }
}

TEST_F(RegistryTest, ADiskThatIsTooSmallIsReportedBeforeAnythingIsFetched) {
  const testing::SmallDisk disk(folder_, 60);
  if (!disk.mounted()) GTEST_SKIP() << "mounting is not permitted";
  FakeRegistry peer({});
  peer.AddModel({"small", weights_});
  const Status failed = Pull(peer);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(failed.error().message, HasSubstr(std::to_string(weights_.size() + 5 + 23)));
  EXPECT_EQ(peer.bytes_sent, 0);
}

TEST_F(RegistryTest, APullGoesOnWhenAFullDiskHasRoomAgain) {
  const testing::SmallDisk disk(folder_, 100);
  if (!disk.mounted()) GTEST_SKIP() << "mounting is not permitted";
  FakeRegistry peer({});
  peer.AddModel({weights_});
  std::ofstream ballast(folder_ / "ballast", std::ios::binary);
  const Status failed = registry_->Pull(Name(peer), true, [&](const store::Progress& progress) {
    const std::string block(1 << 20, 'x');
    while (progress.completed_bytes < 1 && progress.total_bytes > 1000 && ballast.good())
      ballast.write(block.data(), static_cast<std::streamsize>(block.size()));
    return true;
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kResourceExhausted) << failed.error().message;
  EXPECT_EQ(store_->List().size(), 1u);
  ballast.close();
  fs::remove(folder_ / "ballast");
  const Status done = Pull(peer);
  ASSERT_TRUE(done) << done.error().message;
  ExpectBlob(weights_);
}

TEST_F(RegistryTest, TwoPullsShareOneTransfer) {
  FakeRegistry peer({});
  peer.AddModel({weights_});
  Status other;
  std::thread thread([&] { other = registry_->Pull(Name(peer), true, nullptr); });
  const Status mine = registry_->Pull(Name(peer), true, nullptr);
  thread.join();
  EXPECT_TRUE(mine);
  EXPECT_TRUE(other);
  ExpectBlob(weights_);
  EXPECT_LT(peer.bytes_sent, static_cast<int64_t>(weights_.size()) + 10000);
}

TEST_F(RegistryTest, LiesAboutSizesAreRefused) {
  for (const int64_t claimed : {int64_t{5}, int64_t{1} << 61}) {
    FakeRegistry peer({.claimed_size = claimed});
    peer.AddModel({weights_});
    const Status failed = Pull(peer);
    ASSERT_FALSE(failed);
    EXPECT_THAT(failed.error().message, HasSubstr("bytes")) << claimed;
    EXPECT_FALSE(*store_->HasBlob(DigestOf(weights_)));
  }
}

TEST_F(RegistryTest, RedirectsToWhereNobodyHasModelsAreRefused) {
  for (const char* target : {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/",
                             "http://169.254.169.254/latest/meta-data"}) {
    FakeRegistry peer({.redirect_to = target});
    peer.AddModel({weights_});
    const Status failed = Pull(peer);
    ASSERT_FALSE(failed);
    EXPECT_THAT(failed.error().message, HasSubstr("refused")) << target;
  }
}

TEST_F(RegistryTest, RedirectLoopsEnd) {
  FakeRegistry peer({.redirect_to = "?again"});
  peer.AddModel({weights_});
  const Status failed = Pull(peer);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("redirects"));
}

TEST_F(RegistryTest, UnknownModelsAndDeadHosts) {
  FakeRegistry peer({});
  const Status missing = Pull(peer);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "pull model manifest: file does not exist");
  const Status dead =
      registry_->Pull(*store::ModelName::Parse("127.0.0.1:1/library/x"), true, nullptr);
  ASSERT_FALSE(dead);
  EXPECT_EQ(dead.error().code, ErrorCode::kUnavailable);
}

TEST_F(RegistryTest, APushedModelComesBackTheSame) {
  FakeRegistry source({});
  source.AddModel({weights_, "system"});
  ASSERT_TRUE(Pull(source));
  FakeRegistry target({.wants_token = true});
  ASSERT_TRUE(store_->Copy(Name(source), Name(target)));
  const Status pushed = registry_->Push(Name(target), true, nullptr);
  ASSERT_TRUE(pushed) << pushed.error().message;
  EXPECT_EQ(target.manifest(), source.manifest());
  EXPECT_EQ(target.blobs(), source.blobs());
}

TEST_F(RegistryTest, APushTellsItsProgressAsOftenAsAPullDoes) {
  FakeRegistry source({});
  source.AddModel({RandomBytes(32 << 20, 5)});
  ASSERT_TRUE(Pull(source));
  FakeRegistry target({});
  ASSERT_TRUE(store_->Copy(Name(source), Name(target)));
  const auto start = std::chrono::steady_clock::now();
  int64_t reports = 0;
  ASSERT_TRUE(registry_->Push(Name(target), true, [&](const store::Progress& progress) {
    reports += !progress.digest.empty();
    return true;
  }));
  const auto time = std::chrono::steady_clock::now() - start;
  // The first and the last of the layer and of the config.
  EXPECT_LE(reports, 4 + time / std::chrono::milliseconds(60));
  EXPECT_GE(reports, 3);
}

TEST_F(RegistryTest, WithoutThreadsNothingIsPulled) {
  FakeRegistry peer({});
  peer.AddModel({weights_});
  {
    const NoThreads limit;
    const Status pulled = Pull(peer);
    ASSERT_FALSE(pulled);
    EXPECT_EQ(pulled.error().code, ErrorCode::kResourceExhausted);
  }
  ASSERT_TRUE(Pull(peer));
  ExpectBlob(weights_);
}

TEST_F(RegistryTest, ReplacedLayersGo) {
  FakeRegistry peer({});
  peer.AddModel({weights_});
  ASSERT_TRUE(Pull(peer));
  peer.AddModel({"other"});
  ASSERT_TRUE(Pull(peer));
  EXPECT_FALSE(*store_->HasBlob(DigestOf(weights_)));
  ExpectBlob("other");
}

}  // namespace
}  // namespace puna::registry
