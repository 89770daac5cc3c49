// Pull and push against a registry in this process that behaves as ollama.com's does (token,
// redirect to another host name) and fails in the ways that networks and strangers do.
#include "registry/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "http/server.h"
#include "registry/identity.h"
#include "registry/partial_file.h"
#include "store/manifest.h"

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
  bool wants_token = false;   // 401 until a signed token request was made
  bool redirects = false;     // blobs are at another host name
  bool no_ranges = false;     // answers every GET with the whole
  int broken_transfers = 0;   // so many answers end in the middle
  int64_t fail_after = -1;    // after so many bytes of blobs everything is 503
  int wrong_byte_at = -1;     // of every blob
  std::string redirect_to;    // instead of the blob
  int64_t claimed_size = -1;  // of the first layer, in the manifest
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
  }
  std::atomic<int64_t> bytes_sent = 0;
  std::atomic<int> token_requests = 0;

 private:
  http::Task<void> Answer(const http::Request& request, http::BodyReader& body,
                          http::ResponseWriter& writer) {
    const std::string prefix = "/v2/library/tiny/";
    if (request.path == "/token") {
      ++token_requests;
      const bool signed_by_key =
          request.Header("authorization").starts_with("AAAAC3NzaC1lZDI1NTE5");
      co_await writer.Send(signed_by_key ? 200 : 403, "application/json", R"({"token":"secret"})");
    } else if (faults_.wants_token && !request.path.starts_with("/elsewhere/") &&
               request.Header("authorization") != "Bearer secret") {
      writer.SetHeader("WWW-Authenticate",
                       fmt::format("Bearer realm=\"http://{}/token\",service=\"s\","
                                   "scope=\"repository:library/tiny:pull,push\"",
                                   host()));
      co_await writer.Send(401, "", "");
    } else if (request.path == prefix + "manifests/latest") {
      co_await AnswerManifest(request, body, writer);
    } else if (request.path.starts_with(prefix + "blobs/uploads/")) {
      co_await AnswerUpload(request, body, writer);
    } else if (request.path.starts_with(prefix + "blobs/")) {
      const std::string digest = request.path.substr(prefix.size() + 6);
      if (faults_.redirects || !faults_.redirect_to.empty()) {
        writer.SetHeader("Location", !faults_.redirect_to.empty()
                                         ? faults_.redirect_to
                                         : fmt::format("http://localhost:{}/elsewhere/{}",
                                                       server_->port(), digest));
        co_await writer.Send(307, "", "");
      } else {
        co_await AnswerBlob(digest, request, writer);
      }
    } else if (request.path.starts_with("/elsewhere/")) {
      // A token that leaks to the place of the bytes is a fault of the client.
      if (!request.Header("authorization").empty()) {
        co_await writer.Send(400, "", "a token");
      } else {
        co_await AnswerBlob(request.path.substr(11), request, writer);
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
    bool known = false;
    int64_t fail_after = -1;
    {
      const std::lock_guard lock(mutex_);
      const auto it = blobs_.find(digest);
      known = it != blobs_.end();
      if (known) bytes = it->second;
      fail_after = faults_.fail_after;
    }
    if (!known || (fail_after >= 0 && bytes_sent > fail_after)) {
      co_await writer.Send(known ? 503 : 404, "", "");
      co_return;
    }
    if (faults_.wrong_byte_at >= 0 && bytes.size() > static_cast<size_t>(faults_.wrong_byte_at))
      bytes[static_cast<size_t>(faults_.wrong_byte_at)] ^= 1;
    int status = 200;
    size_t begin = 0, end = bytes.size();
    if (std::sscanf(std::string(request.Header("range")).c_str(), "bytes=%zu-%zu", &begin, &end) ==
            2 &&
        !faults_.no_ranges) {
      status = 206;
      end = std::min(end + 1, bytes.size());
      writer.SetHeader("Content-Range",
                       fmt::format("bytes {}-{}/{}", begin, end - 1, bytes.size()));
    } else {
      begin = 0;
      end = bytes.size();
    }
    std::string part = bytes.substr(begin, end - begin);
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
  std::map<std::string, std::string> blobs_;
  std::string manifest_, upload_;
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
  void UseConnections(int count) {
    RegistryOptions options;
    options.key_file = folder_ / "id_ed25519";
    options.retry_unit = std::chrono::milliseconds(1);
    options.connections = count;
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

TEST_F(RegistryTest, RedirectsToOtherProtocolsAreRefused) {
  for (const char* target : {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/"}) {
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

TEST_F(RegistryTest, ReplacedLayersGo) {
  FakeRegistry peer({});
  peer.AddModel({weights_});
  ASSERT_TRUE(Pull(peer));
  peer.AddModel({"other"});
  ASSERT_TRUE(Pull(peer));
  EXPECT_FALSE(*store_->HasBlob(DigestOf(weights_)));
  ExpectBlob("other");
}

TEST(PartialFileTest, StatesThatDoNotFitAreNotBelieved) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("puna-partial-{}", ::getpid());
  fs::create_directories(folder);
  const fs::path blob = folder / "sha256-x";
  for (const char* state :
       {"", "[]", "{}", R"({"size":100})", R"({"size":100,"parts":[[50,0]]})",
        R"({"size":100,"parts":[[200,0]]})", R"({"size":100,"parts":[[100,101]]})",
        R"({"size":100,"parts":[[-1,0],[101,0]]})", R"({"size":100,"parts":[[100,"x"]]})",
        R"({"size":99,"parts":[[99,99]]})", R"({"size":100,"parts":{"a":1}})"}) {
    ASSERT_TRUE(WriteFileAtomically(blob.string() + "-partial-state", state));
    auto file = PartialFile::Open(blob, 100, 4);
    ASSERT_TRUE(file && *file);
    EXPECT_EQ((*file)->Done(), 0) << state;
    EXPECT_EQ((*file)->Contiguous(), 0) << state;
    EXPECT_EQ(*PartialFile::Open(blob, 100, 4), nullptr) << "it is held";
  }
  fs::remove_all(folder);
}

TEST(IdentityTest, IsMadeOnceAndKept) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("puna-identity-{}", ::getpid());
  fs::remove_all(folder);
  auto made = Identity::LoadOrCreate(folder / "id_ed25519");
  ASSERT_TRUE(made) << made.error().message;
  auto again = Identity::LoadOrCreate(folder / "id_ed25519");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(made->PublicKey(), again->PublicKey());
  EXPECT_EQ(*made->Sign("text"), *again->Sign("text"));
  EXPECT_NE(*made->Sign("text"), *again->Sign("texts"));
  EXPECT_EQ(fs::status(folder / "id_ed25519").permissions() & fs::perms::all,
            fs::perms::owner_read | fs::perms::owner_write);
  const std::string pub = *ReadFile(folder / "id_ed25519.pub");
  EXPECT_EQ(pub, "ssh-ed25519 " + made->PublicKey() + "\n");
  for (const char* bad : {"", "x",
                          "-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE "
                          "KEY-----\n",
                          "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE "
                          "KEY-----\n"}) {
    EXPECT_FALSE(Identity::Parse(bad));
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace puna::registry
