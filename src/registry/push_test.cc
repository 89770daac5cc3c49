// Pushes to a registry that fails in the ways that networks do.
#include <gtest/gtest.h>

#include <chrono>

#include "registry/registry.h"
#include "tests/support/fake_registry.h"

namespace puna::registry {
namespace {

using testing::FakeRegistry;
using testing::Faults;
using testing::RandomBytes;

class PushTest : public testing::RegistryTest {
 protected:
  // Pushes a model to a registry with `faults`, which then must have it.
  void ExpectArrives(Faults faults) {
    FakeRegistry source({});
    source.AddModel({RandomBytes(3 << 20, 7), "system"});
    ASSERT_TRUE(Pull(source));
    FakeRegistry target(std::move(faults));
    ASSERT_TRUE(store_->Copy(Name(source), Name(target)));
    const Status pushed = registry_->Push(Name(target), true, nullptr);
    ASSERT_TRUE(pushed) << pushed.error().message;
    EXPECT_EQ(target.manifest(), source.manifest());
    EXPECT_EQ(target.blobs(), source.blobs());
  }
};

TEST_F(PushTest, APushedModelComesBackTheSame) { ExpectArrives({.wants_token = true}); }

TEST_F(PushTest, APushTellsItsProgressAsOftenAsAPullDoes) {
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

TEST_F(PushTest, AnUploadWhoseConnectionBreaksIsBegunAnew) { ExpectArrives({.broken_uploads = 2}); }

TEST_F(PushTest, PiecesThatGoElsewhereAreVouchedForAsTheirPlaceDoesIt) {
  ExpectArrives({.uploads_elsewhere = true});
}

}  // namespace
}  // namespace puna::registry
