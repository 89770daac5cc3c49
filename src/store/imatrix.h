// Importance matrices: how much each input column of a weight matters, measured on a text. A file
// holds, for each tensor, the sums of the squares of what met its columns. llama.cpp's two formats
// are read (GGUF and the older .dat); GGUF is written.
#ifndef PUNA_STORE_IMATRIX_H_
#define PUNA_STORE_IMATRIX_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace puna::store {

struct Imatrix {
  struct Entry {
    std::vector<float> sums;    // [matrices][columns]
    std::vector<float> counts;  // [matrices]: rows that were summed; 0: the matrix was never used
  };
  std::map<std::string, Entry, std::less<>> entries;  // by the tensor's name in GGUF
  std::vector<std::string> datasets;                  // where the text came from
  uint32_t chunks = 0;                                // windows of text
  uint32_t chunk_tokens = 0;                          // tokens of a window; 0: not known
};

// Weights of the errors of each column: the mean squares, and 1 for matrices that were never used.
std::vector<float> ImportanceOf(const Imatrix::Entry& entry);

// Entries are whole, their values finite and not negative. kCorrupt otherwise.
Result<Imatrix> ParseImatrix(std::span<const uint8_t> bytes);
// Errors name the file.
Result<Imatrix> ReadImatrix(const std::filesystem::path& path);
Status WriteImatrix(const Imatrix& matrix, const std::filesystem::path& path);

}  // namespace puna::store

#endif  // PUNA_STORE_IMATRIX_H_
