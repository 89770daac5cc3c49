#include "store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "store/bundled_model.h"
#include "tests/support/shared_data.h"
#include "tests/support/small_disk.h"

namespace puna::store {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

ModelName Name(const std::string& text) { return *ModelName::Parse(text); }

class StoreTest : public ::testing::Test {
 protected:
  // A small valid GGUF file outside the store.
  fs::path WriteModel(const std::string& name, uint32_t marker = 1) {
    gguf::Writer writer;
    writer.Set("general.architecture", "llama");
    writer.Set("general.file_type", uint32_t{0});
    writer.Set("test.marker", marker);
    static const std::vector<uint8_t> data(4 * 32, 0);
    writer.AddTensor("output_norm.weight", quant::TensorType::kF32, {32}, data);
    const fs::path path = folder_.path() / name;
    EXPECT_TRUE(writer.WriteFile(path));
    return path;
  }
  void CreateFromFile(const std::string& name, const fs::path& path, CreateRequest request = {}) {
    const auto digest = store_.ImportFile(path, &pins_, nullptr);
    ASSERT_TRUE(digest) << digest.error().message;
    request.name = Name(name);
    request.files = {{"model.gguf", *digest}};
    const Status created = store_.Create(request, nullptr);
    ASSERT_TRUE(created) << created.error().message;
  }
  size_t BlobCount() {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(store_.root() / "blobs"))
      ++count;
    return count;
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const InstalledModel& model : store_.List()) names.push_back(model.name.ShortName());
    return names;
  }

  testing::TemporaryDirectory folder_;
  Store store_{folder_.path() / "store"};
  BlobPins pins_ = *BlobPins::Create(folder_.path() / "pins");
};

TEST_F(StoreTest, AnEmptyStoreHasTheBundledModelOnly) {
  EXPECT_THAT(Names(), ElementsAre("mini:latest"));
  const auto mini = store_.Find(Name("Mini"));
  ASSERT_TRUE(mini);
  EXPECT_TRUE(mini->bundled);
  EXPECT_EQ(BundledModelBytes().size(), static_cast<size_t>(mini->size_bytes));
  const auto file = store_.OpenWeights(*mini);
  ASSERT_TRUE(file);
  EXPECT_NE(nullptr, (*file)->FindTensor("token_embd.weight"));
  EXPECT_FALSE(fs::exists(store_.root())) << "reading must not create the store";
}

TEST_F(StoreTest, CreateListShowDelete) {
  CreateRequest request;
  request.system = "Be brief.";
  request.template_text = "{{ .Prompt }}";
  request.parameters = {{"temperature", 0.5}, {"stop", {"a", "b"}}};
  request.messages = {{{"role", "user"}, {"content", "hi"}},
                      {{"role", "assistant"}, {"content", ""}, {"tool_calls", {{{"id", "1"}}}}}};
  request.licenses = {"none"};
  CreateFromFile("me/Tiny:v1", WriteModel("a.gguf"), request);

  const auto model = store_.Find(Name("ME/tiny:V1"));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ("me/Tiny:v1", model->name.ShortName());
  EXPECT_EQ("Be brief.", *model->system);
  EXPECT_EQ("{{ .Prompt }}", *model->template_text);
  EXPECT_EQ(0.5, model->parameters["temperature"]);
  EXPECT_EQ(request.messages, model->messages);
  EXPECT_THAT(model->licenses, ElementsAre("none"));
  EXPECT_EQ("llama", JsonString(model->config, "model_family"));
  EXPECT_EQ("F32", JsonString(model->config, "file_type"));
  EXPECT_TRUE(store_.OpenWeights(*model));
  EXPECT_THAT(*ModelfileOf(*model, "x"), HasSubstr("PARAMETER stop b"));

  ASSERT_TRUE(store_.Delete(model->name));
  EXPECT_THAT(Names(), ElementsAre("mini:latest"));
  EXPECT_EQ(0u, BlobCount());
}

TEST_F(StoreTest, BlobsLiveAsLongAsSomebodyNamesThem) {
  const fs::path file = WriteModel("a.gguf");
  CreateFromFile("one", file);
  ASSERT_TRUE(store_.Copy(Name("one"), Name("two")));
  const fs::path weights = store_.Find(Name("two"))->weights;
  ASSERT_TRUE(store_.Delete(Name("one")));
  EXPECT_TRUE(fs::exists(weights));
  ASSERT_TRUE(store_.Delete(Name("two")));
  EXPECT_FALSE(fs::exists(weights));
}

TEST_F(StoreTest, CreateFromAModelMergesParametersAndReplacesTheSystemPrompt) {
  CreateRequest base;
  base.system = "old";
  base.parameters = {{"temperature", 0.5}, {"top_k", 3}};
  CreateFromFile("base", WriteModel("a.gguf"), base);
  CreateRequest request;
  request.name = Name("derived");
  request.from = "base";
  request.system = "new";
  request.parameters = {{"top_k", 7}};
  ASSERT_TRUE(store_.Create(request, nullptr));
  const auto derived = store_.Find(Name("derived"));
  ASSERT_TRUE(derived);
  EXPECT_EQ("new", *derived->system);
  EXPECT_EQ(0.5, derived->parameters["temperature"]);
  EXPECT_EQ(7, derived->parameters["top_k"]);
  EXPECT_EQ(store_.Find(Name("base"))->weights, derived->weights);
  EXPECT_EQ("base:latest", derived->parent_model);
}

TEST_F(StoreTest, NamesAreWrittenInTheCaseThatTheStoreHas) {
  ASSERT_TRUE(store_.Copy(Name("mini"), Name("Casey:8b")));
  ASSERT_TRUE(store_.Copy(Name("mini"), Name("casey:7B")));
  ASSERT_TRUE(store_.Copy(Name("mini"), Name("CASEY:8B")));
  CreateRequest request;
  request.name = Name("Team/a");
  request.from = "mini";
  ASSERT_TRUE(store_.Create(request, nullptr));
  request.name = Name("team/b");
  ASSERT_TRUE(store_.Create(request, nullptr));
  ASSERT_TRUE(store_.AddManifest(Name("hf.co/User/A"), *store_.ReadManifestText(Name("TEAM/B"))));
  ASSERT_TRUE(store_.Copy(Name("HF.CO/user/a"), Name("Hf.co/USER/b")));
  EXPECT_THAT(Names(),
              UnorderedElementsAre("Casey:8b", "Casey:7B", "Team/a:latest", "Team/b:latest",
                                   "hf.co/User/A:latest", "hf.co/User/b:latest", "mini:latest"));
}

// As they are where several programs wrote them.
TEST_F(StoreTest, FoldersThatDifferInCaseOnlyHideNothing) {
  ASSERT_TRUE(store_.Copy(Name("mini"), Name("one:8b")));
  const fs::path library = store_.root() / "manifests" / "registry.ollama.ai" / "library";
  const auto add = [&](const std::string& model, const std::string& tag) {
    fs::create_directory(library / model);
    fs::copy_file(library / "one" / "8b", library / model / tag);
  };
  add("Casey", "8b");
  add("casey", "7b");
  for (const char* name : {"Casey:7b", "CASEY:7B", "casey:7b"}) {
    const auto model = store_.Find(Name(name));
    ASSERT_TRUE(model) << name;
    EXPECT_EQ("casey:7b", model->name.ShortName());
  }
  EXPECT_EQ("Casey:8b", store_.Find(Name("casey:8b"))->name.ShortName());
  add("casey", "8b");
  EXPECT_EQ("casey:8b", store_.Find(Name("casey:8b"))->name.ShortName());
  EXPECT_EQ("Casey:8b", store_.Find(Name("Casey:8b"))->name.ShortName());
  ASSERT_TRUE(store_.Copy(Name("one:8b"), Name("casey:6b")));
  EXPECT_TRUE(fs::exists(library / "casey" / "6b")) << "a folder of exactly that name";
  ASSERT_TRUE(store_.Delete(Name("CASEY:7b")));
  EXPECT_FALSE(store_.Find(Name("casey:7b")));
}

TEST_F(StoreTest, CreateOverAnExistingNameDropsWhatNobodyNeedsAnyMore) {
  CreateFromFile("m", WriteModel("a.gguf", 1));
  const fs::path first = store_.Find(Name("m"))->weights;
  CreateFromFile("m", WriteModel("b.gguf", 2));
  EXPECT_NE(first, store_.Find(Name("m"))->weights);
  EXPECT_FALSE(fs::exists(first));
}

TEST_F(StoreTest, WhatIsEmptyIsThatOfTheBase) {
  CreateRequest base;
  base.system = "Be brief.";
  base.template_text = "{{ .Prompt }}";
  base.messages = {{{"role", "user"}, {"content", "hi"}}};
  CreateFromFile("base", WriteModel("a.gguf"), base);
  CreateRequest request;
  request.name = Name("derived");
  request.from = "base";
  ASSERT_TRUE(store_.Create(request, nullptr));
  const auto derived = store_.Find(Name("derived"));
  EXPECT_EQ("Be brief.", derived->system);
  EXPECT_EQ("{{ .Prompt }}", derived->template_text);
  EXPECT_EQ(base.messages, derived->messages);
}

TEST_F(StoreTest, TheParentIsTheModelThatWasNamed) {
  CreateFromFile("root", WriteModel("a.gguf"));
  CreateRequest request;
  for (const auto& [name, from] : {std::pair{"child", "root"}, {"grandchild", "Child"}}) {
    request.name = Name(name);
    request.from = from;
    // `from` counts where there are files too.
    request.files = {{"missing.gguf", "sha256:" + Sha256Hex("nothing")}};
    ASSERT_TRUE(store_.Create(request, nullptr));
  }
  EXPECT_EQ("root:latest", store_.Find(Name("child"))->parent_model);
  EXPECT_EQ("child:latest", store_.Find(Name("grandchild"))->parent_model);
}

TEST_F(StoreTest, ABaseThatIsNotHereIsFetched) {
  CreateFromFile("here", WriteModel("a.gguf"));
  CreateRequest request;
  request.name = Name("mine");
  request.from = "there";
  std::vector<std::string> fetched;
  const auto fetch = [&](const ModelName& name, const ProgressFunction& progress) -> Status {
    fetched.push_back(name.ShortName());
    PUNA_RETURN_IF_ERROR(Say(progress, "fetching"));
    if (name.model == "nowhere") return MakeError(ErrorCode::kUnavailable, "no such host");
    return store_.Copy(Name("here"), name);
  };
  std::vector<std::string> statuses;
  const auto progress = [&](const Progress& report) {
    statuses.push_back(report.status);
    return true;
  };
  EXPECT_EQ(ErrorCode::kNotFound, store_.Create(request, nullptr).error().code);
  request.quantize = "Q9";
  EXPECT_FALSE(store_.Create(request, progress, fetch));
  EXPECT_THAT(fetched, ElementsAre()) << "for a request that is wrong anyway";
  request.quantize = "";
  ASSERT_TRUE(store_.Create(request, progress, fetch));
  EXPECT_THAT(fetched, ElementsAre("there:latest"));
  EXPECT_EQ("fetching", statuses.front());
  EXPECT_EQ(store_.Find(Name("here"))->weights, store_.Find(Name("mine"))->weights);
  ASSERT_TRUE(store_.Create(request, progress, fetch));
  EXPECT_EQ(1u, fetched.size()) << "though it is here by now";
  request.from = "nowhere";
  const Status failed = store_.Create(request, progress, fetch);
  ASSERT_FALSE(failed);
  EXPECT_EQ(ErrorCode::kUnavailable, failed.error().code);
  EXPECT_THAT(failed.error().message, HasSubstr("FROM nowhere"));
  EXPECT_THAT(failed.error().message, HasSubstr("no such host"));
}

TEST_F(StoreTest, BuildingOnTheBundledModelWorks) {
  CreateRequest request;
  request.name = Name("mine");
  request.from = "mini";
  request.system = "You are mine.";
  ASSERT_TRUE(store_.Create(request, nullptr));
  ASSERT_TRUE(store_.Copy(Name("mini"), Name("copy")));
  const auto mine = store_.Find(Name("mine"));
  ASSERT_TRUE(mine);
  EXPECT_TRUE(store_.OpenWeights(*mine));
  EXPECT_EQ(mine->weights, store_.Find(Name("copy"))->weights);
  const Status deleted = store_.Delete(Name("mini"));
  ASSERT_FALSE(deleted);
  EXPECT_EQ(ErrorCode::kInvalidArgument, deleted.error().code);
}

TEST_F(StoreTest, ImportSharesTheFileAndLeavesTheSourceAlone) {
  const fs::path source = WriteModel("a.gguf");
  ::chmod(source.c_str(), 0644);
  const auto digest = store_.ImportFile(source, &pins_, nullptr);
  ASSERT_TRUE(digest);
  const fs::path blob = *store_.BlobPath(*digest);
  struct stat a = {}, b = {};
  ASSERT_EQ(0, ::stat(source.c_str(), &a));
  ASSERT_EQ(0, ::stat(blob.c_str(), &b));
  // Shared by a hard link here; a file system with reflinks has its own inode and shares the data.
  EXPECT_EQ(a.st_size, b.st_size);
  EXPECT_EQ(*ReadFile(source), *ReadFile(blob));
  fs::remove(source);
  EXPECT_TRUE(fs::exists(blob));
}

TEST_F(StoreTest, AFileThatOthersMayWriteIsCopied) {
  const fs::path source = WriteModel("a.gguf");
  ::chmod(source.c_str(), 0666);
  const auto digest = store_.ImportFile(source, &pins_, nullptr);
  ASSERT_TRUE(digest);
  struct stat a = {}, b = {};
  ASSERT_EQ(0, ::stat(source.c_str(), &a));
  ASSERT_EQ(0, ::stat(store_.BlobPath(*digest)->c_str(), &b));
  EXPECT_NE(a.st_ino, b.st_ino);
}

TEST_F(StoreTest, UploadsAreListedOnlyWhenTheirDigestIsRight) {
  const std::string digest = "sha256:" + Sha256Hex("content");
  {
    auto writer = store_.WriteBlob(digest);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->Write("other content"));
    const Status wrong = writer->Finish();
    ASSERT_FALSE(wrong);
    EXPECT_THAT(wrong.error().message, HasSubstr("digest mismatch"));
  }
  EXPECT_FALSE(*store_.HasBlob(digest));
  EXPECT_EQ(0u, BlobCount()) << "a temporary file was left behind";
  auto writer = store_.WriteBlob(digest);
  ASSERT_TRUE(writer->Write("con") && writer->Write("tent") && writer->Finish());
  EXPECT_TRUE(*store_.HasBlob(digest));
  EXPECT_FALSE(store_.HasBlob("sha256:../../etc/passwd"));
  EXPECT_FALSE(store_.WriteBlob("md5:abc"));
}

TEST_F(StoreTest, HostileManifestsAreLeftOutAndDoNotHideOthers) {
  CreateFromFile("good", WriteModel("a.gguf"));
  const fs::path library = store_.root() / "manifests" / "registry.ollama.ai" / "library";
  const char* kBad[] = {"",
                        "{",
                        "[]",
                        "{}",
                        R"({"config":5})",
                        R"({"config":{"mediaType":"x","digest":"sha256:../../x"}})",
                        R"({"config":{"mediaType":"x","digest":7}})"};
  int number = 0;
  for (const char* text : kBad) {
    ASSERT_TRUE(WriteFileAtomically(library / fmt::format("bad{}", number++) / "latest", text));
  }
  EXPECT_THAT(Names(), ElementsAre("good:latest", "mini:latest"));
  const auto bad = store_.Find(Name("bad1"));
  ASSERT_FALSE(bad);
  EXPECT_EQ(ErrorCode::kCorrupt, bad.error().code);
  // What an unreadable manifest needs is unknown, so nothing is pruned.
  ASSERT_TRUE(store_.Copy(Name("good"), Name("other")));
  ASSERT_TRUE(store_.Delete(Name("other")));
  EXPECT_TRUE(store_.Find(Name("good")));
}

TEST_F(StoreTest, PruneDeletesOnlyOldUnreferencedBlobs) {
  CreateFromFile("good", WriteModel("a.gguf"));
  const auto add = [&](const std::string& content, bool old) {
    const fs::path path = *store_.BlobPath("sha256:" + Sha256Hex(content));
    EXPECT_TRUE(WriteFileAtomically(path, content));
    if (old) fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(2));
    return path;
  };
  const fs::path old_blob = add("old", true);
  const fs::path new_blob = add("new", false);
  const fs::path used = store_.Find(Name("good"))->weights;
  fs::last_write_time(used, fs::file_time_type::clock::now() - std::chrono::hours(2));
  ASSERT_TRUE(store_.Prune());
  EXPECT_FALSE(fs::exists(old_blob));
  EXPECT_TRUE(fs::exists(new_blob));
  EXPECT_TRUE(fs::exists(used));
}

TEST_F(StoreTest, CreateErrorsSayWhatIsWrong) {
  CreateRequest request;
  request.name = Name("x");
  EXPECT_EQ("neither 'from' or 'files' was specified",
            store_.Create(request, nullptr).error().message);
  request.from = "missing";
  EXPECT_EQ(ErrorCode::kNotFound, store_.Create(request, nullptr).error().code);
  request.from = "";
  const fs::path text = folder_.path() / "text.gguf";
  ASSERT_TRUE(WriteFileAtomically(text, "this is no GGUF"));
  request.files = {{"text.gguf", *store_.ImportFile(text, &pins_, nullptr)}};
  EXPECT_THAT(store_.Create(request, nullptr).error().message,
              HasSubstr("supplied file was not in GGUF format"));
  request.files[0].first = "/etc/passwd";
  EXPECT_THAT(store_.Create(request, nullptr).error().message,
              HasSubstr("file path must be relative"));
  request.files = {{"a.gguf", "sha256:" + std::string(64, '0')}};
  EXPECT_THAT(store_.Create(request, nullptr).error().message, HasSubstr("has not been uploaded"));
}

TEST_F(StoreTest, ADiskThatIsTooSmallIsToldBeforeAnythingIsCopied) {
  const testing::SmallDisk disk(store_.root(), 4);
  if (!disk.mounted()) GTEST_SKIP() << "mounting is not permitted";
  const fs::path path = folder_.path() / "large";
  const std::string content(6 << 20, 'x');
  ASSERT_TRUE(WriteFileAtomically(path, content));
  const auto imported = store_.ImportFile(path, &pins_, [](const Progress& progress) {
    EXPECT_THAT(progress.status, HasSubstr("hashing"));
    return true;
  });
  ASSERT_FALSE(imported);
  EXPECT_EQ(imported.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(imported.error().message, HasSubstr(std::to_string(content.size())));
  const auto written = store_.WriteBlob("sha256:" + Sha256Hex(content), content.size());
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(BlobCount(), 0u) << "nothing is left of what failed";
  const std::string small(3 << 20, 'y');
  auto writer = store_.WriteBlob("sha256:" + Sha256Hex(small), small.size());
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE(writer->Write(small));
  ASSERT_TRUE(writer->Finish());
  EXPECT_EQ(BlobCount(), 1u);
}

TEST_F(StoreTest, AFileThatWasReplacedIsOpenedAnew) {
  CreateFromFile("one", WriteModel("a.gguf"));
  InstalledModel model = *store_.Find(Name("one"));
  model.adapters = {model.weights};
  const auto file = *store_.OpenWeights(model);
  EXPECT_EQ(*store_.OpenWeights(model), file);
  fs::rename(WriteModel("b.gguf", 2), model.weights);
  const auto now = *store_.OpenWeights(model);
  EXPECT_NE(now, file);
  EXPECT_EQ(**now->GetInteger("test.marker"), 2);
  EXPECT_EQ((*store_.OpenAdapters(model))[0], now);
}

TEST_F(StoreTest, ChangesAreToldAndReplacedLayersStayWhereThatIsAsked) {
  for (const bool keep : {false, true}) {
    store_ = Store(folder_.path() / (keep ? "kept" : "replaced"), keep);
    int changes = 0;
    store_.OnChange([&] { ++changes; });
    CreateFromFile("one", WriteModel("a.gguf"));
    const fs::path weights = store_.Find(Name("one"))->weights;
    CreateFromFile("one", WriteModel("b.gguf", 2));
    EXPECT_EQ(changes, 2);
    EXPECT_EQ(fs::exists(weights), keep);
    const fs::path deleted = store_.Find(Name("one"))->weights;
    ASSERT_TRUE(store_.Copy(Name("one"), Name("two")));
    ASSERT_TRUE(store_.Delete(Name("one")));
    ASSERT_TRUE(store_.Delete(Name("two")));
    EXPECT_EQ(changes, 5);
    EXPECT_FALSE(fs::exists(deleted)) << "a delete deletes";
  }
}

TEST_F(StoreTest, BlobsWithAColonInTheirNamesAreFound) {
  CreateFromFile("one", WriteModel("a.gguf"));
  const InstalledModel named = *store_.Find(Name("one"));
  for (const Layer& layer : named.layers) {
    const fs::path path = *store_.BlobPath(layer.digest);
    fs::rename(path, path.parent_path() / layer.digest);
  }
  const auto model = store_.Find(Name("one"));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE(store_.OpenWeights(*model));
  EXPECT_THAT(*store_.Verify({}, nullptr), ::testing::IsEmpty());
  EXPECT_EQ(store_.Prune({.blobs = std::chrono::seconds(0)})->files, 0);
  CreateFromFile("two", WriteModel("b.gguf"));
  EXPECT_EQ(store_.Find(Name("two"))->weights, model->weights) << "it is there already";
  ASSERT_TRUE(store_.Delete(Name("one")));
  ASSERT_TRUE(store_.Delete(Name("two")));
  EXPECT_EQ(0u, BlobCount());
}

TEST_F(StoreTest, ALocalFileIsServedInPlace) {
  const fs::path path = WriteModel("local.gguf");
  ASSERT_TRUE(store_.AddLocalFile("local", path));
  EXPECT_THAT(Names(), ElementsAre("local:latest", "mini:latest"));
  EXPECT_EQ(path, store_.Find(Name("local"))->weights);
  EXPECT_FALSE(fs::exists(store_.root()));
}

TEST_F(StoreTest, WhatIsBuiltOnALocalFileHasItsWeights) {
  const fs::path path = WriteModel("local.gguf");
  ASSERT_TRUE(store_.AddLocalFile("local", path));
  CreateRequest request;
  request.name = Name("saved");
  request.from = "local";
  request.system = "Be brief.";
  const Status created = store_.Create(request, nullptr);
  ASSERT_TRUE(created) << created.error().message;
  ASSERT_TRUE(store_.Copy(Name("local"), Name("copied")));
  EXPECT_EQ(ErrorCode::kNotFound, store_.Copy(Name("nobody"), Name("x")).error().code);
  for (const char* name : {"saved", "copied"}) {
    const auto model = Store(store_.root()).Find(Name(name));
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(*ReadFile(path), *ReadFile(model->weights));
    EXPECT_EQ("", model->parent_model) << "the file's name is no model's";
    EXPECT_EQ("llama", model->config["model_family"]);
  }
}

TEST_F(StoreTest, WhatIsBuiltOnALocalFileInPartsHasAllOfThem) {
  static const std::vector<uint8_t> data(4 * 32, 0);
  for (uint16_t i = 0; i < 2; ++i) {
    gguf::Writer writer;
    if (i == 0) writer.Set("general.architecture", "llama");
    writer.Set("split.no", i);
    writer.Set("split.count", uint16_t{2});
    writer.Set("split.tensors.count", int32_t{2});
    writer.AddTensor(fmt::format("blk.{}.attn_norm.weight", i), quant::TensorType::kF32, {32},
                     data);
    ASSERT_TRUE(writer.WriteFile(folder_.path() / fmt::format("m-0000{}-of-00002.gguf", i + 1)));
  }
  ASSERT_TRUE(store_.AddLocalFile("local", folder_.path() / "m-00001-of-00002.gguf"));
  ASSERT_TRUE(store_.Copy(Name("local"), Name("copied")));
  const auto file = Store(store_.root()).OpenWeights(*store_.Find(Name("copied")));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(2u, (*file)->tensors().size());
}

TEST(ModelNameTest, FillsDefaultsAndRefusesWhatOllamaRefuses) {
  EXPECT_EQ("registry.ollama.ai/library/llama3:latest", Name("llama3").FullName());
  EXPECT_EQ("llama3:8b", Name("llama3:8b").ShortName());
  EXPECT_EQ("me/x:latest", Name("me/x").ShortName());
  EXPECT_EQ("hf.co/a/b:Q4_K_M", Name("hf.co/a/b:Q4_K_M").ShortName());
  EXPECT_EQ("host:5000/a/b:latest", Name("http://host:5000/a/b").ShortName());
  for (const char* bad : {"", "/", "a/", ":tag", "a:", "-a", ".", "..", "a/../b", "a b", "a\\b",
                          "x/y/z/../w", "a:b:c", "ns.dot/model", "\xC3\xA4"}) {
    EXPECT_FALSE(ModelName::Parse(bad)) << bad;
  }
  EXPECT_FALSE(ModelName::Parse(std::string(81, 'a')));
}

TEST(ModelNameOfFileTest, IsAlwaysAValidName) {
  EXPECT_EQ(ModelNameOfFile("/models/Llama 3 (8B)-Q4_K_M.gguf"), "Llama-3-8B-Q4_K_M");
  EXPECT_EQ(ModelNameOfFile("x.gguf"), "x");
  EXPECT_EQ(ModelNameOfFile("/a/b-q8-00001-of-00012.gguf"), "b-q8");
  for (const char* file :
       {".gguf", "---.gguf", "日本.gguf", "a:b@c.gguf", "no-suffix", "-x.gguf"}) {
    const std::string name = ModelNameOfFile(file);
    EXPECT_TRUE(store::ModelName::Parse(name)) << file << " gives " << name;
  }
  EXPECT_TRUE(store::ModelName::Parse(ModelNameOfFile(std::string(300, 'x') + ".gguf")));
}

}  // namespace
}  // namespace puna::store
