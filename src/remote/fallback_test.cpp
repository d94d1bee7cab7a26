// Chains of scripted generators and embedders, and of both directions between a local and a remote model.
#include "remote/fallback.h"

#include <gtest/gtest.h>

#include <future>

#include "api/scripted.h"
#include "remote/remote_embedder.h"
#include "remote/remote_generator.h"
#include "remote/test_service.h"

namespace hanlin::remote {
namespace {

using api::Script;
using Clock = std::chrono::steady_clock;

const Error kDown{Code::kUnavailable, "down"};

std::shared_ptr<api::ScriptedGenerator> scripted(const std::string& name, Script script) {
  return std::make_shared<api::ScriptedGenerator>(api::ModelInfo{.name = name}, [script](const api::GenerateRequest&, const std::string&) { return script; });
}

TEST(FallbackGenerator, TheFirstThatCanAnswers) {
  const auto good = scripted("good", {.tokens = {"fine"}});
  const auto second = scripted("second", {.tokens = {"other"}});
  Collector collector;
  FallbackGenerator chain({good, second});
  ASSERT_TRUE(chain.submit(chat_request(), collector.sink()).ok());
  EXPECT_EQ(collector.text(), "fine");
  EXPECT_EQ(second->counts().n_submitted, 0);
  EXPECT_EQ(chain.info().name, "good");
}

TEST(FallbackGenerator, MovesOnBeforeTheFirstText) {
  for (const Code code : {Code::kUnavailable, Code::kResourceExhausted, Code::kDeadlineExceeded, Code::kCorrupt, Code::kNotFound}) {
    for (const bool at_submit : {true, false}) {
      Script bad;
      (at_submit ? bad.submit_error : bad.final_error) = Error{code, "broken"};
      const auto first = scripted("first", bad), second = scripted("second", bad), third = scripted("third", {.tokens = {"an", "swer"}});
      FallbackGenerator chain({first, second, third});
      Collector collector;
      ASSERT_TRUE(chain.submit(chat_request(), collector.sink()).ok());
      EXPECT_EQ(collector.text(), "answer") << static_cast<int>(code) << at_submit;
      EXPECT_FALSE(collector.last().error);
    }
  }
}

TEST(FallbackGenerator, NotAfterTextAndNotForBadRequests) {
  const auto second = scripted("second", {.tokens = {"other"}});
  {
    FallbackGenerator chain({scripted("first", {.tokens = {"half"}, .final_error = kDown}), second});
    Collector collector;
    ASSERT_TRUE(chain.submit(chat_request(), collector.sink()).ok());
    EXPECT_EQ(collector.text(), "half");
    EXPECT_EQ(collector.last().error->code, Code::kUnavailable);
  }
  {
    FallbackGenerator chain({scripted("first", {.submit_error = Error{Code::kInvalidArgument, "bad"}}), second});
    Collector collector;
    EXPECT_EQ(chain.submit(chat_request(), collector.sink()).error().code, Code::kInvalidArgument);
  }
  {  // token ids mean something else to another model
    FallbackGenerator chain({scripted("first", {.submit_error = kDown}), second});
    Collector collector;
    api::GenerateRequest request;
    request.prompt = api::TokenPrompt{{1}};
    EXPECT_FALSE(chain.submit(request, collector.sink()).ok());
    request = chat_request();
    request.sampling.logit_bias = {{1, 1.0f}};
    EXPECT_FALSE(chain.submit(request, collector.sink()).ok());
  }
  EXPECT_EQ(second->counts().n_submitted, 0);
}

TEST(FallbackGenerator, AllFail) {
  FallbackGenerator chain({scripted("first", {.submit_error = kDown}), scripted("second", {.submit_error = Error{Code::kNotFound, "none"}})});
  Collector collector;
  EXPECT_EQ(chain.submit(chat_request(), collector.sink()).error().code, Code::kNotFound);
  FallbackGenerator later({scripted("first", {.final_error = kDown}), scripted("second", {.final_error = Error{Code::kNotFound, "none"}})});
  ASSERT_TRUE(later.submit(chat_request(), collector.sink()).ok());
  EXPECT_EQ(collector.last().error->code, Code::kNotFound);
}

TEST(FallbackGenerator, CancelAndPauseReachTheMemberAtWork) {
  const auto second = scripted("second", {.tokens = {"a", "b", "c"}});
  second->allow_steps(1);
  FallbackGenerator chain({scripted("first", {.final_error = kDown}), second});
  Collector collector;
  const auto generation = chain.submit(chat_request(), collector.sink()).value();
  second->wait_until([](const auto& counts) { return counts.n_tokens == 1; });
  collector.wait_for_text("a");
  generation->set_paused(true);
  second->wait_until([](const auto& counts) { return counts.n_pauses == 1; });
  generation->cancel();
  EXPECT_EQ(collector.last().finish, api::FinishReason::kCancelled);
  EXPECT_EQ(second->counts().n_cancelled, 1);
}

// The member's thread may be the last that holds a request, and must not be the one that destroys the member.
TEST(FallbackGenerator, EndsWhileTheLastEventIsDelivered) {
  auto chain = std::make_unique<FallbackGenerator>(std::vector<std::shared_ptr<api::TextGenerator>>{scripted("only", {.tokens = {"text"}})});
  std::promise<void> at_last;
  auto gone = std::make_shared<std::promise<void>>();
  ASSERT_TRUE(chain->submit(chat_request(), [&, has_gone = gone->get_future().share()](api::TokenEvent&& event) {
    if (!event.last) return;
    at_last.set_value();
    has_gone.wait_for(std::chrono::milliseconds(100));  // the chain waits for the member, so this is the longer wait
  }).ok());
  at_last.get_future().wait();
  chain.reset();
  gone->set_value();
}

TEST(Circuit, LeavesOutWhatFailsAgainAndAgain) {
  Clock::time_point now{};
  Circuit circuit(2, {.failures_to_skip = 2, .skip_for = std::chrono::seconds(5), .now = [&] { return now; }});
  using Order = std::vector<size_t>;
  circuit.failed(0, {Code::kResourceExhausted, "full"});
  circuit.failed(0, kDown);
  EXPECT_EQ(circuit.order(), (Order{0, 1}));
  circuit.failed(0, kDown);
  EXPECT_EQ(circuit.order(), (Order{1}));
  now += std::chrono::seconds(5);
  EXPECT_EQ(circuit.order(), (Order{0, 1})) << "worth another try";
  circuit.failed(0, kDown);
  EXPECT_EQ(circuit.order(), (Order{1})) << "one more failure is enough";
  circuit.failed(1, kDown), circuit.failed(1, kDown);
  EXPECT_EQ(circuit.order(), (Order{0, 1})) << "rather a broken one than none";
  circuit.succeeded(0);
  EXPECT_EQ(circuit.order(), (Order{0}));
}

TEST(FallbackGenerator, RemoteToRemote) {
  TestService broken([](const TestRequest&, int) { return refusal("503 Busy"); });
  TestService good([](const TestRequest&, int) { return said("from afar"); });
  RemoteOptions options = broken.options();
  options.max_retries = 0;
  FallbackGenerator chain({RemoteGenerator::create(options).value(), RemoteGenerator::create(good.options()).value()}, {.failures_to_skip = 2});
  EXPECT_TRUE(chain.native_tool_calls());
  for (int i = 0; i < 4; ++i) {
    Collector collector;
    ASSERT_TRUE(chain.submit(chat_request(), collector.sink()).ok());
    EXPECT_EQ(collector.text(), "from afar");
  }
  EXPECT_EQ(broken.counts().n_requests, 2) << "afterwards it is left out";
}

TEST(FallbackEmbedder, MovesOnAndChecksLengths) {
  TestService down([](const TestRequest&, int) { return refusal("503 Busy"); });
  TestService odd([](const TestRequest&, int) { return json_reply(R"({"data":[{"index":0,"embedding":[1,2,3]}]})"); });
  RemoteOptions options = down.options();
  options.max_retries = 0;
  const auto local = std::make_shared<api::ScriptedEmbedder>(api::ModelInfo{.name = "local"}, 8, 64);
  const auto far = RemoteEmbedder::create(options).value();
  api::EmbedRequest request;
  request.inputs = {"text"};
  FallbackEmbedder chain({far, local});
  const auto result = chain.embed(request);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->vectors[0].size(), 8u);

  request.inputs = {std::string(100, 'x')};
  EXPECT_EQ(chain.embed(request).error().code, Code::kInvalidArgument) << "a request at fault moves to nobody";
  request.inputs = {std::vector<int32_t>{1}};
  EXPECT_EQ(chain.embed(request).error().code, Code::kUnavailable) << "token ids stay with their model";

  request.inputs = {"text"};
  const auto other = RemoteEmbedder::create(odd.options()).value();
  ASSERT_TRUE(other->embed(request).ok());  // learns that it makes 3 values
  FallbackEmbedder mixed({other, local});
  EXPECT_TRUE(mixed.embed(request).ok());
}

}  // namespace
}  // namespace hanlin::remote
