// A file system that is soon full.
#ifndef TESTS_SUPPORT_SMALL_DISK_H_
#define TESTS_SUPPORT_SMALL_DISK_H_

#include <fmt/format.h>
#include <sys/mount.h>

#include <filesystem>

namespace puna::testing {

// A file system of so many MiB, which only root can make.
class SmallDisk {
 public:
  SmallDisk(const std::filesystem::path& folder, int mib) : folder_(folder) {
    std::filesystem::create_directories(folder);
    mounted_ =
        ::mount("none", folder.c_str(), "tmpfs", 0, fmt::format("size={}m", mib).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount(folder_.c_str());
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }

 private:
  const std::filesystem::path folder_;
  bool mounted_ = false;
};

}  // namespace puna::testing

#endif  // TESTS_SUPPORT_SMALL_DISK_H_
