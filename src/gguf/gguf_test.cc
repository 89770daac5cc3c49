#include "gguf/gguf.h"

#include <gtest/gtest.h>

#include "tests/support/shared_data.h"

namespace puna::gguf {
namespace {

// Every oracle model and vocabulary opens, and all its tensors lie inside it.
TEST(GgufTest, OpensEverySharedModel) {
  PUNA_SHARED_OR_SKIP(root, ".");
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".gguf") continue;
    SCOPED_TRACE(entry.path().string());
    const auto file = File::Open(entry.path());
    ASSERT_TRUE(file) << file.error().message;
    ++files;
    for (const Tensor& tensor : (*file)->tensors()) {
      EXPECT_EQ(static_cast<int64_t>(tensor.data.size()),
                quant::BytesFor(tensor.type, tensor.elements()));
      EXPECT_EQ((*file)->FindTensor(tensor.name), &tensor);
    }
    for (const KeyValue& pair : (*file)->metadata())
      EXPECT_EQ((*file)->Find(pair.key), &pair.value);
  }
  EXPECT_GE(files, 150);
}

}  // namespace
}  // namespace puna::gguf
