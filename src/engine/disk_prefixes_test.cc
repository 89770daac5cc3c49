#include "engine/disk_prefixes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <numeric>

#include "base/file.h"
#include "base/log.h"
#include "engine/engine_test_support.h"
#include "engine/page_file.h"
#include "tests/support/shared_data.h"

namespace puna::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int64_t kPageBytes = 100;
constexpr size_t kHead = 16 * DiskPrefixes::kHeadPages;  // tokens

std::vector<int32_t> Tokens(size_t count, int32_t first = 0) {
  std::vector<int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

std::vector<uint8_t> Content(size_t page) {
  return std::vector<uint8_t>(kPageBytes, static_cast<uint8_t>(page + 1));
}

std::unique_ptr<DiskPrefixes> Open(const fs::path& folder, int64_t max_bytes = 1 << 20,
                                   std::string identity = "model") {
  auto opened = DiskPrefixes::Open({.folder = folder,
                                    .max_bytes = max_bytes,
                                    .identity = std::move(identity),
                                    .page_bytes = kPageBytes});
  EXPECT_TRUE(opened) << opened.error().message;
  return *std::move(opened);
}

void KeepAll(DiskPrefixes* prefixes, const std::vector<int32_t>& tokens) {
  std::vector<uint8_t> last;
  prefixes->Keep(tokens, [&](size_t i) {
    last = Content(i);
    return std::span<const uint8_t>(last);
  });
  prefixes->Flush();
}

// How many pages of `tokens` can be read and hold what they should.
size_t Readable(DiskPrefixes* prefixes, const std::vector<int32_t>& tokens) {
  size_t good = 0;
  for (const DiskPrefixes::FileOnDisk& file : prefixes->Find(tokens, 0, 1000)) {
    std::vector<std::vector<uint8_t>> bytes(file.pages, std::vector<uint8_t>(kPageBytes));
    const std::vector<std::span<uint8_t>> pages(bytes.begin(), bytes.end());
    if (!prefixes->Read(file, pages)) break;
    for (size_t i = 0; i < file.pages; ++i) EXPECT_EQ(bytes[i], Content(file.first + i));
    good += file.pages;
  }
  return good;
}

std::vector<fs::path> FilesIn(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  return files;
}

TEST(DiskPrefixes, OutliveWhoWroteThem) {
  const testing::TemporaryDirectory dir;
  const fs::path folder = dir.path() / "prompts";
  const auto tokens = Tokens(kHead + 70);
  KeepAll(Open(folder).get(), tokens);
  EXPECT_EQ(fs::status(folder).permissions(), fs::perms::owner_all);
  const auto again = Open(folder);
  EXPECT_EQ(Readable(again.get(), tokens), 20u);
  EXPECT_EQ(Readable(again.get(), Tokens(kHead + 40)), 18u);
  EXPECT_THAT(again->Find(tokens, 17, 2), SizeIs(2));
  EXPECT_EQ(again->Find(tokens, 17, 2)[0].first, 17u);
  EXPECT_EQ(Readable(again.get(), Tokens(kHead + 70, 1)), 0u) << "other tokens";
  EXPECT_EQ(Readable(Open(folder, 1 << 20, "another model").get(), tokens), 0u);
  // Where memory has the first pages, the others of their file are read.
  const auto rest = again->Find(tokens, 14, 2);
  ASSERT_THAT(rest, SizeIs(1));
  EXPECT_EQ(rest[0].first, 0u);
  std::vector<uint8_t> last(kPageBytes), last_but_one(kPageBytes);
  EXPECT_TRUE(again->Read(rest[0], std::vector<std::span<uint8_t>>{last_but_one, last}));
  EXPECT_EQ(last_but_one, Content(14));
  EXPECT_EQ(last, Content(15));
}

TEST(DiskPrefixes, DamagedAndForeignFilesAreRefused) {
  std::string name = PageChain("model");
  for (int32_t i = 0; i < 16; ++i) name = NextInChain(name, Tokens(16, 16 * i));
  const auto tokens = Tokens(kHead + 20);
  const auto damage = [&](const std::function<void(const fs::path&)>& how) {
    const testing::TemporaryDirectory dir;
    KeepAll(Open(dir.path() / "p").get(), tokens);
    const fs::path file = dir.path() / "p" / (name + ".page");
    EXPECT_TRUE(fs::exists(file));
    const auto prefixes = Open(dir.path() / "p");
    how(file);
    return Readable(prefixes.get(), tokens);
  };
  EXPECT_EQ(damage([](const fs::path&) {}), 17u);
  for (const int64_t at : {0, 9, 20, 90, 150, 200, 1000, 1700, 1740}) {
    EXPECT_EQ(damage([&](const fs::path& file) {
                std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
                stream.seekp(at);
                stream.put('\x7f');
              }),
              0u)
        << "byte " << at;
  }
  EXPECT_EQ(damage([](const fs::path& file) { fs::resize_file(file, fs::file_size(file) - 1); }),
            0u);
  EXPECT_EQ(damage([](const fs::path& file) { fs::resize_file(file, 0); }), 0u);
  EXPECT_EQ(damage([](const fs::path& file) { fs::remove(file); }), 0u);
  EXPECT_EQ(damage([](const fs::path& file) {
              fs::rename(file, file.string() + ".moved");
              fs::create_symlink(file.string() + ".moved", file);
            }),
            0u)
      << "a link";
  EXPECT_EQ(damage([](const fs::path& file) {
              fs::remove(file);
              fs::create_directory(file);
            }),
            0u)
      << "a folder";
  // The page of other tokens under this name.
  EXPECT_EQ(damage([](const fs::path& file) {
              for (const fs::path& other : FilesIn(file.parent_path())) {
                if (other == file) continue;
                fs::copy_file(other, file, fs::copy_options::overwrite_existing);
                break;
              }
            }),
            0u);
}

TEST(DiskPrefixes, FoldersThatOthersCanWriteToAreRefused) {
  const testing::TemporaryDirectory dir;
  fs::permissions(dir.path(), fs::perms::all);
  const auto opened = DiskPrefixes::Open(
      {.folder = dir.path(), .max_bytes = 1000, .identity = "model", .page_bytes = kPageBytes});
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("others may write"));
  std::ofstream(dir.path() / "file") << "x";
  EXPECT_FALSE(DiskPrefixes::Open({.folder = dir.path() / "file",
                                   .max_bytes = 1000,
                                   .identity = "model",
                                   .page_bytes = kPageBytes}));
}

TEST(DiskPrefixes, TheLeastUsedGoFirstAndEndsBeforeBeginnings) {
  const testing::TemporaryDirectory dir;
  // A beginning has 1752 bytes, a page 252: two prompts of a beginning and five pages.
  const auto first = Tokens(kHead + 5 * 16), second = Tokens(kHead + 5 * 16, 1000);
  const auto prefixes = Open(dir.path() / "p", 6100);
  KeepAll(prefixes.get(), first);
  KeepAll(prefixes.get(), second);
  EXPECT_EQ(Readable(prefixes.get(), first), 21u);  // used later than the other
  KeepAll(prefixes.get(), Tokens(kHead + 6 * 16));
  EXPECT_EQ(Readable(prefixes.get(), Tokens(kHead + 6 * 16)), 22u);
  const size_t left = Readable(prefixes.get(), second);
  EXPECT_GE(left, 16u) << "the end of a prompt goes before its beginning";
  EXPECT_LT(left, 21u);
}

TEST(DiskPrefixes, NoBeginningStaysThatIsTooShortToBeRead) {
  const testing::TemporaryDirectory dir;
  const auto prefixes = Open(dir.path() / "p", 10'000);
  KeepAll(prefixes.get(), Tokens(kHead - 1));
  EXPECT_THAT(FilesIn(dir.path() / "p"), SizeIs(0));
  for (int32_t i = 0; i < 40; ++i) {
    KeepAll(prefixes.get(), Tokens(kHead + 16 * (static_cast<size_t>(i) % 7), 1000 * i));
    // All that is there is found by one of the prompts.
    size_t found = 0;
    for (int32_t j = 0; j <= i; ++j) {
      const auto tokens = Tokens(kHead + 16 * (static_cast<size_t>(j) % 7), 1000 * j);
      found += prefixes->Find(tokens, 0, 1000).size();
    }
    EXPECT_EQ(FilesIn(dir.path() / "p").size(), found);
  }
}

TEST(DiskPrefixes, WhatKilledWritersLeftIsRemoved) {
  const testing::TemporaryDirectory dir;
  KeepAll(Open(dir.path() / "p").get(), Tokens(kHead + 32));
  const fs::path old = dir.path() / "p" / ".00ff.page.tmp-abcdef", fresh = old.string() + "g";
  for (const fs::path& file : {old, fresh}) std::ofstream(file) << "half a page";
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_EQ(Readable(Open(dir.path() / "p").get(), Tokens(kHead + 32)), 18u);
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(fresh)) << "its writer may live";
}

// A disk without room, as a limit for the size of files.
TEST(DiskPrefixes, AFullDiskIsHarmless) {
  const testing::TemporaryDirectory dir;
  const auto prefixes = Open(dir.path() / "p");
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit full = before;
  full.rlim_cur = 250;  // what is told must fit into its file
  setrlimit(RLIMIT_FSIZE, &full);
  ::testing::internal::CaptureStderr();
  InitLog(LogLevel::kWarning);
  for (int i = 0; i < 3; ++i) KeepAll(prefixes.get(), Tokens(kHead + 64));
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1) << told;
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(FilesIn(dir.path() / "p"), SizeIs(0));
  EXPECT_EQ(Readable(prefixes.get(), Tokens(kHead + 64)), 0u);
  KeepAll(prefixes.get(), Tokens(kHead + 64));  // there is room again
  EXPECT_EQ(Readable(prefixes.get(), Tokens(kHead + 64)), 20u);
}

// The engine: a prompt that two requests had in common is not computed again after a restart, and
// the answer is the same.
TEST(DiskPrefixes, AnEngineThatStartsAgainFindsThem) {
  const testing::TemporaryDirectory dir;
  EngineOptions options;
  options.kv_tokens = 2048;
  options.prefix_folder = dir.path() / "p";
  options.weights_digest = "abc";
  std::vector<TokenId> system;
  for (int i = 0; i < 400; ++i) system.push_back(i * 7 % 50);
  const auto ask = [&](HistoryEngine& h, TokenId question) {
    GenerateRequest request;
    request.prompt = system;
    for (int i = 0; i < 20; ++i) request.prompt.push_back((question + i) % 50);
    request.max_tokens = 30;
    request.sampling.seed = 3;
    return RunOne(h.engine.get(), request);
  };
  const auto start = [&](const EngineOptions& with) { return MakeHistoryEngine(with, 1024); };
  Outcome expected;
  {
    HistoryEngine h = start(options);
    expected = ask(h, 1);
    EXPECT_EQ(ask(h, 2).stats->cached_prompt_tokens, 400);
    // Its destructor does not wait for the writer.
    for (int i = 0; i < 500 && FilesIn(dir.path() / "p").size() < 10; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_THAT(FilesIn(dir.path() / "p"), SizeIs(10));
  {
    HistoryEngine h = start(options);
    const Outcome again = ask(h, 1);
    EXPECT_EQ(again.stats->cached_prompt_tokens, 400);
    EXPECT_TRUE(SameOutput(again, expected));
    EXPECT_LE(h.program->rows, 20 + 30);
  }
  EngineOptions other = options;
  other.weights_digest = "def";
  HistoryEngine h = start(other);
  EXPECT_EQ(ask(h, 1).stats->cached_prompt_tokens, 0) << "another model";
  // A damaged page ends what is found; what follows is computed.
  for (const fs::path& file : FilesIn(dir.path() / "p")) fs::resize_file(file, 10);
  HistoryEngine damaged = start(options);
  const Outcome computed = ask(damaged, 1);
  EXPECT_EQ(computed.stats->cached_prompt_tokens, 0);
  EXPECT_TRUE(SameOutput(computed, expected));
}

}  // namespace
}  // namespace puna::engine
