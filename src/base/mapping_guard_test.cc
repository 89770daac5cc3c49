#include "base/mapping_guard.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"

namespace puna {
namespace {

namespace fs = std::filesystem;

class MappingGuardTest : public testing::Test {
 protected:
  static constexpr size_t kSize = 40 * 65536;

  void SetUp() override {
    ASSERT_TRUE(WriteFileAtomically(path_, std::string(kSize, 'x')));
    file_ = Open();
  }
  ~MappingGuardTest() override { fs::remove(path_); }
  std::shared_ptr<const MappedFile> Open() const { return *MappedFile::Open(path_); }
  static int64_t Count(std::span<const uint8_t> bytes, char value) {
    return std::count(bytes.begin(), bytes.end(), static_cast<uint8_t>(value));
  }

  const fs::path path_ = fs::temp_directory_path() / fmt::format("puna-guard-{}", ::getpid());
  std::shared_ptr<const MappedFile> file_;
};

TEST_F(MappingGuardTest, WhatIsCutOffReadsAsZeros) {
  GuardMapping(file_->bytes());
  EXPECT_EQ(Count(file_->bytes(), 'x'), kSize);
  EXPECT_FALSE(IsUnreadable(file_->bytes().data()));
  fs::resize_file(path_, kSize / 2);
  EXPECT_EQ(Count(file_->bytes().first(kSize / 2), 'x'), kSize / 2);
  EXPECT_FALSE(IsUnreadable(file_->bytes().data()));
  EXPECT_EQ(Count(file_->bytes().subspan(kSize / 2), 0), kSize / 2);
  for (const size_t at : {size_t{0}, kSize / 2, kSize - 1})
    EXPECT_TRUE(IsUnreadable(file_->bytes().data() + at)) << at;
  EXPECT_EQ(Count(file_->bytes().first(kSize / 2), 'x'), kSize / 2);
}

TEST_F(MappingGuardTest, ManyThreadsMayFindOut) {
  GuardMapping(file_->bytes());
  fs::resize_file(path_, 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this, i] {
      for (size_t at = 0; at < kSize; at += 4096)
        EXPECT_EQ(file_->bytes()[i % 2 == 0 ? at : kSize - 1 - at], 0);
      EXPECT_TRUE(IsUnreadable(file_->bytes().data()));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(MappingGuardTest, AReadThatFailsCountsToo) {
  std::vector<uint8_t> out(100);
  GuardMapping(file_->bytes());
  EXPECT_TRUE(file_->Read(file_->bytes().last(100), out.data()));
  EXPECT_FALSE(file_->Read({out.data(), 10}, out.data())) << "no part of the file";
  EXPECT_FALSE(IsUnreadable(file_->bytes().data()));
  fs::resize_file(path_, kSize - 1);  // within a page: the mapping has a zero there, and no fault
  EXPECT_FALSE(file_->Read(file_->bytes().last(100), out.data()));
  EXPECT_TRUE(IsUnreadable(file_->bytes().data()));
}

// A bad sector leaves size and time of the file as they are.
TEST_F(MappingGuardTest, AnUnreadableFileIsNotCurrentAndAnotherMappingOfItIs) {
  GuardMapping(file_->bytes());
  EXPECT_TRUE(file_->IsCurrent());
  MarkUnreadable(file_->bytes().data() + 5);
  EXPECT_FALSE(file_->IsCurrent());
  const auto again = Open();
  GuardMapping(again->bytes());
  EXPECT_TRUE(again->IsCurrent());
}

TEST_F(MappingGuardTest, WhoIsGoneIsForgotten) {
  const uint8_t* address = file_->bytes().data();
  GuardMapping(file_->bytes());
  MarkUnreadable(address);
  file_ = nullptr;
  EXPECT_FALSE(IsUnreadable(address));
}

using MappingGuardDeathTest = MappingGuardTest;

TEST_F(MappingGuardDeathTest, OtherFaultsEndTheProcess) {
  const auto other = Open();
  GuardMapping(file_->bytes());
  fs::resize_file(path_, 0);
  // A sanitizer ends the process its own way.
  const auto ends = [](int status) {
    return testing::KilledBySignal(SIGBUS)(status) ||
           (WIFEXITED(status) && WEXITSTATUS(status) == 1);
  };
  EXPECT_EXIT(::_exit(other->bytes()[0]), ends, "");
  EXPECT_EXIT(::raise(SIGBUS), ends, "");
}

}  // namespace
}  // namespace puna
