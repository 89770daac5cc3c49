// A folder that stands for "/", with what a test writes into /proc and /sys.
#ifndef TESTS_SUPPORT_SYSTEM_FILES_H_
#define TESTS_SUPPORT_SYSTEM_FILES_H_

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/shared_data.h"

namespace puna::testing {

class SystemFiles {
 public:
  const std::filesystem::path& root() const { return directory_.path(); }
  // `path` without the leading slash: "proc/meminfo".
  void Write(const std::string& path, const std::string& content) {
    const std::filesystem::path file = root() / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << content;
  }

 private:
  TemporaryDirectory directory_;
};

}  // namespace puna::testing

#endif  // TESTS_SUPPORT_SYSTEM_FILES_H_
