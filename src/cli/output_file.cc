#include "cli/output_file.h"

#include <bit>
#include <cerrno>

#include "gguf/gguf_parts.h"

namespace puna::cli {

static_assert(std::endian::native == std::endian::little, "floats are written as they lie");

void OutputFile::Closer::operator()(FILE* file) const {
  if (file != stdout) std::fclose(file);
}

InputFiles& InputFiles::Add(const std::filesystem::path& path) {
  if (!path.empty()) paths_.push_back(path);
  return *this;
}

InputFiles& InputFiles::Add(const gguf::File& model) {
  for (const std::filesystem::path& part : gguf::PartPaths(model)) paths_.push_back(part);
  return *this;
}

Status CheckOutput(const std::string& path, const InputFiles& inputs) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!folder.empty() && !std::filesystem::is_directory(folder, error))
    return MakeError(ErrorCode::kNotFound, "{}: there is no folder {}", path, folder.string());
  if (!std::filesystem::exists(path, error)) return {};
  if (!std::filesystem::is_regular_file(path, error))
    return MakeError(ErrorCode::kInvalidArgument,
                     "{} is not a regular file, and is not replaced by one", path);
  for (const std::filesystem::path& input : inputs.paths()) {
    if (!std::filesystem::equivalent(input, path, error)) continue;
    return MakeError(ErrorCode::kInvalidArgument, "'{}' and '{}' are the same file", input.string(),
                     path);
  }
  return {};
}

Result<OutputFile> OutputFile::Create(const std::string& path, const InputFiles& inputs) {
  OutputFile out;
  out.path_ = path;
  std::error_code error;
  // An AtomicFile takes the place of regular files only.
  const bool other =
      std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error);
  if (path == "-") {
    out.stream_.reset(stdout);
  } else if (other) {
    out.stream_.reset(std::fopen(path.c_str(), "wb"));
    if (!out.stream_) return ErrnoError(errno, path);
  } else {
    PUNA_RETURN_IF_ERROR(CheckOutput(path, inputs));
    PUNA_ASSIGN_OR_RETURN(out.file_, AtomicFile::Create(path));
  }
  return out;
}

Status OutputFile::Write(std::span<const uint8_t> bytes) {
  if (file_) return file_->Write(bytes);
  if (std::fwrite(bytes.data(), 1, bytes.size(), stream_.get()) != bytes.size())
    return ErrnoError(errno, path_);
  return {};
}

Status OutputFile::Write(std::span<const float> values) {
  return Write(std::span<const uint8_t>(reinterpret_cast<const uint8_t*>(values.data()),
                                        values.size_bytes()));
}

Status OutputFile::Finish() {
  if (file_) return file_->Commit();
  if (std::fflush(stream_.get()) != 0) return ErrnoError(errno, path_);
  return {};
}

}  // namespace puna::cli
