// Changing the configuration files of other programs so that nothing a user wrote is lost.
#ifndef PUNA_CLI_CONFIG_BACKUP_H_
#define PUNA_CLI_CONFIG_BACKUP_H_

#include <filesystem>
#include <string>

#include "base/result.h"

namespace puna::cli {

// One file, and the folder that keeps its copies: NAME.original as it was before the first change
// (or NAME.absent), and NAME.TIME before each further one. Not thread safe.
class ConfigBackup {
 public:
  ConfigBackup(std::filesystem::path file, std::filesystem::path folder);

  // The content now; empty if there is no such file.
  Result<std::string> Read() const;
  // Replaces the content after copying what is there; a link to a file stays a link, and its
  // permissions stay. A new file is for the user alone. The same content changes nothing.
  Status Write(const std::string& content) const;
  // Brings back what was there before the first Write, after copying what is there now. False if
  // nothing was written since the last time.
  Result<bool> Restore() const;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path Copy(const char* suffix) const;
  Status KeepCopy() const;
  std::filesystem::path file_, folder_;
};

}  // namespace puna::cli

#endif  // PUNA_CLI_CONFIG_BACKUP_H_
