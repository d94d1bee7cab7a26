// The pieces of hub that need no server; tests/e2e/test_pull.py runs the whole against one.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/mmap_file.h"
#include "hub/blob_writer.h"
#include "hub/catalog.h"
#include "hub/child_process.h"
#include "hub/digest.h"
#include "hub/file_lock.h"
#include "hub/model_cache.h"
#include "hub/pull.h"
#include "hub/reference.h"
#include "hub/settings.h"
#include "hub/url.h"

namespace hanlin::hub {
namespace {

namespace fs = std::filesystem;

std::string error_of(const Status& status) { return status.ok() ? "" : status.error().message; }
template <typename T>
std::string error_of(const Result<T>& result) {
  return result.ok() ? "" : result.error().message;
}

std::span<const uint8_t> bytes_of(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

// A directory of its own for each test, removed afterwards.
class HubTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("hanlin_hub_test_" + std::to_string(getpid()));
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string path(const std::string& name) const { return (root_ / name).string(); }
  void write(const std::string& name, const std::string& content) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << content;
  }
  // Puts a complete file into the cache.
  void add(const ModelCache& cache, const std::string& repository, const std::string& commit, const std::string& file, const std::string& content) const {
    const std::string blob = cache.blob_path(repository, sha256_hex(content));
    fs::create_directories(fs::path(blob).parent_path());
    std::ofstream(blob, std::ios::binary) << content;
    ASSERT_EQ(error_of(cache.link_file(repository, commit, file, sha256_hex(content))), "");
  }

  fs::path root_;
};

TEST_F(HubTest, DigestsMatchTheStandard) {
  // FIPS 180-4 examples.
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Digest sha1(Digest::Kind::kSha1);
  sha1.update("a");
  sha1.update("bc");
  EXPECT_EQ(sha1.hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
  write("empty", "");
  EXPECT_EQ(*sha256_file(path("empty")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_file(path("absent")).error().code, Code::kNotFound);
}

TEST_F(HubTest, UrlsAreParsedAndRefused) {
  const Url url = *parse_url("https://hub.example:8443/a/b?c=d#e");
  EXPECT_EQ(url.host, "hub.example");
  EXPECT_EQ(url.port, 8443);
  EXPECT_EQ(url.target, "/a/b?c=d");
  EXPECT_EQ(url.text(), "https://hub.example:8443/a/b?c=d");
  EXPECT_EQ(url.shown(), "https://hub.example:8443/a/b");
  EXPECT_EQ(parse_url("http://[::1]/x")->host, "::1");
  EXPECT_EQ(parse_url("http://[::1]:81")->text(), "http://[::1]:81/");
  for (const char* bad : {"", "ftp://x/", "http://", "http://a b/", "http://h:0/", "http://h:70000/", "http://h:/", "http://u:p@h/", "http://[::1/"}) {
    EXPECT_FALSE(parse_url(bad).ok()) << bad;
  }
}

TEST_F(HubTest, LocationsAreResolvedAgainstTheirBase) {
  const Url base = *parse_url("https://hub.example/org/name/file?x=1");
  EXPECT_EQ(resolve_location(base, "https://cdn.example/f")->text(), "https://cdn.example/f");
  EXPECT_EQ(resolve_location(base, "//cdn.example/f")->text(), "https://cdn.example/f");
  EXPECT_EQ(resolve_location(base, "/other")->text(), "https://hub.example/other");
  EXPECT_EQ(resolve_location(base, "next?u=http://x/")->text(), "https://hub.example/org/name/next?u=http://x/");
  EXPECT_EQ(encode_path("a b/c%?.gguf"), "a%20b/c%25%3F.gguf");
}

TEST_F(HubTest, SettingsFollowTheHubsVariables) {
  std::map<std::string, std::string> environment{{"HOME", "/home/u"}};
  const auto get = [&](const char* name) -> const char* { return environment.count(name) != 0 ? environment[name].c_str() : nullptr; };
  EXPECT_EQ(hub_settings(get).cache_dir, "/home/u/.cache/huggingface/hub");
  EXPECT_EQ(hub_settings(get).endpoint, "https://huggingface.co");
  EXPECT_FALSE(hub_settings(get).offline);
  environment = {{"HOME", "/home/u"}, {"HF_HOME", root_}, {"HF_ENDPOINT", "http://127.0.0.1:1/"}, {"HF_HUB_OFFLINE", "TRUE"}};
  write("token", " hf_abc\n");
  EXPECT_EQ(hub_settings(get).cache_dir, path("hub"));
  EXPECT_EQ(hub_settings(get).endpoint, "http://127.0.0.1:1");
  EXPECT_EQ(hub_settings(get).token, "hf_abc");
  EXPECT_TRUE(hub_settings(get).offline);
  environment["HF_HUB_CACHE"] = "/cache";
  environment["HF_TOKEN"] = "hf_x\r\nEvil: 1";
  EXPECT_EQ(hub_settings(get).cache_dir, "/cache");
  EXPECT_EQ(hub_settings(get).token, "hf_xEvil:1");
}

TEST_F(HubTest, BlobIsVerifiedBeforeItGetsItsName) {
  const std::string content = "hello, model";
  auto writer = BlobWriter::open(path("blob"), {static_cast<int64_t>(content.size()), sha256_hex(content)});
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->append(bytes_of(content)).ok());
  EXPECT_FALSE(fs::exists(path("blob")));
  EXPECT_EQ(error_of(writer->finish()), "");
  EXPECT_EQ(*read_file(path("blob")), content);
  EXPECT_FALSE(fs::exists(path("blob.incomplete")));
}

TEST_F(HubTest, BlobResumesWhatABrokenAttemptLeft) {
  const std::string content = "0123456789";
  const Expected expected{10, sha256_hex(content)};
  {
    auto writer = BlobWriter::open(path("blob"), expected);
    ASSERT_TRUE(writer->append(bytes_of("0123456")).ok());
  }
  EXPECT_EQ(BlobWriter::open(path("blob"), expected)->n_written(), 7);
  auto writer = BlobWriter::open(path("blob"), expected, 4);  // whole parts only
  EXPECT_EQ(writer->n_written(), 4);
  ASSERT_TRUE(writer->append(bytes_of("456789")).ok());
  EXPECT_EQ(error_of(writer->finish()), "");
}

TEST_F(HubTest, WrongBlobIsDeletedAndSaysWhatCame) {
  auto writer = BlobWriter::open(path("blob"), {3, sha256_hex("abc")});
  ASSERT_TRUE(writer->append(bytes_of("abX")).ok());
  const Status status = writer->finish();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kCorrupt);
  EXPECT_NE(status.error().message.find("expected hash " + sha256_hex("abc")), std::string::npos);
  EXPECT_TRUE(fs::is_empty(root_));

  auto longer = BlobWriter::open(path("blob"), {3, ""});
  EXPECT_FALSE(longer->append(bytes_of("abcd")).ok());
  ASSERT_TRUE(longer->append(bytes_of("ab")).ok());
  EXPECT_FALSE(longer->finish().ok());
}

TEST_F(HubTest, GitHashesAreChecked) {
  // `printf abc | git hash-object --stdin`
  auto writer = BlobWriter::open(path("blob"), {3, "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"});
  ASSERT_TRUE(writer->append(bytes_of("abc")).ok());
  EXPECT_EQ(error_of(writer->finish()), "");
}

TEST_F(HubTest, NamesThatLeaveTheCacheAreRefused) {
  for (const char* good : {"org/name", "gpt2", "Qwen/Qwen2.5-0.5B_x"}) EXPECT_TRUE(is_repository_id(good)) << good;
  for (const char* bad : {"", "a/b/c", "../x", "a/..", "/a", "a/", "a b/c", "a/b\n"}) EXPECT_FALSE(is_repository_id(bad)) << bad;
  for (const char* good : {"config.json", "1_Pooling/config.json", "a..b"}) EXPECT_TRUE(is_repository_path(good)) << good;
  for (const char* bad : {"", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "a\\b", "a\nb", "."}) EXPECT_FALSE(is_repository_path(bad)) << bad;
  const ModelCache cache(path("hub"));
  EXPECT_FALSE(cache.link_file("o/n", "c0", "../../x", "b").ok());
  EXPECT_FALSE(cache.link_file("o/n", "../c", "x", "b").ok());
  EXPECT_FALSE(cache.link_file("o/n", "c0", "x", "../b").ok());
  EXPECT_FALSE(cache.set_ref("o/n", "../main", "c0").ok());
}

TEST_F(HubTest, CacheHasTheLayoutOfTheHub) {
  const ModelCache cache(path("hub"));
  add(cache, "org/name", "c0ffee", "sub/model.gguf", "weights");
  ASSERT_TRUE(cache.set_ref("org/name", "main", "c0ffee").ok());
  const fs::path link = root_ / "hub/models--org--name/snapshots/c0ffee/sub/model.gguf";
  EXPECT_EQ(fs::read_symlink(link), fs::path("../../../blobs") / sha256_hex("weights"));
  EXPECT_EQ(*read_file(link), "weights");
  EXPECT_EQ(*read_file(path("hub/models--org--name/refs/main")), "c0ffee");
  EXPECT_EQ(cache.commit_of("org/name", "main"), "c0ffee");
  EXPECT_EQ(cache.commit_of("org/name", "v2"), std::nullopt);
  EXPECT_EQ(cache.commit_of("org/name", "../../x"), std::nullopt);
}

TEST_F(HubTest, ListShowsGgufFilesAndDirectories) {
  const ModelCache cache(path("hub"));
  add(cache, "org/quants", "c1", "m-Q4_0.gguf", "1234");
  add(cache, "org/quants", "c1", "big-00001-of-00002.gguf", "12");
  add(cache, "org/quants", "c1", "big-00002-of-00002.gguf", "345");
  add(cache, "org/bert", "c2", "model.safetensors", "123456");
  add(cache, "org/bert", "c2", "config.json", "{}");
  add(cache, "org/tokenizer-only", "c3", "tokenizer.json", "{}");
  fs::create_directories(root_ / "hub/datasets--org--x/snapshots/c4");
  const auto models = cache.list();
  ASSERT_EQ(models.size(), 3u);
  EXPECT_EQ(models[0].repository, "org/bert");
  EXPECT_EQ(models[0].n_bytes, 8);
  EXPECT_EQ(models[0].file, "");
  EXPECT_EQ(models[1].file, "big-00001-of-00002.gguf");
  EXPECT_EQ(models[1].n_bytes, 5);
  EXPECT_EQ(models[2].file, "m-Q4_0.gguf");
}

TEST_F(HubTest, RemoveFreesOnlyBlobsThatNothingNeeds) {
  const ModelCache cache(path("hub"));
  add(cache, "o/n", "old", "a.gguf", "shared");
  add(cache, "o/n", "new", "a.gguf", "shared");
  add(cache, "o/n", "new", "b.gguf", "shared");
  add(cache, "o/n", "new", "c.gguf", "own bytes");
  write("hub/models--o--n/blobs/123.incomplete", "being fetched");
  EXPECT_EQ(*cache.remove("o/n", "c.gguf"), 9);
  EXPECT_EQ(*cache.remove("o/n", "a.gguf"), 0);
  EXPECT_EQ(*read_file(cache.snapshot_dir("o/n", "new") + "/b.gguf"), "shared");
  EXPECT_TRUE(fs::exists(path("hub/models--o--n/blobs/123.incomplete")));
  EXPECT_EQ(cache.remove("o/n", "absent.gguf").error().code, Code::kNotFound);
  EXPECT_TRUE(cache.remove("o/n", "").ok());
  EXPECT_FALSE(fs::exists(path("hub/models--o--n")));
  EXPECT_EQ(cache.remove("o/n", "").error().code, Code::kNotFound);
}

TEST_F(HubTest, SplitFilesAreOneModel) {
  EXPECT_EQ(split_parts("d/m-00001-of-00003.gguf"),
            (std::vector<std::string>{"d/m-00001-of-00003.gguf", "d/m-00002-of-00003.gguf", "d/m-00003-of-00003.gguf"}));
  for (const char* whole : {"m.gguf", "-00001-of-00003.gguf", "m-0000x-of-00003.gguf", "m-00001-of-99999.gguf", "m-00001-of-00003.bin"}) {
    EXPECT_EQ(split_parts(whole), std::vector<std::string>{whole});
  }
}

TEST_F(HubTest, BuiltInCatalogueIsWhole) {
  const Catalog& catalog = Catalog::built_in();
  for (const char* name : {"qwen2.5-coder-0.5b", "smollm2-135m", "all-minilm-l6-v2", "gemma-3-270m"}) {
    const CatalogModel* model = catalog.find(name);
    ASSERT_NE(model, nullptr) << name;
    ASSERT_EQ(model->sources.size(), 2u);
    EXPECT_EQ(model->sources[0].kind, CatalogSource::Kind::kHub);
    int64_t n_bytes = 0;
    for (const PackagedFile& file : model->sources[1].files) n_bytes += file.n_bytes;
    EXPECT_EQ(n_bytes, model->n_bytes);
    EXPECT_EQ(catalog.find_stored(model->repository, model->file), model);
  }
  EXPECT_FALSE(catalog.find("gemma-3-270m")->terms_url.empty());
  EXPECT_EQ(catalog.find("gpt-5"), nullptr);
}

TEST_F(HubTest, BrokenCataloguesAreRefused) {
  EXPECT_FALSE(Catalog::parse("{").ok());
  EXPECT_FALSE(Catalog::parse("{}").ok());
  EXPECT_NE(error_of(Catalog::parse(R"({"models":[{"name":"x"}]})")).find("x: "), std::string::npos);
  const std::string model = R"({"name":"x","kind":"chat","about":"","license":"","repository":"o/n","file":"f","n_bytes":5,"sources":[
    {"packages":[{"name":"p","version":"1","n_bytes":9}],"files":[{"path":"f","n_bytes":5,"sha256":")" + std::string(64, '0') +
                            R"(","parts":[{"package":"p","member":"m","n_bytes":N}]}]}]})";
  std::string good = model, bad = model;
  good.replace(good.find('N'), 1, "5");
  bad.replace(bad.find('N'), 1, "4");
  EXPECT_EQ(error_of(Catalog::parse("{\"models\":[" + good + "]}")), "");
  EXPECT_EQ(error_of(Catalog::parse("{\"models\":[" + bad + "]}")), "catalogue: x: wrong size of f");
  EXPECT_EQ(error_of(Catalog::parse("{\"models\":[" + good + "," + good + "]}")), "catalogue: x stands there twice");
}

TEST_F(HubTest, ReferencesAreUnderstood) {
  HubSettings settings;
  const auto parse = [&](const std::string& text) { return parse_reference(text, Catalog::built_in(), settings); };
  EXPECT_EQ(parse("smollm2-135m")->kind, ModelReference::Kind::kCatalog);
  EXPECT_EQ(parse(root_.string())->kind, ModelReference::Kind::kLocal);
  const struct { const char *text, *repository, *revision, *selection; } kHubCases[] = {
      {"org/name", "org/name", "main", ""},
      {"org/name:Q4_K_M", "org/name", "main", "Q4_K_M"},
      {"org/name@v1:sub/m.gguf", "org/name", "v1", "sub/m.gguf"},
      {"hf:gpt2", "gpt2", "main", ""},
      {"https://huggingface.co/org/name", "org/name", "main", ""},
      {"https://huggingface.co/org/name/blob/v1/sub/m.gguf", "org/name", "v1", "sub/m.gguf"},
      {"https://huggingface.co/org/name/resolve/main/m.gguf?download=true", "org/name", "main", "m.gguf"},
  };
  for (const auto& c : kHubCases) {
    const auto reference = parse(c.text);
    ASSERT_TRUE(reference.ok()) << c.text;
    EXPECT_EQ(reference->kind, ModelReference::Kind::kHub) << c.text;
    EXPECT_EQ(reference->repository, c.repository) << c.text;
    EXPECT_EQ(reference->revision, c.revision) << c.text;
    EXPECT_EQ(reference->selection, c.selection) << c.text;
  }
  EXPECT_EQ(parse("https://example.com/m.gguf")->kind, ModelReference::Kind::kUrl);
  EXPECT_NE(error_of(parse("smollm2-135")).find("did you mean smollm2-135m?"), std::string::npos);
  for (const char* bad : {"", "./absent.gguf", "/absent/dir", "org/../x", "hf:", "org/name:../x", "org/name@:x", "https://example.com/"}) {
    EXPECT_FALSE(parse(bad).ok()) << bad;
  }
}

TEST_F(HubTest, FilesAreSelected) {
  const std::vector<std::string> quants{"README.md", "mmproj-F16.gguf", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-Q2_K.gguf",
                                        "f16/m-f16-00001-of-00002.gguf", "f16/m-f16-00002-of-00002.gguf"};
  EXPECT_EQ(select_files(quants, "")->main, "m-Q4_K_M.gguf");
  EXPECT_EQ(select_files(quants, "q8_0")->main, "m-Q8_0.gguf");
  EXPECT_EQ(select_files(quants, "F16")->files.size(), 2u);
  EXPECT_EQ(select_files(quants, "m-Q2_K.gguf")->files, std::vector<std::string>{"m-Q2_K.gguf"});
  EXPECT_NE(error_of(select_files(quants, "Q4_K")).find("m-Q2_K.gguf"), std::string::npos);  // is no type of any file
  EXPECT_FALSE(select_files({"f16/m-f16-00001-of-00002.gguf"}, "").ok());                    // a part is missing

  const auto directory = select_files({".gitattributes", "README.md", "config.json", "model.safetensors", "onnx/model.onnx", "pytorch_model.bin",
                                       "tokenizer.json", "vocab.txt", "1_Pooling/config.json", "openvino/config.json", "chat_template.jinja"}, "");
  ASSERT_TRUE(directory.ok());
  EXPECT_EQ(directory->main, "");
  EXPECT_EQ(directory->files, (std::vector<std::string>{"config.json", "model.safetensors", "tokenizer.json", "vocab.txt", "1_Pooling/config.json", "chat_template.jinja"}));
  EXPECT_FALSE(select_files({"README.md", "pytorch_model.bin"}, "").ok());
}

TEST_F(HubTest, ResolveFindsCachedModelsAndSaysWhatToRunOtherwise) {
  HubSettings settings;
  settings.cache_dir = path("hub");
  const ModelCache cache(settings.cache_dir);
  const Catalog& catalog = Catalog::built_in();
  EXPECT_EQ(error_of(resolve_model("smollm2-135m", settings, catalog)), "model \"smollm2-135m\": is not on this machine yet; run: hanlin pull smollm2-135m");
  const CatalogModel& smol = *catalog.find("smollm2-135m");
  add(cache, smol.repository, "c0", smol.file, "weights");
  EXPECT_EQ(*resolve_model("smollm2-135m", settings, catalog), cache.snapshot_dir(smol.repository, "c0") + "/" + smol.file);
  EXPECT_EQ(*resolve_model(smol.repository + ":Q4_1", settings, catalog), *resolve_model("smollm2-135m", settings, catalog));
  EXPECT_FALSE(resolve_model(smol.repository + "@other", settings, catalog).ok());

  add(cache, "o/bert", "c1", "model.safetensors", "weights");
  EXPECT_FALSE(resolve_model("o/bert", settings, catalog).ok());  // no config.json yet
  add(cache, "o/bert", "c1", "config.json", "{}");
  EXPECT_EQ(*resolve_model("o/bert", settings, catalog), cache.snapshot_dir("o/bert", "c1"));
  EXPECT_EQ(*resolve_model(root_.string(), settings, catalog), root_.string());
}

TEST_F(HubTest, OfflineNeverFetches) {
  HubSettings settings;
  settings.cache_dir = path("hub");
  settings.offline = true;
  const auto result = pull_model("smollm2-135m", settings, Catalog::built_in(), {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::kUnavailable);
  EXPECT_NE(result.error().message.find("HF_HUB_OFFLINE"), std::string::npos);
}

TEST_F(HubTest, TermsMustBeAcceptedFirst) {
  HubSettings settings;
  settings.cache_dir = path("hub");
  settings.endpoint = "http://127.0.0.1:1";
  bool asked = false;
  PullOptions options;
  options.ask_terms = [&](const CatalogModel& model) {
    asked = model.name == "gemma-3-270m";
    return false;
  };
  const auto result = pull_model("gemma-3-270m", settings, Catalog::built_in(), options);
  ASSERT_FALSE(result.ok());
  EXPECT_TRUE(asked);
  EXPECT_NE(result.error().message.find("--accept-terms"), std::string::npos);
  EXPECT_FALSE(fs::exists(path("hub")));
}

TEST_F(HubTest, UnreachableHubIsAnErrorThatNamesIt) {
  HubSettings settings;
  settings.cache_dir = path("hub");
  settings.endpoint = "http://127.0.0.1:1";  // nothing listens there
  const auto result = pull_model("org/name", settings, Catalog::built_in(), {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::kUnavailable);
  EXPECT_NE(result.error().message.find("127.0.0.1:1: connection failed"), std::string::npos) << result.error().message;
}

TEST_F(HubTest, LockIsFreedWithItsOwner) {
  bool waited = false;
  { const auto lock = FileLock::acquire(path("locks/a.lock"), [&] { waited = true; }); ASSERT_TRUE(lock.ok()); }
  const auto again = FileLock::acquire(path("locks/a.lock"), [&] { waited = true; });
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(waited);
}

TEST_F(HubTest, ChildrenRunWithoutAShell) {
  EXPECT_EQ(*run_child({"printf", "%s", "$HOME; `x`"}, {}, path("log"), nullptr), 0);
  EXPECT_EQ(*read_file(path("log")), "$HOME; `x`");
  EXPECT_EQ(*run_child({"sh", "-c", "test \"$HANLIN_CHILD\" = yes || exit 9; exit 7"}, {{"HANLIN_CHILD", "yes"}}, path("log"), nullptr), 7);
  EXPECT_EQ(run_child({"hanlin-no-such-program"}, {}, path("log"), nullptr).error().code, Code::kNotFound);
}

}  // namespace
}  // namespace hanlin::hub
