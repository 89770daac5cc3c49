// Where a tool writes its result: a file that appears when it is complete, or anything else that
// can be written to (a pipe, a device, "-" for standard output). Not thread safe.
#ifndef PUNA_CLI_OUTPUT_FILE_H_
#define PUNA_CLI_OUTPUT_FILE_H_

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "gguf/gguf.h"

namespace puna::cli {

// What is read to make an output: of a model all parts.
class InputFiles {
 public:
  // An empty path, of an option that was not given, is none.
  InputFiles& Add(const std::filesystem::path& path);
  InputFiles& Add(const gguf::File& model);
  const std::vector<std::filesystem::path>& paths() const { return paths_; }

 private:
  std::vector<std::filesystem::path> paths_;
};

// Tells before the work what would be found out after it. kNotFound if the folder of `path` is
// missing and kInvalidArgument if `path` is one of `inputs`: the old content would live until the
// new is complete, but both are nearly always slips. kInvalidArgument if `path` is a folder or a
// device, which no file can take the place of.
Status CheckOutput(const std::string& path, const InputFiles& inputs);

class OutputFile {
 public:
  // Regular files as CheckOutput.
  static Result<OutputFile> Create(const std::string& path, const InputFiles& inputs);
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
