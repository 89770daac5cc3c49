#include "registry/identity.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "base/file.h"

namespace puna::registry {
namespace {

namespace fs = std::filesystem;

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

TEST(IdentityTest, OfManyWhoMakeItAtOnceOneSucceedsAndAllUseIt) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("puna-identities-{}", ::getpid());
  for (int round = 0; round < 20; ++round) {
    fs::remove_all(folder);
    std::vector<std::string> keys(8);
    std::vector<std::thread> threads;
    for (std::string& key : keys) {
      threads.emplace_back([&] {
        const auto identity = Identity::LoadOrCreate(folder / "id_ed25519");
        key = identity ? identity->PublicKey() : identity.error().message;
      });
    }
    for (std::thread& thread : threads) thread.join();
    const auto kept = Identity::LoadOrCreate(folder / "id_ed25519");
    ASSERT_TRUE(kept) << kept.error().message;
    EXPECT_EQ(keys, std::vector<std::string>(keys.size(), kept->PublicKey()));
    const auto files = std::distance(fs::directory_iterator(folder), fs::directory_iterator());
    EXPECT_EQ(files, 2) << "temporary files are left";
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace puna::registry
