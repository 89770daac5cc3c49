// Reading well-formed files, writing, round trips and split models. Malformed files are in
// gguf_malformed_test.cc.
#include "gguf/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "gguf/gguf_parts.h"
#include "tests/support/shared_data.h"

namespace puna::gguf {
namespace {

using ::testing::HasSubstr;
using Bytes = std::vector<uint8_t>;

// `count` distinct bytes that depend on `seed`.
Bytes Pattern(size_t count, int seed) {
  Bytes bytes(count);
  for (size_t i = 0; i < count; ++i)
    bytes[i] = static_cast<uint8_t>(i * 7 + static_cast<size_t>(seed));
  return bytes;
}

// Writes to a file in `folder` and reads it back.
std::shared_ptr<const File> WriteAndOpen(const Writer& writer,
                                         const puna::testing::TemporaryDirectory& folder) {
  const auto path = folder.path() / "model.gguf";
  const Status written = writer.WriteFile(path);
  EXPECT_TRUE(written) << written.error().message;
  const auto file = File::Open(path);
  EXPECT_TRUE(file) << file.error().message;
  return *file;
}

TEST(GgufTest, WritesAndReadsEveryKindOfValue) {
  Writer writer;
  writer.Set("u32", uint32_t{4000000000});
  writer.Set("i32", int32_t{-5});
  writer.Set("u64", uint64_t{1} << 60);
  writer.Set("f32", 0.25f);
  writer.Set("bool", true);
  writer.Set("text", "h\xc3\xa9llo");
  writer.Set("strings", std::vector<std::string>{"a", "", std::string("n\0l", 3)});
  writer.Set("floats", std::vector<float>{1.5f, -2});
  writer.Set("ints", std::vector<int32_t>{1, -2, 3});
  const puna::testing::TemporaryDirectory folder;
  const auto file = WriteAndOpen(writer, folder);
  EXPECT_EQ(file->version(), 3u);
  EXPECT_EQ(file->alignment_bytes(), 32u);
  EXPECT_EQ(file->file_bytes(), std::filesystem::file_size(folder.path() / "model.gguf"));
  EXPECT_EQ(file->metadata().size(), 9u);
  EXPECT_EQ(file->metadata()[0].key, "u32");
  EXPECT_EQ(**file->GetInteger("u32"), 4000000000);
  EXPECT_EQ(**file->GetInteger("i32"), -5);
  EXPECT_EQ(**file->GetInteger("u64"), int64_t{1} << 60);
  EXPECT_EQ(**file->GetNumber("f32"), 0.25);
  EXPECT_EQ(**file->GetNumber("i32"), -5.0);
  EXPECT_EQ(**file->GetBool("bool"), true);
  EXPECT_EQ(**file->GetString("text"), "h\xc3\xa9llo");
  const Array* strings = *file->GetArray("strings");
  ASSERT_EQ(strings->size(), 3);
  EXPECT_EQ(strings->kind(), Array::Kind::kString);
  EXPECT_EQ(strings->string_at(1), "");
  EXPECT_EQ(strings->string_at(2), std::string_view("n\0l", 3));
  const Array* floats = *file->GetArray("floats");
  EXPECT_EQ(floats->number_at(0), 1.5);
  EXPECT_EQ(floats->integer_at(0), 1);
  const Array* ints = *file->GetArray("ints");
  EXPECT_EQ(ints->kind(), Array::Kind::kSigned);
  EXPECT_EQ(ints->integer_at(1), -2);
}

TEST(GgufTest, AbsentKeysAreNoErrorsAndWrongTypesAre) {
  Writer writer;
  writer.Set("text", "x");
  writer.Set("huge", std::numeric_limits<uint64_t>::max());
  writer.Set("flag", true);
  const puna::testing::TemporaryDirectory folder;
  const auto file = WriteAndOpen(writer, folder);
  EXPECT_EQ(*file->GetString("nothing"), std::nullopt);
  EXPECT_EQ(*file->GetArray("nothing"), nullptr);
  EXPECT_EQ(file->Find("nothing"), nullptr);
  EXPECT_EQ(file->FindTensor("nothing"), nullptr);
  EXPECT_EQ(file->GetInteger("text").error().message,
            "key 'text' is a string, expected an integer");
  EXPECT_EQ(file->GetString("flag").error().message, "key 'flag' is bool, expected a string");
  EXPECT_EQ(file->GetInteger("flag").error().message, "key 'flag' is bool, expected an integer");
  EXPECT_EQ(file->GetArray("text").error().message, "key 'text' is a string, expected an array");
  EXPECT_THAT(file->GetInteger("huge").error().message,
              HasSubstr("18446744073709551615, expected an integer below 2^63"));
  EXPECT_EQ(**file->GetNumber("huge"), 0x1p64);
}

TEST(GgufTest, WritesTensorsAlignedAndInOrder) {
  const Bytes first = Pattern(3 * 4, 1);
  Writer writer;
  writer.Set("general.architecture", "test");
  writer.AddTensor("odd", quant::TensorType::kF32, {3}, first);
  int calls = 0;
  writer.AddTensor("made", quant::TensorType::kQ8_0, {64, 2}, [&]() -> Result<Bytes> {
    ++calls;
    return Pattern(4 * 34, 2);
  });
  writer.AddTensor("cube", quant::TensorType::kF16, {2, 3, 4, 5},
                   [] { return Result<Bytes>(Pattern(240, 3)); });
  const puna::testing::TemporaryDirectory folder;
  const auto file = WriteAndOpen(writer, folder);
  EXPECT_EQ(calls, 1);
  ASSERT_EQ(file->tensors().size(), 3u);
  const Tensor* odd = file->FindTensor("odd");
  ASSERT_NE(odd, nullptr);
  EXPECT_EQ(odd->n_dims, 1);
  EXPECT_EQ(odd->elements(), 3);
  EXPECT_TRUE(std::ranges::equal(odd->data, first));
  const Tensor* made = file->FindTensor("made");
  EXPECT_EQ(made->dims, (std::array<int64_t, 4>{64, 2, 1, 1}));
  EXPECT_TRUE(std::ranges::equal(made->data, Pattern(4 * 34, 2)));
  EXPECT_EQ(made->data.data() - odd->data.data(), 32);
  const Tensor* cube = file->FindTensor("cube");
  EXPECT_EQ(cube->n_dims, 4);
  EXPECT_EQ(cube->data.data() - made->data.data(), 160);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(odd->data.data()) % 32, 0u);  // the mapping is page aligned
  EXPECT_EQ(file->file_bytes() % 32, 0u);
}

TEST(GgufTest, ReportsProgressUpToTheEnd) {
  const Bytes data = Pattern(128, 1);
  Writer writer;
  writer.AddTensor("a", quant::TensorType::kF32, {32}, data);
  writer.AddTensor("b", quant::TensorType::kF32, {32}, data);
  const puna::testing::TemporaryDirectory folder;
  Result<AtomicFile> out = AtomicFile::Create(folder.path() / "model.gguf");
  ASSERT_TRUE(out);
  std::vector<uint64_t> written;
  uint64_t total = 0;
  ASSERT_TRUE(writer.Write(&*out, [&](uint64_t done, uint64_t of) {
    written.push_back(done);
    total = of;
  }));
  EXPECT_EQ(written.size(), 3u);
  EXPECT_TRUE(std::ranges::is_sorted(written));
  EXPECT_EQ(written.back(), total);
  ASSERT_TRUE(out->Commit());
  EXPECT_EQ(std::filesystem::file_size(folder.path() / "model.gguf"), total);
}

TEST(GgufTest, FindsEachOfManyStrings) {
  for (const size_t count : {0, 1, 7, 8, 9, 100}) {
    std::vector<std::string> strings;
    for (size_t i = 0; i < count; ++i)
      strings.push_back(std::string(i % 5, 'x') + std::to_string(i));
    Writer writer;
    writer.Set("strings", strings);
    writer.Set("behind", uint32_t{7});
    const puna::testing::TemporaryDirectory folder;
    const auto file = WriteAndOpen(writer, folder);
    const Array* array = *file->GetArray("strings");
    ASSERT_EQ(array->size(), static_cast<int64_t>(count));
    for (size_t i = count; i-- > 0;)
      EXPECT_EQ(array->string_at(static_cast<int64_t>(i)), strings[i]);
  }
}

TEST(GgufTest, WriterRefusesMisuse) {
  struct Case {
    const char* name;
    std::function<void(Writer*)> prepare;
    const char* message;
  };
  static const Bytes data = Pattern(64, 1);
  using quant::TensorType;
  const Case cases[] = {
      {"key twice",
       [](Writer* w) {
         w->Set("k", 1.0f);
         w->Set("k", 2.0f);
       },
       "key 'k' is set twice"},
      {"empty key", [](Writer* w) { w->Set("", 1.0f); }, "key '' is empty"},
      {"alignment", [](Writer* w) { w->Set("general.alignment", uint32_t{64}); },
       "general.alignment"},
      {"tensor twice",
       [](Writer* w) {
         w->AddTensor("t", TensorType::kF32, {16}, data);
         w->AddTensor("t", TensorType::kF32, {16}, data);
       },
       "tensor 't' is added twice"},
      {"long name",
       [](Writer* w) { w->AddTensor(std::string(64, 'n'), TensorType::kF32, {16}, data); },
       "a name of 64 bytes, expected 1 to 63"},
      {"wrong size", [](Writer* w) { w->AddTensor("t", TensorType::kF32, {15}, data); },
       "tensor 't': data of 64 bytes, expected 60"},
      {"partial block",
       [](Writer* w) {
         w->AddTensor("t", TensorType::kQ4_0, {16, 2}, data);
       },
       "rows of 16 values, expected a multiple of 32 for type Q4_0"},
      {"no dimension", [](Writer* w) { w->AddTensor("t", TensorType::kF32, {}, data); },
       "0 dimensions"},
      {"zero dimension", [](Writer* w) { w->AddTensor("t", TensorType::kF32, {0}, data); },
       "dimension 0"},
      {"overflow",
       [](Writer* w) {
         w->AddTensor("t", TensorType::kI8, {int64_t{1} << 40, int64_t{1} << 40}, data);
       },
       "below 2^63"},
      {"producer fails",
       [](Writer* w) {
         w->AddTensor("t", TensorType::kF32, {16},
                      []() -> Result<Bytes> { return MakeError(ErrorCode::kCancelled, "enough"); });
       },
       "tensor 't': enough"},
  };
  const puna::testing::TemporaryDirectory folder;
  for (const Case& c : cases) {
    Writer writer;
    c.prepare(&writer);
    const Status written = writer.WriteFile(folder.path() / "model.gguf");
    ASSERT_FALSE(written) << c.name;
    EXPECT_THAT(written.error().message, HasSubstr(c.message)) << c.name;
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "model.gguf")) << c.name;
  }
}

// Copies everything of a file into another one.
void CopyInto(const File& file, Writer* writer) {
  for (const KeyValue& pair : file.metadata()) writer->SetFrom(pair.key, pair.value);
  for (const Tensor& tensor : file.tensors()) {
    writer->AddTensor(std::string(tensor.name), tensor.type,
                      {tensor.dims.begin(), tensor.dims.begin() + std::max(tensor.n_dims, 1)},
                      tensor.data);
  }
}

// The seeds hold every value type, arrays of each, several tensor types, version 2 and another
// alignment.
TEST(GgufTest, CopiesEverySeedExactly) {
  const puna::testing::TemporaryDirectory folder;
  int seeds = 0;
  for (const auto& entry : std::filesystem::directory_iterator(
           puna::testing::SourcePath("tests/data/gguf/fuzz_gguf"))) {
    if (entry.path().extension() != ".gguf") continue;
    SCOPED_TRACE(entry.path().string());
    ++seeds;
    const auto original = File::Open(entry.path());
    ASSERT_TRUE(original) << original.error().message;
    Writer writer;
    CopyInto(**original, &writer);
    const auto copy = WriteAndOpen(writer, folder);
    const auto kept = [](const KeyValue& pair) { return pair.key != "general.alignment"; };
    ASSERT_EQ(static_cast<size_t>(std::ranges::count_if((*original)->metadata(), kept)),
              copy->metadata().size());
    Writer again;
    CopyInto(*copy, &again);
    ASSERT_TRUE(again.WriteFile(folder.path() / "again.gguf"));
    EXPECT_EQ(*ReadFile(folder.path() / "again.gguf"), *ReadFile(folder.path() / "model.gguf"));
    for (const Tensor& tensor : (*original)->tensors()) {
      const Tensor* copied = copy->FindTensor(tensor.name);
      ASSERT_NE(copied, nullptr) << tensor.name;
      EXPECT_EQ(copied->type, tensor.type);
      EXPECT_EQ(copied->dims, tensor.dims);
      EXPECT_TRUE(std::ranges::equal(copied->data, tensor.data));
    }
  }
  EXPECT_GE(seeds, 4);
}

// Part `index` of `count`, with one tensor whose bytes are all `index`.
Writer PartWriter(int index, int count, int tensors_in_all, const std::string& tensor_name) {
  Writer writer;
  if (index == 0) writer.Set("general.name", "whole");
  writer.Set("split.no", static_cast<uint32_t>(index));
  writer.Set("split.count", static_cast<uint32_t>(count));
  writer.Set("split.tensors.count", static_cast<int32_t>(tensors_in_all));
  writer.AddTensor(tensor_name, quant::TensorType::kI8, {8},
                   [index] { return Result<Bytes>(Bytes(8, static_cast<uint8_t>(index))); });
  return writer;
}

class GgufSplitTest : public ::testing::Test {
 protected:
  std::filesystem::path PartPath(int index) const {
    return folder_.path() / fmt::format("m-{:05}-of-00003.gguf", index + 1);
  }
  void WritePart(int index, const Writer& writer) {
    ASSERT_TRUE(writer.WriteFile(PartPath(index)));
  }
  void WriteAll() {
    for (int i = 0; i < 3; ++i) WritePart(i, PartWriter(i, 3, 3, "t" + std::to_string(i)));
  }
  std::string ErrorOfOpening(int index) {
    const auto file = File::Open(PartPath(index));
    return file ? "no error" : file.error().message;
  }
  puna::testing::TemporaryDirectory folder_;
};

TEST_F(GgufSplitTest, AnyPartOpensTheWhole) {
  WriteAll();
  for (int opened = 0; opened < 3; ++opened) {
    const auto file = File::Open(PartPath(opened));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(**(*file)->GetString("general.name"), "whole");
    ASSERT_EQ((*file)->tensors().size(), 3u);
    for (int i = 0; i < 3; ++i) {
      const Tensor* tensor = (*file)->FindTensor("t" + std::to_string(i));
      ASSERT_NE(tensor, nullptr);
      EXPECT_EQ(tensor->data[7], i);
    }
    EXPECT_EQ((*file)->file_bytes(), std::filesystem::file_size(PartPath(0)) +
                                         std::filesystem::file_size(PartPath(1)) +
                                         std::filesystem::file_size(PartPath(2)));
  }
}

TEST_F(GgufSplitTest, MissingPartIsNamed) {
  WriteAll();
  std::filesystem::remove(PartPath(1));
  const auto file = File::Open(PartPath(2));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(file.error().message, HasSubstr(PartPath(1).string()));
  EXPECT_THAT(file.error().message, HasSubstr("part 2 of 3"));
}

TEST_F(GgufSplitTest, ContradictionsAreErrors) {
  WriteAll();
  WritePart(1, PartWriter(2, 3, 3, "t1"));
  EXPECT_THAT(ErrorOfOpening(0), HasSubstr("it says that it is part 3 of 3, expected part 2 of 3"));
  WritePart(1, PartWriter(1, 3, 3, "t0"));
  EXPECT_THAT(ErrorOfOpening(0), HasSubstr("tensor 't0' occurs more than once"));
  WriteAll();
  WritePart(0, PartWriter(0, 3, 4, "t0"));
  EXPECT_THAT(ErrorOfOpening(0), HasSubstr("3 tensors, expected 4"));
  WritePart(0, PartWriter(3, 3, 3, "t0"));
  EXPECT_THAT(ErrorOfOpening(0), HasSubstr("key 'split.no' is 3, expected 0 to 2"));
}

TEST_F(GgufSplitTest, RenamedPartIsAnError) {
  WriteAll();
  std::filesystem::rename(PartPath(1), folder_.path() / "other.gguf");
  const auto file = File::Open(folder_.path() / "other.gguf");
  ASSERT_FALSE(file);
  EXPECT_THAT(
      file.error().message,
      HasSubstr("part 2 of 3 of a split model, expected a name ending in -00002-of-00003.gguf"));
}

TEST_F(GgufSplitTest, GivenPartsNeedNoNames) {
  WriteAll();
  const std::filesystem::path names[] = {folder_.path() / "c", folder_.path() / "a",
                                         folder_.path() / "b"};
  for (int i = 0; i < 3; ++i) std::filesystem::rename(PartPath(i), names[static_cast<size_t>(i)]);
  using Files = std::map<std::string, std::filesystem::path>;
  for (const Files& files : {Files{{"0", names[0]}, {"1", names[1]}, {"2", names[2]}},
                             Files{{"0", names[2]}, {"1", names[0]}, {"2", names[1]}}}) {
    const auto file = OpenParts(files);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(PartPaths(**file), std::vector(std::begin(names), std::end(names)));
    EXPECT_EQ(**(*file)->GetString("general.name"), "whole");
    ASSERT_EQ((*file)->tensors().size(), 3u);
    for (int i = 0; i < 3; ++i) EXPECT_EQ((*file)->FindTensor("t" + std::to_string(i))->data[7], i);
  }
  const auto error_of = [](const Files& files) {
    const auto file = OpenParts(files);
    return file ? "no error" : file.error().message;
  };
  EXPECT_EQ("one: it is part 1 of 3 of a split model, but 2 files are given",
            error_of({{"one", names[0]}, {"two", names[1]}}));
  EXPECT_EQ("one: it is part 1 of 3 of a split model, but 1 file is given",
            error_of({{"one", names[0]}}));
  EXPECT_EQ("again and two are both part 2 of 3",
            error_of({{"one", names[0]}, {"two", names[1]}, {"again", names[1]}}));
  EXPECT_THAT(error_of({}), HasSubstr("no parts"));
  EXPECT_EQ(3, CountParts(names[1]).value_or(0));
}

TEST(GgufTest, OpenNamesTheFile) {
  const puna::testing::TemporaryDirectory folder;
  const auto missing = File::Open(folder.path() / "none.gguf");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("none.gguf"));
  ASSERT_TRUE(WriteFileAtomically(folder.path() / "text.gguf", "hello"));
  const auto text = File::Open(folder.path() / "text.gguf");
  ASSERT_FALSE(text);
  EXPECT_THAT(text.error().message,
              HasSubstr("text.gguf: not a gguf file: it begins with 'hell', expected 'GGUF'"));
}

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

// What llama.cpp's writer made and what puna's writer makes of it are the same bytes.
TEST(GgufTest, CopiesOfSharedModelsAreIdentical) {
  PUNA_SHARED_OR_SKIP(root, ".");
  const puna::testing::TemporaryDirectory folder;
  int files = 0;
  for (const char* from : {"oracles/quants", "oracles/variants", "oracles/embedding"}) {
    for (const auto& entry : std::filesystem::directory_iterator(root / from)) {
      if (entry.path().extension() != ".gguf") continue;
      SCOPED_TRACE(entry.path().string());
      ++files;
      const auto original = File::Open(entry.path());
      ASSERT_TRUE(original);
      Writer writer;
      CopyInto(**original, &writer);
      Result<AtomicFile> copy = AtomicFile::Create(folder.path() / "copy.gguf");
      ASSERT_TRUE(writer.Write(&*copy));
      EXPECT_TRUE(*ReadFile(copy->temporary_path()) == *ReadFile(entry.path()));
    }
  }
  EXPECT_GE(files, 30);
}

}  // namespace
}  // namespace puna::gguf
