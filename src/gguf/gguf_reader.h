// Turns the bytes of one GGUF file into the fields of a File. Internal to gguf.
#ifndef PUNA_GGUF_GGUF_READER_H_
#define PUNA_GGUF_GGUF_READER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gguf/gguf.h"
#include "gguf/gguf_cursor.h"
#include "gguf/gguf_format.h"

namespace puna::gguf {

// One use: construct, ReadOne. REQUIRES: the bytes outlive the File.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes), cursor_(bytes) {}

  // A File of this one file, also if it is a part of a split model.
  Result<std::shared_ptr<File>> ReadOne();

  // Opens `path` and, if it belongs to a split model, all parts of it.
  static Result<std::shared_ptr<const File>> OpenAll(const std::filesystem::path& path);
  // gguf::CountParts
  static Result<int64_t> CountParts(const std::filesystem::path& path);
  // Of the model's parts; none if it is not on disk.
  static std::span<const std::shared_ptr<const MappedFile>> MappingsOf(const File& file) {
    return file.mappings_;
  }
  // gguf::OpenParts
  static Result<std::shared_ptr<const File>> OpenGiven(
      const std::map<std::string, std::filesystem::path>& files);

 private:
  struct Header {
    uint64_t tensors = 0;
    uint64_t keys = 0;
  };
  // `name` is for errors.
  static Result<std::shared_ptr<File>> OpenPart(const std::string& name,
                                                const std::filesystem::path& path);
  static Status AddPart(const File& part, int64_t index, int64_t count, File* whole);
  // `parts` in order, with the name of each for errors.
  static Result<std::shared_ptr<const File>> Join(std::span<const std::shared_ptr<File>> parts,
                                                  std::span<const std::string> names);
  static Status IndexTensors(File* file);

  Result<Header> ReadHeader();
  Status ReadMetadata(uint64_t count);
  Result<Value> ReadValue(std::string_view key, uint32_t type);
  Result<Value> ReadArray(std::string_view key);
  Status ReadStrings(std::string_view key, uint64_t count, Array* array);
  Status IndexMetadata();
  Status ReadAlignment();
  Status ReadTensorTable(uint64_t count);
  Status ReadTensor(uint64_t index);
  Result<int64_t> CheckShape(const Tensor& tensor) const;
  Status PlaceTensors();

  std::span<const uint8_t> bytes_;
  Cursor cursor_;
  std::shared_ptr<File> file_;
  // Parallel to the tensors until PlaceTensors turns them into spans.
  struct Extent {
    uint64_t offset_bytes;
    uint64_t size_bytes;
  };
  std::vector<Extent> extents_;
};

}  // namespace puna::gguf

#endif  // PUNA_GGUF_GGUF_READER_H_
