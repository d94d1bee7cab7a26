#include "base/fields.h"

#include <gtest/gtest.h>

#include <map>

#include "base/json.h"

namespace hanlin {
namespace {

struct Settings {
  int64_t port = 8000;
  int64_t memory = int64_t{4} << 30;
  double timeout_s = 30;
  bool cors = false;
  std::string isa = "auto";
  std::vector<std::string> model;
  std::string api_key;
};

FieldSet describe(Settings& settings) {
  FieldSet fields;
  fields.add("port", &settings.port, "Port").range(1, 65535);
  fields.add("memory", &settings.memory, "Memory").bytes();
  fields.add("timeout_s", &settings.timeout_s, "Timeout").range(0, 3600);
  fields.add("cors", &settings.cors, "CORS");
  fields.add("isa", &settings.isa, "Level").choices({"auto", "scalar", "avx2"});
  fields.add("model", &settings.model, "Models");
  fields.add("api_key", &settings.api_key, "Key").secret();
  return fields;
}

std::string error_of(Status status) { return status.ok() ? "" : status.error().message; }

TEST(Fields, SetsEveryTypeFromText) {
  Settings settings;
  FieldSet fields = describe(settings);
  for (const auto& [name, text] : std::map<std::string, std::string>{{"port", "9000"}, {"memory", "512MiB"}, {"timeout_s", "2.5"},
           {"cors", "true"}, {"isa", "avx2"}, {"model", "a,b=c"}}) {
    EXPECT_EQ(error_of(fields.set(name, text, Source::kFlag, "--" + name)), "");
    EXPECT_EQ(fields.find(name)->text(), text);
  }
  EXPECT_EQ(settings.port, 9000);
  EXPECT_EQ(settings.memory, 512 << 20);
  EXPECT_EQ(settings.timeout_s, 2.5);
  EXPECT_TRUE(settings.cors);
  EXPECT_EQ(settings.model, (std::vector<std::string>{"a", "b=c"}));
}

TEST(Fields, FlagsOfAListMayHoldSeveralItemsUnlessItemsAreWhole) {
  std::vector<std::string> keys, models;
  FieldSet fields;
  fields.add("keys", &keys, "Keys");
  fields.add("model", &models, "Models").whole_items();
  EXPECT_EQ(error_of(fields.find("keys")->set_texts({"a,b", "c"}, Source::kFlag, "--keys")), "");
  EXPECT_EQ(error_of(fields.find("model")->set_texts({"a,b.gguf", "c"}, Source::kFlag, "--model")), "");
  EXPECT_EQ(keys, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(models, (std::vector<std::string>{"a,b.gguf", "c"}));
}

TEST(Fields, RefusesWhatDoesNotFitAndKeepsTheValue) {
  Settings settings;
  FieldSet fields = describe(settings);
  EXPECT_EQ(error_of(fields.set("port", "0", Source::kFlag, "--port")), "--port: expected a whole number from 1 to 65535, got \"0\"");
  EXPECT_EQ(error_of(fields.set("port", "1.5", Source::kFlag, "--port")), "--port: expected a whole number from 1 to 65535, got \"1.5\"");
  EXPECT_FALSE(fields.set("port", "80x", Source::kFlag, "--port").ok());
  EXPECT_FALSE(fields.set("timeout_s", "nan", Source::kFlag, "--timeout-s").ok());
  EXPECT_FALSE(fields.set("memory", "4Q", Source::kFlag, "--memory").ok());
  EXPECT_FALSE(fields.set("cors", "maybe", Source::kFlag, "--cors").ok());
  EXPECT_EQ(error_of(fields.set("isa", "sse", Source::kFlag, "--isa")), "--isa: expected one of auto, scalar, avx2, got \"sse\"");
  EXPECT_EQ(settings.port, 8000);
  EXPECT_EQ(fields.find("port")->source(), Source::kDefault);
}

TEST(Fields, UnknownNameSuggestsTheNearest) {
  Settings settings;
  FieldSet fields = describe(settings);
  EXPECT_EQ(error_of(fields.set("prot", "1", Source::kFile, "hanlin.toml")), "hanlin.toml: unknown setting \"prot\" (did you mean \"port\"?)");
  EXPECT_EQ(error_of(fields.set("banana_split", "1", Source::kFile, "f")), "f: unknown setting \"banana_split\"");
}

TEST(Fields, LoadsJsonWithTypesAndNamesTheKeyInErrors) {
  Settings settings;
  FieldSet fields = describe(settings);
  EXPECT_EQ(error_of(fields.load_json(Json::parse(R"({"port":81,"memory":"1G","model":["x"],"cors":true})"), Source::kFile, "f.toml")), "");
  EXPECT_EQ(settings.port, 81);
  EXPECT_EQ(settings.memory, 1 << 30);
  EXPECT_EQ(error_of(fields.load_json(Json::parse(R"({"port":"81"})"), Source::kFile, "f.toml")),
            "f.toml: port: expected a whole number from 1 to 65535, got \"81\"");
  EXPECT_FALSE(fields.load_json(Json::parse(R"({"model":[1]})"), Source::kFile, "f.toml").ok());
  EXPECT_FALSE(fields.load_json(Json::parse("[]"), Source::kFile, "f.toml").ok());
}

TEST(Fields, RemembersWhereAValueCameFrom) {
  Settings settings;
  FieldSet fields = describe(settings);
  EXPECT_TRUE(fields.load_json(Json::parse(R"({"port":81,"isa":"scalar"})"), Source::kFile, "f.toml").ok());
  EXPECT_TRUE(fields.load_environment([](const char* name) { return std::string_view(name) == "HANLIN_PORT" ? "82" : nullptr; }).ok());
  EXPECT_EQ(settings.port, 82);
  EXPECT_EQ(fields.find("port")->source(), Source::kEnvironment);
  EXPECT_EQ(fields.find("port")->origin(), "HANLIN_PORT");
  EXPECT_EQ(fields.find("isa")->source(), Source::kFile);
  EXPECT_EQ(fields.find("isa")->origin(), "f.toml");
}

TEST(Fields, HidesSecrets) {
  Settings settings;
  FieldSet fields = describe(settings);
  EXPECT_EQ(fields.to_json()["api_key"], "");
  ASSERT_TRUE(fields.set("api_key", "sk-1", Source::kFlag, "--api-key").ok());
  EXPECT_EQ(fields.to_json()["api_key"], "***");
  EXPECT_EQ(settings.api_key, "sk-1");
}

TEST(Fields, NamesForFlagsAndVariables) {
  Settings settings;
  FieldSet fields = describe(settings);
  EXPECT_EQ(fields.find("timeout_s")->flag(), "--timeout-s");
  EXPECT_EQ(fields.find("timeout_s")->environment_name(), "HANLIN_TIMEOUT_S");
  EXPECT_EQ(fields.find("memory")->default_text(), "4GiB");
}

TEST(Bytes, ParsesAndFormats) {
  EXPECT_EQ(parse_bytes("0"), 0);
  EXPECT_EQ(parse_bytes("10B"), 10);
  EXPECT_EQ(parse_bytes("1.5KiB"), 1536);
  EXPECT_EQ(parse_bytes("2 MB"), 2 << 20);
  for (const char* bad : {"", "x", "1.5", "-1", "1e400G", "5Kx", "99999999999T"}) EXPECT_EQ(parse_bytes(bad), std::nullopt) << bad;
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(int64_t{3} << 30), "3 GiB");
}

}  // namespace
}  // namespace hanlin
