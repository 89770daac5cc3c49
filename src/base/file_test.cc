#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace puna {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  ~FileTest() override { fs::remove_all(folder_); }
  fs::perms ModeOf(const fs::path& path) { return fs::status(path).permissions() & fs::perms::all; }
  const fs::path folder_ = fs::temp_directory_path() / fmt::format("puna-file-{}", ::getpid());
};

TEST_F(FileTest, HasItsModeAsSoonAsItIsThere) {
  for (const auto& [mode, perms] : {std::pair(AtomicFile::kPublic, fs::perms(0644)),
                                    std::pair(AtomicFile::kPrivate, fs::perms(0600)),
                                    std::pair(mode_t{0640}, fs::perms(0640))}) {
    auto file = AtomicFile::Create(folder_ / "a" / "b", mode);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(ModeOf(file->temporary_path()), perms);
    ASSERT_TRUE(file->Write("text"));
    ASSERT_TRUE(file->Commit());
    EXPECT_EQ(ModeOf(folder_ / "a" / "b"), perms);
  }
}

TEST_F(FileTest, CommitReplacesAndCommitNewDoesNot) {
  const fs::path path = folder_ / "file";
  for (const bool first : {true, false}) {
    auto file = AtomicFile::Create(path);
    ASSERT_TRUE(file && file->Write(first ? "old" : "new"));
    const Status done = file->CommitNew();
    ASSERT_EQ(done.has_value(), first);
    if (!first) {
      EXPECT_EQ(done.error().code, ErrorCode::kAlreadyExists);
    }
  }
  EXPECT_EQ(*ReadFile(path), "old");
  ASSERT_TRUE(WriteFileAtomically(path, "new"));
  EXPECT_EQ(*ReadFile(path), "new");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1)
      << "temporary files are left";
}

TEST_F(FileTest, LinksStayAndLeadToTheNewContent) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "real" / "file", "old"));
  fs::create_symlink("real/file", folder_ / "link");
  fs::create_symlink(folder_ / "link", folder_ / "link to link");
  fs::create_symlink("real/new", folder_ / "dangling");
  for (const auto& [link, target] : {std::pair("link to link", "file"), {"dangling", "new"}}) {
    const Status done = WriteFileAtomically(folder_ / link, link);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(fs::is_symlink(folder_ / link));
    EXPECT_FALSE(fs::is_symlink(folder_ / "real" / target));
    EXPECT_EQ(*ReadFile(folder_ / "real" / target), link);
  }
  fs::create_symlink("circle", folder_ / "circle");
  EXPECT_FALSE(AtomicFile::Create(folder_ / "circle"));
}

TEST_F(FileTest, ReplacesNothingButRegularFiles) {
  fs::create_directories(folder_ / "folder");
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  fs::create_symlink("pipe", folder_ / "link");
  for (const char* name : {"folder", "pipe", "link"}) {
    const auto file = AtomicFile::Create(folder_ / name);
    ASSERT_FALSE(file) << name;
    EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(file.error().message,
              (folder_ / name).string() + " is not a regular file, and is not replaced by one");
  }
  EXPECT_TRUE(fs::is_fifo(folder_ / "pipe"));
}

TEST_F(FileTest, ReadsAnyPartOfItsBytesAndNothingElse) {
  const fs::path path = folder_ / "file";
  std::string content(10000, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 / 3);
  ASSERT_TRUE(WriteFileAtomically(path, content));
  auto file = MappedFile::Open(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto bytes = (*file)->bytes();
  std::vector<uint8_t> out(content.size());
  const std::pair<size_t, size_t> parts[] = {{0, content.size()}, {4095, 3}, {9999, 1}, {10000, 0}};
  for (const auto& [begin, count] : parts) {
    std::fill(out.begin(), out.end(), 0);
    ASSERT_TRUE((*file)->Read(bytes.subspan(begin, count), out.data())) << begin;
    EXPECT_TRUE(std::equal(out.begin(), out.begin() + count, bytes.begin() + begin)) << begin;
  }
  EXPECT_FALSE((*file)->Read(std::span(bytes.data() + 9999, 2), out.data())) << "past the end";
  EXPECT_FALSE((*file)->Read(out, out.data())) << "bytes of somebody else";
  fs::resize_file(path, 5000);
  EXPECT_FALSE((*file)->Read(bytes.subspan(4990, 20), out.data())) << "cut off since";
}

TEST_F(FileTest, KnowsWhetherItIsStillTheOneOnDisk) {
  const fs::path path = folder_ / "file";
  const auto open = [&] { return *MappedFile::Open(path); };
  ASSERT_TRUE(WriteFileAtomically(path, "text"));
  const auto first = open();
  EXPECT_TRUE(first->IsCurrent());
  ASSERT_TRUE(WriteFileAtomically(path, "next"));
  EXPECT_FALSE(first->IsCurrent());
  const auto second = open();
  EXPECT_TRUE(second->IsCurrent());
  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::nanoseconds(1));
  EXPECT_FALSE(second->IsCurrent());
  const auto third = open();
  fs::remove(path);
  EXPECT_FALSE(third->IsCurrent());
}

}  // namespace
}  // namespace puna
