#include "remote/remote_embedder.h"

#include <gtest/gtest.h>

#include "remote/test_service.h"

namespace hanlin::remote {
namespace {

api::EmbedRequest texts(std::vector<std::string> list) {
  api::EmbedRequest request;
  for (std::string& text : list) request.inputs.emplace_back(std::move(text));
  return request;
}

TEST(RemoteEmbedder, ReadsNumbersAndBase64InBatches) {
  TestService service([](const TestRequest& request, int n) {
    if (n == 0) return refusal("503 Busy");
    if (request.json()["input"].size() == 2) {  // the second first
      return json_reply(R"({"data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":[1,2]}],"usage":{"prompt_tokens":5}})");
    }
    return json_reply(R"({"data":[{"index":0,"embedding":"AADAPwAAAMA="}],"usage":{"prompt_tokens":2}})");  // 1.5, -2
  });
  RemoteOptions options = service.options();
  options.embed_batch = 2;
  const auto embedder = RemoteEmbedder::create(options).value();
  EXPECT_EQ(embedder->embedder_info().dimensions, 0);
  api::EmbedRequest request = texts({"a", "b"});
  request.inputs.emplace_back(std::vector<int32_t>{1, 2});
  const auto result = embedder->embed(request);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->vectors, (std::vector<std::vector<float>>{{1, 2}, {3, 4}, {1.5f, -2}}));
  EXPECT_EQ(result->prompt_tokens, 7);
  EXPECT_EQ(embedder->embedder_info().dimensions, 2);
  const auto sent = service.requests();
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[1].head.find("POST /v1/embeddings"), 0u);
  EXPECT_EQ(sent[2].json()["input"], parse_json("[[1,2]]").value());
  EXPECT_FALSE(sent[1].json().contains("dimensions") || sent[1].json().contains("truncate"));
}

TEST(RemoteEmbedder, ChecksWhatComes) {
  const std::vector<std::string> bad = {R"({})", R"({"data":[]})", R"({"data":[{"index":0}]})", R"({"data":[{"index":5,"embedding":[1]}]})", R"({"data":[{"index":0,"embedding":["x"]}]})",
                                        R"({"data":[{"index":0,"embedding":"AAA"}]})", R"({"data":[{"index":0,"embedding":"A*AA"}]})", R"({"data":[{"index":0,"embedding":[]}]})", "no json"};
  for (const std::string& body : bad) {
    TestService service([&](const TestRequest&, int) { return json_reply(body); });
    const auto result = RemoteEmbedder::create(service.options()).value()->embed(texts({"a"}));
    ASSERT_FALSE(result.ok()) << body;
    EXPECT_EQ(result.error().code, Code::kCorrupt) << body;
  }
  TestService service([](const TestRequest& request, int n) {
    if (request.json().contains("dimensions")) return json_reply(R"({"data":[{"index":0,"embedding":[1,2,3]}]})");
    return json_reply(n == 0 ? R"({"data":[{"index":0,"embedding":[1,2]}]})" : R"({"data":[{"index":0,"embedding":[1,2,3]}]})");
  });
  const auto embedder = RemoteEmbedder::create(service.options()).value();
  EXPECT_TRUE(embedder->embed(texts({"a"})).ok());
  EXPECT_EQ(embedder->embed(texts({"a"})).error().code, Code::kCorrupt) << "another length than before";
  api::EmbedRequest request = texts({"a"});
  request.dimensions = 2;
  EXPECT_EQ(embedder->embed(request).error().code, Code::kCorrupt) << "not the length asked for";
  request.dimensions = 3;
  EXPECT_EQ(embedder->embed(request)->vectors[0].size(), 3u);
  EXPECT_EQ(service.requests().back().json()["dimensions"], 3);
}

}  // namespace
}  // namespace hanlin::remote
