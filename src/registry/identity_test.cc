#include "registry/identity.h"

#include <gtest/gtest.h>
#include <unistd.h>

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

}  // namespace
}  // namespace puna::registry
