// Each way in which a GGUF file can be wrong, and the error that must name it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "gguf/gguf.h"

namespace puna::gguf {
namespace {

using ::testing::HasSubstr;

template <typename T>
std::string Number(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}
std::string U32(uint32_t value) { return Number(value); }
std::string U64(uint64_t value) { return Number(value); }
std::string Text(std::string_view text) { return U64(text.size()) + std::string(text); }

constexpr uint32_t kU8 = 0, kU32 = 4, kI32 = 5, kBool = 7, kString = 8, kArray = 9;
constexpr uint32_t kF32 = 0, kQ4_0 = 2;

std::string Key(std::string_view name, uint32_t type, const std::string& value) {
  return Text(name) + U32(type) + value;
}
std::string ArrayOf(uint32_t type, uint64_t count, const std::string& elements) {
  return U32(type) + U64(count) + elements;
}

std::string TensorEntry(std::string_view name, std::initializer_list<uint64_t> dims, uint32_t type,
                        uint64_t offset) {
  std::string entry = Text(name) + U32(static_cast<uint32_t>(dims.size()));
  for (const uint64_t length : dims) entry += U64(length);
  return entry + U32(type) + U64(offset);
}

// A file from its parts; the counts may lie.
struct Parts {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> tensor_count, key_count;
  std::vector<std::string> keys;
  std::vector<std::string> tensors;
  size_t data_bytes = 0;
  size_t alignment = 32;
};

std::string Assemble(const Parts& parts) {
  std::string bytes = parts.magic + U32(parts.version) +
                      U64(parts.tensor_count.value_or(parts.tensors.size())) +
                      U64(parts.key_count.value_or(parts.keys.size()));
  for (const std::string& key : parts.keys) bytes += key;
  for (const std::string& tensor : parts.tensors) bytes += tensor;
  if (parts.data_bytes > 0) {
    bytes.resize((bytes.size() + parts.alignment - 1) / parts.alignment * parts.alignment);
    bytes.append(parts.data_bytes, '\x5a');
  }
  return bytes;
}

Result<std::shared_ptr<const File>> Parse(const std::string& bytes) {
  return File::Parse({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

struct Case {
  const char* name;
  std::string bytes;
  const char* message;
  ErrorCode code = ErrorCode::kCorrupt;
};

void ExpectErrors(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const auto file = Parse(c.bytes);
    ASSERT_FALSE(file) << c.name;
    EXPECT_THAT(file.error().message, HasSubstr(c.message)) << c.name;
    EXPECT_EQ(file.error().code, c.code) << c.name;
  }
}

constexpr uint64_t kHuge = uint64_t{1} << 62;

TEST(GgufMalformedTest, Header) {
  ExpectErrors({
      {"empty", "", "it begins with '', expected 'GGUF'"},
      {"three bytes", "GGU", "it begins with 'GGU'"},
      {"other format", "GGML" + std::string(40, '\0'), "it begins with 'GGML', expected 'GGUF'"},
      {"control characters", std::string("\x01\xff\n\0", 4) + std::string(40, '\0'),
       "not a gguf file"},
      {"header cut", "GGUF" + U32(3) + U64(0),
       "truncated header: the file has 16 bytes, expected at least 24"},
      {"version 1", Assemble({.version = 1}), "gguf version 1 is not supported, expected 2 or 3",
       ErrorCode::kUnsupported},
      {"version 0", Assemble({.version = 0}), "gguf version 0", ErrorCode::kUnsupported},
      {"version 4", Assemble({.version = 4}), "gguf version 4", ErrorCode::kUnsupported},
      {"big-endian", Assemble({.version = 0x03000000}), "big-endian", ErrorCode::kUnsupported},
      {"big-endian magic", Assemble({.magic = "FUGG", .version = 3}), "big-endian",
       ErrorCode::kUnsupported},
      {"key count", Assemble({.key_count = kHuge}),
       "claims 4611686018427387904 metadata keys, but only 0 bytes follow"},
      {"tensor count", Assemble({.tensor_count = UINT64_MAX}),
       "claims 18446744073709551615 tensors"},
      {"one key too many", Assemble({.key_count = 2, .keys = {Key("a", kU8, "x")}}),
       "claims 2 metadata keys"},
  });
}

TEST(GgufMalformedTest, Keys) {
  const auto one = [](std::string key) {
    return Assemble({.keys = {key + std::string(24, '\0')}});
  };
  const auto last = [](std::string key) {
    return Assemble({.key_count = 1, .keys = {std::move(key)}});
  };
  ExpectErrors({
      {"name too long", one(U64(kHuge) + "name"),
       "the name of metadata key 0 of 1 reaches beyond the file"},
      {"empty name", one(Key("", kU8, "x")), "metadata key 0 of 1 has an empty name"},
      {"unknown type", one(Key("k", 13, "x")), "key 'k': unknown value type 13, expected 0 to 12"},
      {"type cut", last(Text("abcdef")), "key 'abcdef': the file ends before its type"},
      {"number cut", last(Key("k", 10, U32(1))), "key 'k': the file ends in its value"},
      {"string too long", one(Key("k", kString, U64(1000) + "abc")),
       "key 'k': its string reaches beyond"},
      {"string length overflow", one(Key("k", kString, U64(UINT64_MAX))),
       "key 'k': its string reaches beyond"},
      {"bool", one(Key("k", kBool, "\x02")), "key 'k': bool value 2, expected 0 or 1"},
      {"duplicate",
       Assemble({.keys = {Key("k", kU8, "x"), Key("j", kU8, "x"), Key("k", kU8, "y")}}),
       "key 'k' occurs more than once"},
      {"unprintable name", one(Key("a\n\xff", 99, "")), "key 'a?\xef\xbf\xbd'"},
      {"long name is cut", one(Key(std::string(5000, 'n'), 99, "")), "nnn...': unknown value type"},
  });
}

TEST(GgufMalformedTest, Arrays) {
  const auto array = [](uint32_t type, uint64_t count, const std::string& elements) {
    return Assemble({.keys = {Key("list", kArray, ArrayOf(type, count, elements))}});
  };
  ExpectErrors({
      {"head cut", Assemble({.keys = {Key("list", kArray, U32(kU32))}}),
       "key 'list': the file ends in the head"},
      {"array of arrays", array(kArray, 1, ArrayOf(kU8, 1, "x")), "key 'list': an array of arrays",
       ErrorCode::kUnsupported},
      {"element type", array(77, 1, "x"), "key 'list': unknown element type 77"},
      {"count", array(kI32, 3, U32(1) + U32(2)),
       "key 'list': an array of 3 int32 elements, but only 8 bytes follow"},
      {"count overflow", array(kI32, kHuge + 1, U32(1)),
       "an array of 4611686018427387905 int32 elements"},
      {"string count", array(kString, kHuge, Text("a")),
       "key 'list': an array of 4611686018427387904 strings"},
      {"string beyond", array(kString, 2, Text("a") + U64(99)),
       "key 'list': string 1 of 2 reaches beyond the file"},
      {"bool", array(kBool, 3, std::string("\0\1\7", 3)), "key 'list': element 2 is bool value 7"},
  });
}

TEST(GgufMalformedTest, Alignment) {
  const auto with = [](uint32_t type, const std::string& value) {
    return Assemble({.keys = {Key("general.alignment", type, value)}});
  };
  ExpectErrors({
      {"zero", with(kU32, U32(0)), "key 'general.alignment' is 0, expected a power of two"},
      {"odd", with(kU32, U32(48)), "key 'general.alignment' is 48"},
      {"huge", with(kU32, U32(1u << 31)), "key 'general.alignment' is 2147483648"},
      {"type", with(10, U64(32)), "key 'general.alignment' is uint64, expected uint32"},
  });
}

TEST(GgufMalformedTest, TensorTable) {
  const auto entry = [](std::string text) {
    return Assemble({.tensors = {text + std::string(32, '\0')}, .data_bytes = 4096});
  };
  const auto shape = [&](std::initializer_list<uint64_t> dims, uint32_t type) {
    return entry(TensorEntry("weight", dims, type, 0));
  };
  ExpectErrors({
      {"name too long", entry(U64(UINT64_MAX - 3) + "t"),
       "the name of tensor 0 reaches beyond the file"},
      {"empty name", shape({}, kF32).replace(24, 14, U64(0)), "tensor 0 has an empty name"},
      {"dimensions", shape({1, 1, 1, 1, 1}, kF32),
       "tensor 'weight' has 5 dimensions, expected at most 4"},
      {"dimension count", entry(Text("weight") + U32(UINT32_MAX)),
       "tensor 'weight' has 4294967295 dimensions"},
      {"zero", shape({4, 0}, kF32),
       "tensor 'weight': dimension 1 is 0, expected a positive number"},
      {"negative", shape({4, UINT64_MAX}, kF32), "tensor 'weight': dimension 1 is -1"},
      {"product", shape({1u << 31, 1u << 31, 4}, kF32),
       "tensor 'weight': the product of its dimensions [2147483648, 2147483648, 4]"},
      {"product to zero", shape({kHuge, 4, 1}, kF32), "tensor 'weight': the product"},
      {"bytes", shape({kHuge}, kF32),
       "tensor 'weight': dimensions [4611686018427387904] of type F32 need too many bytes"},
      {"unknown type", shape({32}, 1000), "tensor 'weight' has type 1000", ErrorCode::kUnsupported},
      {"removed type", shape({32}, 5), "tensor 'weight' has type 5", ErrorCode::kUnsupported},
      {"partial block", shape({48, 2}, kQ4_0),
       "tensor 'weight': rows of 48 values, expected a multiple of 32 for type Q4_0"},
      {"scalar of blocks", shape({}, kQ4_0),
       "tensor 'weight': rows of 1 values, expected a multiple of 32"},
      {"entry cut", Assemble({.tensors = {TensorEntry("weight", {4}, kF32, 0).substr(0, 28)}}),
       "tensor 'weight': the file ends in its entry"},
      {"duplicate",
       Assemble({.tensors = {TensorEntry("a", {4}, kF32, 0), TensorEntry("a", {4}, kF32, 32)},
                 .data_bytes = 64}),
       "tensor 'a' occurs more than once"},
  });
}

TEST(GgufMalformedTest, TensorData) {
  const auto file = [](uint64_t offset, size_t data_bytes) {
    return Assemble(
        {.tensors = {TensorEntry("weight", {16}, kF32, offset)}, .data_bytes = data_bytes});
  };
  ExpectErrors({
      {"unaligned", file(16, 128),
       "tensor 'weight': offset 16, expected a multiple of the alignment 32"},
      {"no data", file(0, 0),
       "tensor 'weight': 64 bytes at offset 0 reach beyond the data section"},
      {"one byte short", file(0, 63), "expected at most 63 bytes"},
      {"offset beyond", file(96, 128), "tensor 'weight': 64 bytes at offset 96 reach beyond"},
      {"offset overflow", file(UINT64_MAX - 31, 128),
       "tensor 'weight': 64 bytes at offset 18446744073709551584"},
      {"other alignment",
       Assemble({.keys = {Key("general.alignment", kU32, U32(64))},
                 .tensors = {TensorEntry("weight", {16}, kF32, 32)},
                 .data_bytes = 128,
                 .alignment = 64}),
       "tensor 'weight': offset 32, expected a multiple of the alignment 64"},
  });
  EXPECT_TRUE(Parse(file(0, 64)));
  EXPECT_TRUE(Parse(file(64, 128)));
}

// Well-formed corners that readers often refuse or misread.
TEST(GgufMalformedTest, Tolerated) {
  const std::string trailing_bytes =
      Assemble({.tensors = {TensorEntry("t", {8}, kF32, 0)}, .data_bytes = 32}) + "garbage";
  const auto trailing = Parse(trailing_bytes);
  ASSERT_TRUE(trailing);
  EXPECT_EQ((*trailing)->tensors()[0].data.size(), 32u);

  const std::string version2_bytes = Assemble({.version = 2, .keys = {Key("k", kU8, "x")}});
  const auto version2 = Parse(version2_bytes);
  ASSERT_TRUE(version2);
  EXPECT_EQ((*version2)->version(), 2u);

  const std::string scalar_bytes =
      Assemble({.tensors = {TensorEntry("t", {}, kF32, 0)}, .data_bytes = 4});
  const auto scalar = Parse(scalar_bytes);
  ASSERT_TRUE(scalar);
  EXPECT_EQ((*scalar)->tensors()[0].elements(), 1);

  const std::string empty_bytes = Assemble({.keys = {Key("k", kArray, ArrayOf(kString, 0, ""))}});
  const auto empty_array = Parse(empty_bytes);
  ASSERT_TRUE(empty_array);
  EXPECT_EQ((*(*empty_array)->GetArray("k"))->size(), 0);

  const std::string unaligned_bytes =
      Assemble({.keys = {Key("general.alignment", kU32, U32(1))},
                .tensors = {TensorEntry("t", {3}, 24, 0), TensorEntry("u", {2}, 24, 3)},
                .data_bytes = 5,
                .alignment = 1});
  const auto unaligned = Parse(unaligned_bytes);
  ASSERT_TRUE(unaligned) << unaligned.error().message;
  EXPECT_EQ((*unaligned)->tensors()[1].data.size(), 2u);
}

TEST(GgufMalformedTest, IntegerConversionsOfArraysSaturate) {
  const auto numbers = [](uint32_t type, const std::string& elements, uint64_t count) {
    return Assemble({.keys = {Key("k", kArray, ArrayOf(type, count, elements))}});
  };
  const std::string unsigned_bytes = numbers(10, U64(UINT64_MAX) + U64(7), 2);
  const auto unsigned_file = Parse(unsigned_bytes);
  const Array* unsigned_array = *(*unsigned_file)->GetArray("k");
  EXPECT_EQ(unsigned_array->integer_at(0), INT64_MAX);
  EXPECT_EQ(unsigned_array->integer_at(1), 7);
  const std::string double_bytes = numbers(12,
                                           Number(1e300) + Number(-1e300) + Number(-2.9) +
                                               Number(std::numeric_limits<double>::quiet_NaN()),
                                           4);
  const auto double_file = Parse(double_bytes);
  const Array* doubles = *(*double_file)->GetArray("k");
  EXPECT_EQ(doubles->integer_at(0), INT64_MAX);
  EXPECT_EQ(doubles->integer_at(1), INT64_MIN);
  EXPECT_EQ(doubles->integer_at(2), -2);
  EXPECT_EQ(doubles->integer_at(3), 0);
}

// Every prefix of a good file is an error (and no crash): nothing in it may be read before it is
// known to be there.
TEST(GgufMalformedTest, EveryTruncationIsAnError) {
  const std::string whole = Assemble(
      {.keys = {Key("text", kString, Text("abc")),
                Key("list", kArray, ArrayOf(kString, 2, Text("a") + Text("bc"))),
                Key("ints", kArray, ArrayOf(kI32, 2, U32(1) + U32(2))), Key("flag", kBool, "\x01")},
       .tensors = {TensorEntry("a", {32, 2}, kQ4_0, 0), TensorEntry("b", {4}, kF32, 64)},
       .data_bytes = 80});
  ASSERT_TRUE(Parse(whole));
  for (size_t length = 0; length < whole.size(); ++length) {
    // A buffer of exactly this size, so that a sanitizer sees any read beyond it.
    const std::vector<uint8_t> part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
    EXPECT_FALSE(File::Parse(part)) << length;
  }
}

}  // namespace
}  // namespace puna::gguf
