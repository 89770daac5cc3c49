#include "tests/support/shared_data.h"

#include <cstdlib>
#include <string>

#include "base/check.h"

namespace puna::testing {
namespace {
namespace fs = std::filesystem;

fs::path SharedRoot() {
  if (const char* root = std::getenv("PUNA_SHARED"); root != nullptr && *root != '\0') return root;
  return fs::path(PUNA_SOURCE_DIR) / ".." / "shared";
}

}  // namespace

std::optional<fs::path> SharedPath(std::string_view relative) {
  const fs::path path = SharedRoot() / relative;
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  return fs::weakly_canonical(path);
}

fs::path SourcePath(std::string_view relative) { return fs::path(PUNA_SOURCE_DIR) / relative; }

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (fs::temp_directory_path() / "puna-test-XXXXXX").string();
  CHECK(::mkdtemp(pattern.data()) != nullptr) << "mkdtemp " << pattern;
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code error;
  fs::remove_all(path_, error);
}

}  // namespace puna::testing
