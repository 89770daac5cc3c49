// Where a tool writes its result: a file that appears when it is complete, or anything else that
// can be written to (a pipe, a device, "-" for standard output). Not thread safe.
#ifndef PUNA_CLI_OUTPUT_FILE_H_
#define PUNA_CLI_OUTPUT_FILE_H_

#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace puna::cli {

// kNotFound unless the folder of `path` exists: one that is missing is nearly always a slip, which
// is better told before the work than found out after it.
Status CheckFolderOf(const std::string& path);

class OutputFile {
 public:
  static Result<OutputFile> Create(const std::string& path);
  Status Write(std::span<const uint8_t> bytes);
  // Little-endian float32.
  Status Write(std::span<const float> values);
  Status Finish();

 private:
  struct Closer {
    void operator()(FILE* file) const;
  };
  OutputFile() = default;
  std::string path_;
  std::optional<AtomicFile> file_;
  std::unique_ptr<FILE, Closer> stream_;
};

}  // namespace puna::cli

#endif  // PUNA_CLI_OUTPUT_FILE_H_
