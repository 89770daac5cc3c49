// Pins, pruning, checking and counting, and stores in bad shape.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "base/file.h"
#include "store/manifest.h"
#include "store/store.h"
#include "tests/support/shared_data.h"

namespace puna::store {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr PruneOptions kAtOnce = {.blobs = seconds(0), .partials = seconds(0)};

ModelName Name(const std::string& text) { return *ModelName::Parse(text); }

constexpr uid_t kOther = 65534;

// Whether `check` holds for another user. REQUIRES: this one is root.
bool OthersDo(const std::function<bool()>& check) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::setgid(kOther) == 0 && ::setuid(kOther) == 0 && check() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class MaintenanceTest : public ::testing::Test {
 protected:
  void CreateFromMini(const std::string& name, const std::string& system = "") {
    CreateRequest request;
    request.name = Name(name);
    request.from = "mini";
    if (!system.empty()) request.system = system;
    const Status created = store_.Create(request, nullptr);
    ASSERT_TRUE(created) << created.error().message;
  }
  std::string AddLooseBlob(const std::string& content) {
    const std::string digest = "sha256:" + Sha256Hex(content);
    auto writer = store_.WriteBlob(digest);
    EXPECT_TRUE(writer && writer->Write(content) && writer->Finish());
    return digest;
  }
  fs::path Blobs() const { return store_.root() / "blobs"; }

  testing::TemporaryDirectory folder_;
  Store store_{folder_.path() / "models"};
};

TEST_F(MaintenanceTest, PruneTakesWhatNobodyNeeds) {
  CreateFromMini("mine", "Be brief.");
  const std::string loose = AddLooseBlob("loose");
  std::ofstream(Blobs() / ".x.tmp-abcdef") << "temporary";
  std::ofstream(Blobs() / ("sha256-" + std::string(64, 'a') + "-partial")) << "part";
  std::ofstream(Blobs() / ("sha256-" + std::string(64, 'a') + "-partial-0")) << "Ollama's";
  std::ofstream(Blobs() / "README") << "somebody's own";

  EXPECT_EQ(store_.Prune()->files, 0) << "everything is new";
  PruneOptions count = kAtOnce;
  count.dry_run = true;
  EXPECT_EQ(store_.Prune(count)->files, 4);
  EXPECT_TRUE(*store_.HasBlob(loose));
  const auto pruned = store_.Prune(kAtOnce);
  ASSERT_TRUE(pruned) << pruned.error().message;
  EXPECT_EQ(pruned->files, 4);
  EXPECT_GT(pruned->bytes, 0);
  EXPECT_FALSE(*store_.HasBlob(loose));
  EXPECT_TRUE(fs::exists(Blobs() / "README"));
  EXPECT_THAT(*store_.Verify({}, nullptr), IsEmpty());
  EXPECT_EQ(store_.Prune(kAtOnce)->files, 0);
}

TEST_F(MaintenanceTest, WhatIsPinnedOrBeingFetchedStays) {
  const std::string digest = AddLooseBlob("needed");
  const fs::path partial = Blobs() / ("sha256-" + std::string(64, 'b') + "-partial");
  std::ofstream(partial) << "part";
  std::ofstream(partial.string() + "-state") << "{}";
  const int fetching = ::open(partial.c_str(), O_RDWR);
  ASSERT_EQ(::flock(fetching, LOCK_EX), 0);
  {
    auto pins = BlobPins::Create(store_.root());
    ASSERT_TRUE(pins && pins->Add({digest}));
    EXPECT_EQ(store_.Prune(kAtOnce)->files, 0);
    Layer layer;
    layer.digest = digest;
    ASSERT_TRUE(store_.RemoveUnused({layer}));
    EXPECT_TRUE(*store_.HasBlob(digest));
  }
  ::close(fetching);
  EXPECT_EQ(store_.Prune(kAtOnce)->files, 3);
}

TEST_F(MaintenanceTest, WhatIsBeingWrittenStays) {
  const std::string digest = "sha256:" + Sha256Hex("upload");
  auto upload = store_.WriteBlob(digest);
  ASSERT_TRUE(upload && upload->Write("up"));
  std::ofstream(Blobs() / ".x.tmp-abcdef") << "left behind";
  EXPECT_EQ(store_.Prune(kAtOnce)->files, 1);
  ASSERT_TRUE(upload->Write("load"));
  const Status finished = upload->Finish();
  EXPECT_TRUE(finished) << finished.error().message;
  EXPECT_TRUE(*store_.HasBlob(digest));
}

// The blob may be a hard link, which has the time of its source.
TEST_F(MaintenanceTest, WhatWasImportedStaysWhateverItsAge) {
  const fs::path source = folder_.path() / "old.gguf";
  std::ofstream(source) << "weights";
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(48);
  fs::last_write_time(source, old);
  {
    auto pins = BlobPins::Create(store_.root());
    ASSERT_TRUE(pins);
    for (int i = 0; i < 2; ++i) {
      const auto digest = store_.ImportFile(source, &*pins, nullptr);
      ASSERT_TRUE(digest) << digest.error().message;
      EXPECT_EQ(store_.Prune(kAtOnce)->files, 0);
      EXPECT_TRUE(*store_.HasBlob(*digest));
      EXPECT_EQ(fs::last_write_time(source), old) << "the source is somebody else's";
    }
  }
  EXPECT_EQ(store_.Prune(kAtOnce)->files, 1);
}

TEST_F(MaintenanceTest, PinsOfTheDeadAreForgotten) {
  const std::string digest = AddLooseBlob("orphan");
  const pid_t child = ::fork();
  if (child == 0) {
    auto pins = BlobPins::Create(store_.root());
    (void)pins->Add({digest});
    ::_exit(0);  // without a destructor, as after kill -9
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(fs::is_empty(store_.root() / "puna-pins"));
  EXPECT_EQ(store_.Prune(kAtOnce)->files, 1);
  EXPECT_TRUE(fs::is_empty(store_.root() / "puna-pins"));
}

TEST_F(MaintenanceTest, AnUnreadableManifestStopsDeleting) {
  CreateFromMini("mine");
  const std::string loose = AddLooseBlob("loose");
  fs::create_directories(store_.root() / "manifests/h/n/m");
  std::ofstream(store_.root() / "manifests/h/n/m/t") << "not JSON";
  const auto pruned = store_.Prune(kAtOnce);
  ASSERT_FALSE(pruned);
  EXPECT_THAT(pruned.error().message, HasSubstr("no blob was deleted"));
  EXPECT_TRUE(*store_.HasBlob(loose));
  const auto problems = store_.Verify({}, nullptr);
  ASSERT_EQ(problems->size(), 1u);
  EXPECT_THAT((*problems)[0].models, ElementsAre("h/n/m:t"));
}

// Whatever may hide manifests must not cost what they name.
TEST_F(MaintenanceTest, HiddenManifestsStopDeleting) {
  CreateFromMini("mine");
  CreateFromMini("hidden", "Be brief.");
  const fs::path top = store_.root() / "manifests";
  const fs::path library = top / "registry.ollama.ai/library";
  const fs::path away = folder_.path() / "away";
  for (const fs::path& hidden : {library / "hidden/latest", library / "hidden", top}) {
    fs::rename(hidden, away);
    fs::create_symlink(folder_.path() / "nowhere", hidden);
    const auto pruned = store_.Prune(kAtOnce);
    ASSERT_FALSE(pruned) << hidden;
    EXPECT_THAT(pruned.error().message, HasSubstr("no blob was deleted"));
    EXPECT_THAT(pruned.error().message, HasSubstr(hidden.string() + " "));
    const auto problems = store_.Verify({}, nullptr);
    ASSERT_EQ(problems->size(), 1u);
    EXPECT_EQ((*problems)[0].path, hidden);
    Layer brief;
    brief.digest = "sha256:" + Sha256Hex("Be brief.");
    EXPECT_TRUE(store_.RemoveUnused({brief}));
    fs::remove(hidden);
    fs::rename(away, hidden);
  }
  // A file among the folders hides nothing.
  std::ofstream(top / "README") << "somebody's own";
  EXPECT_TRUE(store_.Prune(kAtOnce));
  EXPECT_THAT(*store_.Verify({}, nullptr), IsEmpty());
}

TEST_F(MaintenanceTest, AFolderOfSomebodyElsesStopsDeleting) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  CreateFromMini("mine");
  const fs::path library = store_.root() / "manifests/registry.ollama.ai/library";
  fs::permissions(folder_.path(), fs::perms::all);
  for (const fs::path& folder : {store_.root(), Blobs()})
    ASSERT_EQ(::chown(folder.c_str(), kOther, kOther), 0);
  fs::permissions(library, fs::perms::owner_all);
  EXPECT_TRUE(OthersDo([&] {
    const auto pruned = store_.Prune(kAtOnce);
    return !pruned && pruned.error().message.find("Permission denied") != std::string::npos;
  }));
  fs::permissions(library, fs::perms::all);
  EXPECT_THAT(*store_.Verify({}, nullptr), IsEmpty());
  EXPECT_TRUE(OthersDo([&] { return store_.Prune(kAtOnce).has_value(); }));
}

// As after `sudo puna prune` and the like.
TEST_F(MaintenanceTest, RootLocksNobodyOutOfTheirStore) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  fs::permissions(folder_.path(), fs::perms::all);
  fs::create_directories(Blobs());
  for (const fs::path& folder : {store_.root(), Blobs()})
    ASSERT_EQ(::chown(folder.c_str(), kOther, kOther), 0);
  const std::string digest = AddLooseBlob("needed");
  auto pins = BlobPins::Create(store_.root());
  ASSERT_TRUE(pins && pins->Add({digest}));
  const auto their_work = [&] {
    auto theirs = BlobPins::Create(store_.root());
    return theirs && theirs->Add({digest}) && store_.Prune(kAtOnce) && *store_.HasBlob(digest);
  };
  EXPECT_TRUE(OthersDo(their_work));
  // A lock that cannot become theirs can still be taken.
  ASSERT_EQ(::chown((store_.root() / "puna.lock").c_str(), 0, 0), 0);
  EXPECT_TRUE(OthersDo(their_work));
  // What cannot be read may be pinned.
  for (const auto& entry : fs::directory_iterator(store_.root() / "puna-pins")) {
    ASSERT_EQ(::chown(entry.path().c_str(), 0, 0), 0);
    fs::permissions(entry.path(), fs::perms::owner_all);
  }
  EXPECT_TRUE(OthersDo([&] { return !store_.Prune(kAtOnce) && *store_.HasBlob(digest); }));
}

TEST_F(MaintenanceTest, VerifyFindsEveryDamage) {
  CreateFromMini("mine", "Be brief.");
  CreateFromMini("other", "Be long.");
  EXPECT_THAT(*store_.Verify({}, nullptr), IsEmpty());
  const InstalledModel mine = *store_.Find(Name("mine"));
  {
    std::fstream file(mine.weights, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(1000000);
    file.put('\xff');
  }
  const fs::path system = *store_.BlobPath("sha256:" + Sha256Hex("Be brief."));
  fs::remove(system);
  fs::resize_file(*store_.BlobPath("sha256:" + Sha256Hex("Be long.")), 3);
  std::vector<std::string> found;
  const auto problems = store_.Verify({}, nullptr);
  for (const StoreProblem& problem : *problems)
    found.push_back(problem.what.substr(0, 10) + " " + std::to_string(problem.models.size()));
  EXPECT_THAT(found,
              ::testing::UnorderedElementsAre("has the di 2", "is missing 1", "has 3 byte 1"));
  EXPECT_EQ(store_.Verify({Name("other")}, nullptr)->size(), 2u);
  EXPECT_THAT(*store_.Verify({Name("mini")}, nullptr), IsEmpty());
  EXPECT_EQ(store_.Verify({Name("nobody")}, nullptr).error().code, ErrorCode::kNotFound);
  // What is not whole is not listed, and says why when it is asked for.
  const auto missing = store_.Find(Name("mine"));
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("is missing"));
  for (const InstalledModel& model : store_.List()) EXPECT_NE(model.name.model, "mine");
}

TEST_F(MaintenanceTest, UsageCountsSharedBlobsOnce) {
  CreateFromMini("a", "Be brief.");
  CreateFromMini("b", "Be very brief.");
  AddLooseBlob("loose");
  const StoreUsage usage = store_.Usage();
  ASSERT_EQ(usage.models.size(), 2u);
  for (const StoreUsage::Model& model : usage.models) {
    EXPECT_GT(model.bytes, 3000000);
    EXPECT_LT(model.own_bytes, 1000);
  }
  EXPECT_GT(usage.blob_bytes, 3000000);
  EXPECT_LT(usage.blob_bytes, 2 * usage.models[0].bytes);
  EXPECT_GT(usage.unused_bytes, 0);
}

TEST_F(MaintenanceTest, NamesThatLeaveTheStoreAreNoNames) {
  for (const std::string& name :
       {std::string("../x"), std::string("/etc/passwd"), std::string("a/../../b"),
        std::string(".."), std::string("x:.."), std::string("x:../y"), std::string("a/b/c/d/e"),
        std::string("x\0y", 3), std::string("x y"), std::string("x\n"), std::string("m\xd1\x96ni"),
        std::string("mini\xe2\x80\x8b"), std::string("\xef\xbd\x8dini"), std::string("~/x"),
        std::string("x%2fy"), std::string("a\\b")}) {
    EXPECT_FALSE(ModelName::Parse(name)) << name;
  }
  const auto long_tag = ModelName::Parse("x:" + std::string(10240, 't'));
  ASSERT_FALSE(long_tag);
  EXPECT_LT(long_tag.error().message.size(), 600u);
}

TEST_F(MaintenanceTest, LayersThatNobodyCouldReadAreRefused) {
  CreateRequest request;
  request.name = Name("big");
  request.from = "mini";
  request.system = std::string(17 << 20, 'x');
  const Status created = store_.Create(request, nullptr);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(created.error().message, HasSubstr("system has"));
}

TEST_F(MaintenanceTest, AReadOnlyStoreIsReadAndSaysSo) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can mount";
  CreateFromMini("mine");
  AddLooseBlob("loose");
  const std::string root = store_.root();
  ASSERT_EQ(::mount(root.c_str(), root.c_str(), nullptr, MS_BIND, nullptr), 0);
  if (::mount(nullptr, root.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
    ::umount(root.c_str());
    GTEST_SKIP() << "mounting is not permitted";
  }
  CreateRequest request;
  request.name = Name("new");
  request.from = "mine";
  PruneOptions count = kAtOnce;
  count.dry_run = true;
  const auto counted = store_.Prune(count);
  const auto pruned = store_.Prune(kAtOnce);
  const std::vector<Status> refused = {
      store_.Create(request, nullptr), store_.Copy(Name("mine"), Name("new")),
      store_.Delete(Name("mine")), pruned ? Status() : Status(tl::unexpected(pruned.error()))};
  const bool found = store_.Find(Name("mine")).has_value();
  ::umount(root.c_str());
  EXPECT_TRUE(found);
  ASSERT_TRUE(counted) << counted.error().message;
  EXPECT_EQ(counted->files, 1) << "counting only reads";
  for (const Status& status : refused) {
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kPermissionDenied) << status.error().message;
    EXPECT_THAT(status.error().message, HasSubstr("Read-only"));
    EXPECT_THAT(status.error().message, HasSubstr(root + ":"));
  }
  EXPECT_EQ(store_.List().size(), 2u);
}

TEST_F(MaintenanceTest, BlobsMayBeOnAnotherFileSystemAndFull) {
  fs::create_directories(Blobs());
  if (::mount("none", Blobs().c_str(), "tmpfs", 0, "size=6m") != 0)
    GTEST_SKIP() << "mounting is not permitted";
  const fs::path source = testing::SourcePath("models/mini.gguf");
  auto pins = BlobPins::Create(store_.root());
  ASSERT_TRUE(pins);
  const auto digest = store_.ImportFile(source, &*pins, nullptr);
  CreateRequest request;
  request.name = Name("imported");
  Status created, full;
  size_t files = 0;
  if (digest) {
    request.files = {{"mini.gguf", *digest}};
    created = store_.Create(request, nullptr);
    const fs::path large = folder_.path() / "large.gguf";
    fs::copy(source, large);
    std::ofstream(large, std::ios::app) << "more";
    const auto imported = store_.ImportFile(large, &*pins, nullptr);
    if (!imported) full = tl::unexpected(imported.error());
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(Blobs())) ++files;
  }
  const size_t listed = store_.List().size();
  ::umount(Blobs().c_str());
  ASSERT_TRUE(digest) << digest.error().message;
  ASSERT_TRUE(created) << created.error().message;
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::kResourceExhausted) << full.error().message;
  EXPECT_EQ(files, 2u) << "nothing of what did not fit may stay";
  EXPECT_EQ(listed, 2u);
}

}  // namespace
}  // namespace puna::store
