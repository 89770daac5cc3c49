// Pulls against a registry that fails in the ways that networks and strangers do.
#include "registry/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "http/client.h"
#include "http/server.h"
#include "store/manifest.h"
#include "tests/support/fake_registry.h"
#include "tests/support/no_threads.h"
#include "tests/support/shared_data.h"
#include "tests/support/small_disk.h"

namespace puna::registry {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using testing::DigestOf;
using testing::FakeRegistry;
using ::testing::HasSubstr;
using testing::RandomBytes;

class RegistryTest : public testing::RegistryTest {};

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

TEST_F(RegistryTest, WhatOllamaHasBegunIsTakenUp) {
  FakeRegistry peer({});
  peer.AddModel({weights_});
  const std::string partial = store_->BlobPath(DigestOf(weights_))->string() + "-partial";
  fs::create_directories(fs::path(partial).parent_path());
  const auto size = static_cast<int64_t>(weights_.size());
  // Two parts, of which the first has 7 MB and the second 1 MB.
  const int64_t half = 10 << 20, first = 7'000'000, second = 1'000'000;
  std::string bytes(weights_.size(), '\0');
  bytes.replace(0, first, weights_, 0, first);
  bytes.replace(half, second, weights_, half, second);
  ASSERT_TRUE(WriteFileAtomically(partial, bytes));
  const auto part = [&](int number, int64_t offset, int64_t length, int64_t completed) {
    const Json json = {
        {"N", number}, {"Offset", offset}, {"Size", length}, {"Completed", completed}};
    ASSERT_TRUE(WriteFileAtomically(fmt::format("{}-{}", partial, number), DumpJson(json)));
  };
  part(0, 0, half, first);
  part(1, half, size - half, second);
  const Status done = Pull(peer);
  ASSERT_TRUE(done) << done.error().message;
  ExpectBlob(weights_);
  EXPECT_LT(peer.bytes_sent, size - first - second + 10000);
  EXPECT_EQ(FilesInBlobs(), 2u) << "weights and config";
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

TEST_F(RegistryTest, CancellingNeedNotWaitForASilentRegistry) {
  FakeRegistry peer({.silent_manifest = true});
  peer.AddModel({weights_});
  int heard = 0;
  const Status cancelled =
      registry_->Pull(Name(peer), true, [&](const store::Progress&) { return ++heard < 3; });
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  peer.Heal();
}

TEST_F(RegistryTest, WhatIsInstalledIsPulledInItsOwnCase) {
  FakeRegistry peer({});
  peer.AddModel({"weights"});
  ASSERT_TRUE(Pull(peer));
  peer.AddModel({"newer weights"});
  const Status again = registry_->Pull(
      *store::ModelName::Parse(peer.host() + "/Library/TINY:Latest"), true, nullptr);
  ASSERT_TRUE(again) << again.error().message;
  ExpectBlob("newer weights");
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
