// Where tests find data that is too large for the repository: the folder named by PUNA_SHARED, else
// ../shared beside the checkout. A test that needs it and does not find it must show as skipped,
// never as passed.
#ifndef TESTS_SUPPORT_SHARED_DATA_H_
#define TESTS_SUPPORT_SHARED_DATA_H_

#include <filesystem>
#include <optional>
#include <string_view>

namespace puna::testing {

// The absolute path of `relative` (such as "oracles/quants/quants.gguf") below the shared folder if
// it exists there.
std::optional<std::filesystem::path> SharedPath(std::string_view relative);

// The absolute path of `relative` inside the repository; it need not exist.
std::filesystem::path SourcePath(std::string_view relative);

// A fresh empty directory that is removed when the object dies.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace puna::testing

// In a gtest body: defines `variable` as the path, or skips the test.
#define PUNA_SHARED_OR_SKIP(variable, relative)                                    \
  const auto variable##_or = ::puna::testing::SharedPath(relative);                \
  if (!variable##_or) GTEST_SKIP() << "no " << (relative) << " (set PUNA_SHARED)"; \
  const std::filesystem::path& variable = *variable##_or

#endif  // TESTS_SUPPORT_SHARED_DATA_H_
