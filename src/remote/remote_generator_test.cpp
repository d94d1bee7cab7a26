// The remote generator against a scripted service on real sockets.
#include "remote/remote_generator.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <future>

#include "remote/test_service.h"

namespace hanlin::remote {
namespace {

std::shared_ptr<RemoteGenerator> make(const RemoteOptions& options) { return RemoteGenerator::create(options).value(); }

// Runs one request to its end.
void run(api::TextGenerator& generator, api::GenerateRequest request, Collector* collector) {
  const auto generation = generator.submit(std::move(request), collector->sink());
  ASSERT_TRUE(generation.ok()) << generation.error().message;
  collector->wait();
}

TEST(RemoteGenerator, StreamsAChat) {
  TestService service([](const TestRequest&, int) { return said("Hi 你好"); });
  setenv("HANLIN_TEST_REMOTE_KEY", "sk-secret\n", 1);
  RemoteOptions options = service.options();
  options.api_key_env = "HANLIN_TEST_REMOTE_KEY";
  const auto generator = make(options);
  Collector collector;
  run(*generator, chat_request(), &collector);
  EXPECT_EQ(collector.text(), "Hi 你好");
  EXPECT_FALSE(collector.last().error);
  EXPECT_EQ(collector.last().finish, api::FinishReason::kStop);
  EXPECT_EQ(collector.last().usage.prompt_tokens, 7);
  EXPECT_EQ(collector.last().usage.completion_tokens, 2);
  EXPECT_EQ(collector.last().usage.cached_tokens, 3);
  const TestRequest request = service.requests().at(0);
  EXPECT_EQ(request.head.find("POST /v1/chat/completions HTTP/1.1\r\n"), 0u) << request.head;
  EXPECT_NE(request.head.find("Authorization: Bearer sk-secret\r\n"), std::string::npos) << request.head;
  EXPECT_EQ(request.json()["model"], "m");
  EXPECT_EQ(generator->stats().requests_total, 1);
  EXPECT_EQ(generator->stats().generated_tokens_total, 2);
}

TEST(RemoteGenerator, ReadsReasoningChoicesAndLogprobs) {
  const std::string scored = R"({"choices":[{"index":1,"delta":{"content":"b"},"logprobs":{"content":[{"token":"b","logprob":-0.25,"bytes":[98],)"
                             R"("top_logprobs":[{"token":"b","logprob":-0.25},{"token":"c","logprob":-2}]}]},"finish_reason":"length"}]})";
  TestService service([&](const TestRequest&, int) {
    return TestReply{event_stream({delta_chunk(R"({"reasoning_content":"hm"})"), text_chunk("a"), scored, delta_chunk(R"({"reasoning":"!"})"), delta_chunk("{}", R"("stop")"), "[DONE]"})};
  });
  const auto generator = make(service.options());
  Collector collector;
  api::GenerateRequest request = chat_request();
  request.n = 2;
  request.logprobs = 2;
  run(*generator, request, &collector);
  EXPECT_EQ(collector.text(0), "a");
  EXPECT_EQ(collector.text(1), "b");
  std::string reasoning;
  for (const api::TokenEvent& event : collector.wait()) {
    reasoning += event.reasoning;
    if (event.choice_idx == 1 && event.finish) { EXPECT_EQ(event.finish, api::FinishReason::kLength); }
    if (event.tokens.empty()) continue;
    EXPECT_EQ(event.tokens[0].text, "b");
    EXPECT_FLOAT_EQ(event.tokens[0].logprob, -0.25f);
    EXPECT_EQ(event.tokens[0].top.at(1).text, "c");
  }
  EXPECT_EQ(reasoning, "hm!");
  EXPECT_EQ(collector.last().usage.completion_tokens, 4) << "pieces, where the service sends no usage";
}

TEST(RemoteGenerator, StreamsCompletions) {
  TestService service([](const TestRequest&, int) {
    return TestReply{event_stream({R"({"choices":[{"index":0,"text":" upon","logprobs":{"tokens":[" upon"],"token_logprobs":[-1],"top_logprobs":[{" upon":-1,"bytes:\\xe4":-3}]},"finish_reason":null}]})",
                                   R"({"choices":[{"index":0,"text":"","finish_reason":"stop","stop_reason":"END"}]})", "[DONE]"})};
  });
  const auto generator = make(service.options());
  Collector collector;
  api::GenerateRequest request;
  request.prompt = api::TextPrompt{"Once"};
  run(*generator, request, &collector);
  EXPECT_EQ(collector.text(), " upon");
  EXPECT_EQ(collector.wait().at(0).tokens.at(0).top.at(1).text, "\xe4");
  EXPECT_EQ(collector.last().stop_reason, "END");
  EXPECT_EQ(service.requests().at(0).head.find("POST /v1/completions"), 0u);
}

// Calls as services write them: OpenAI's pieces, all at once without an index, an index that is always 0.
TEST(RemoteGenerator, ReadsToolCalls) {
  const auto call = [](const std::string& json) { return delta_chunk(R"({"tool_calls":[)" + json + "]}"); };
  const std::vector<std::vector<std::string>> ways = {
      {call(R"({"index":0,"id":"c1","type":"function","function":{"name":"a","arguments":""}})"), call(R"({"index":0,"function":{"arguments":"{\"x\""}})"),
       call(R"({"index":0,"function":{"arguments":":1}"}})"), call(R"({"index":1,"id":"c2","function":{"name":"b","arguments":"{}"}})")},
      {call(R"({"id":"c1","function":{"name":"a","arguments":"{\"x\":1}"}},{"id":"c2","function":{"name":"b","arguments":"{}"}})")},
      {call(R"({"index":0,"id":"c1","function":{"name":"a","arguments":{"x":1}}})"), call(R"({"index":0,"id":"c2","function":{"name":"b","arguments":"{}"}})")}};
  for (const auto& way : ways) {
    TestService service([&](const TestRequest&, int) {
      std::vector<std::string> events = way;
      events.push_back(delta_chunk("{}", R"("tool_calls")"));
      events.push_back("[DONE]");
      return TestReply{event_stream(events)};
    });
    const auto generator = make(service.options());
    EXPECT_TRUE(generator->native_tool_calls());
    Collector collector;
    run(*generator, chat_request(), &collector);
    std::vector<api::ToolCall> calls;
    for (const api::TokenEvent& event : collector.wait()) {
      for (const api::ToolCallDelta& delta : event.calls) {
        if (delta.index == static_cast<int>(calls.size())) calls.push_back({delta.id, delta.name, ""});
        else EXPECT_TRUE(delta.id.empty() && delta.name.empty());
        calls.at(static_cast<size_t>(delta.index)).arguments += delta.arguments;
      }
    }
    ASSERT_EQ(calls.size(), 2u);
    EXPECT_EQ(calls[0].id + calls[0].name + calls[0].arguments, R"(c1a{"x":1})");
    EXPECT_EQ(calls[1].id + calls[1].name + calls[1].arguments, "c2b{}");
    EXPECT_EQ(collector.last().finish, api::FinishReason::kStop);
  }
}

TEST(RemoteGenerator, TriesAgain) {
  for (const char* status : {"408 Timeout", "409 Conflict", "429 Many", "500 Oops", "502 Bad", "503 Busy", "504 Slow"}) {
    TestService service([&](const TestRequest&, int n) { return n < 2 ? refusal(status) : said("done"); });
    Collector collector;
    run(*make(service.options()), chat_request(), &collector);
    EXPECT_EQ(collector.text(), "done") << status;
    EXPECT_EQ(service.counts().n_requests, 3);
  }
  // Nothing at all, an answer that breaks off before its first text, an error as the first event.
  const std::vector<TestReply> broken = {{""}, {event_stream({delta_chunk(R"({"role":"assistant"})")})}, {event_stream({R"({"error":{"message":"busy","code":503}})"})},
                                         {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:"}};
  for (size_t i = 0; i < broken.size(); ++i) {
    TestService service([&](const TestRequest&, int n) { return n < 1 ? broken[i] : said("done"); });
    Collector collector;
    run(*make(service.options()), chat_request(), &collector);
    EXPECT_EQ(collector.text(), "done") << i;
  }
}

TEST(RemoteGenerator, GivesUp) {
  struct Case {
    TestReply reply;
    Code code;
    int n_requests;
  };
  const std::vector<Case> cases = {
      {refusal("503 Busy"), Code::kUnavailable, 4},       {refusal("429 Many"), Code::kResourceExhausted, 4},
      {refusal("400 Bad"), Code::kInvalidArgument, 1},    {refusal("422 Bad"), Code::kInvalidArgument, 1},
      {refusal("401 No"), Code::kUnavailable, 1},         {refusal("404 None"), Code::kNotFound, 1},
      {refusal("503 Busy", "Retry-After: 3600\r\n"), Code::kUnavailable, 1},  // longer than we wait
      {json_reply(R"({"choices":[]})"), Code::kCorrupt, 1},
      {{event_stream({"{no json"})}, Code::kCorrupt, 1},
      {{event_stream({R"({"choices":[{"index":3}]})"})}, Code::kCorrupt, 1},
      {{event_stream({R"({"error":{"message":"too long","type":"invalid_request_error"}})"})}, Code::kInvalidArgument, 1},
      {{"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"}, Code::kUnavailable, 4},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    TestService service([&](const TestRequest&, int) { return cases[i].reply; });
    Collector collector;
    run(*make(service.options()), chat_request(), &collector);
    ASSERT_TRUE(collector.last().error) << i;
    EXPECT_EQ(collector.last().error->code, cases[i].code) << i << ": " << collector.last().error->message;
    EXPECT_EQ(service.counts().n_requests, cases[i].n_requests) << i;
  }
}

TEST(RemoteGenerator, HonoursRetryAfterWithinTheDeadline) {
  TestService service([](const TestRequest&, int n) { return n == 0 ? refusal("429 Many", "Retry-After: 0.05\r\n") : said("done"); });
  Collector collector;
  run(*make(service.options()), chat_request(), &collector);
  EXPECT_EQ(collector.text(), "done");

  TestService busy([](const TestRequest&, int) { return refusal("429 Many", "Retry-After: 20\r\n"); });
  api::GenerateRequest request = chat_request();
  request.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  Collector refused;
  run(*make(busy.options()), request, &refused);
  EXPECT_EQ(refused.last().error->code, Code::kResourceExhausted) << "the wait would end after the deadline";
  EXPECT_EQ(busy.counts().n_requests, 1);
}

TEST(RemoteGenerator, KeepsWhatCameBeforeABreak) {
  const std::vector<std::pair<std::string, Code>> ends = {{event_stream({text_chunk("half")}), Code::kUnavailable},
                                                          {event_stream({text_chunk("half"), R"({"error":{"message":"gone","code":500}})"}), Code::kUnavailable},
                                                          {event_stream({text_chunk("half"), "nonsense"}), Code::kCorrupt},
                                                          {event_stream({text_chunk("half"), "[DONE]"}), Code::kUnavailable}};
  for (const auto& [bytes, code] : ends) {
    TestService service([&](const TestRequest&, int) { return TestReply{bytes}; });
    Collector collector;
    run(*make(service.options()), chat_request(), &collector);
    EXPECT_EQ(collector.text(), "half");
    ASSERT_TRUE(collector.last().error);
    EXPECT_EQ(collector.last().error->code, code) << collector.last().error->message;
    EXPECT_EQ(service.counts().n_requests, 1) << "text that was delivered is not asked for again";
  }
  // A finished answer needs no [DONE].
  TestService service([](const TestRequest&, int) { return TestReply{event_stream({text_chunk("all"), delta_chunk("{}", R"("stop")")})}; });
  Collector collector;
  run(*make(service.options()), chat_request(), &collector);
  EXPECT_FALSE(collector.last().error);
}

TEST(RemoteGenerator, TheKeyIsNeverShown) {
  setenv("HANLIN_TEST_REMOTE_KEY", "sk-secret", 1);
  TestService service([](const TestRequest&, int) { return json_reply(R"({"error":{"message":"wrong key sk-secret, yes sk-secret"}})", "401 Unauthorized"); });
  RemoteOptions options = service.options();
  options.api_key_env = "HANLIN_TEST_REMOTE_KEY";
  Collector collector;
  run(*make(options), chat_request(), &collector);
  const std::string message = collector.last().error->message;
  EXPECT_EQ(message.find("sk-secret"), std::string::npos) << message;
  EXPECT_NE(message.find("HANLIN_TEST_REMOTE_KEY"), std::string::npos) << message;

  setenv("HANLIN_TEST_REMOTE_KEY", "two\nlines", 1);
  EXPECT_EQ(RemoteGenerator::create(options).error().code, Code::kInvalidArgument);
  unsetenv("HANLIN_TEST_REMOTE_KEY");
  Collector without;
  run(*make(options), chat_request(), &without);
  EXPECT_EQ(service.requests().back().head.find("Authorization"), std::string::npos);
}

TEST(RemoteGenerator, CancelEndsTheConnection) {
  TestService service([](const TestRequest&, int) { return TestReply{event_stream({text_chunk("first")}), /*hold=*/true}; });
  const auto generator = make(service.options());
  Collector collector;
  const auto generation = generator->submit(chat_request(), collector.sink()).value();
  collector.wait_for_text("first");
  generation->cancel();
  EXPECT_EQ(collector.last().finish, api::FinishReason::kCancelled);
  EXPECT_FALSE(collector.last().error);
  service.wait_until([](const auto& counts) { return counts.n_closed == 1; });
}

TEST(RemoteGenerator, CancelEndsTheWaitForARetry) {
  TestService service([](const TestRequest&, int) { return refusal("503 Busy", "Retry-After: 20\r\n"); });
  const auto generator = make(service.options());
  Collector collector;
  const auto generation = generator->submit(chat_request(), collector.sink()).value();
  service.wait_until([](const auto& counts) { return counts.n_requests == 1; });
  generation->cancel();
  EXPECT_EQ(collector.last().finish, api::FinishReason::kCancelled);
}

TEST(RemoteGenerator, DestructionEndsEverything) {
  TestService service([](const TestRequest&, int) { return TestReply{"", /*hold=*/true}; });
  RemoteOptions options = service.options();
  options.max_running = 1, options.max_queue = 1;
  Collector running, waiting, refused;
  {
    const auto generator = make(options);
    ASSERT_TRUE(generator->submit(chat_request(), running.sink()).ok());
    service.wait_until([](const auto& counts) { return counts.n_requests == 1; });
    ASSERT_TRUE(generator->submit(chat_request(), waiting.sink()).ok());
    EXPECT_EQ(generator->submit(chat_request(), refused.sink()).error().code, Code::kResourceExhausted);
    EXPECT_EQ(generator->stats().rejected_total, 1);
    EXPECT_EQ(generator->stats().n_running, 1);
    EXPECT_EQ(generator->stats().n_waiting, 1);
  }
  EXPECT_EQ(running.last().finish, api::FinishReason::kCancelled);
  EXPECT_EQ(waiting.last().finish, api::FinishReason::kCancelled);
}

TEST(RemoteGenerator, APausedRequestReadsNothing) {
  std::vector<std::string> events(1000, text_chunk(std::string(20'000, 'x')));
  events.push_back(delta_chunk("{}", R"("stop")"));
  const std::string bytes = event_stream(events);  // 20 MB: more than the buffers of any socket
  std::promise<void> paused;
  TestService service([&](const TestRequest&, int) {
    paused.get_future().wait();
    return TestReply{bytes};
  });
  const auto generator = make(service.options());
  Collector collector;
  const auto generation = generator->submit(chat_request(), collector.sink()).value();
  generation->set_paused(true);
  paused.set_value();
  service.wait_until([](const auto& counts) { return counts.n_blocked >= 1; });
  generation->set_paused(false);
  EXPECT_EQ(collector.text().size(), 1000u * 20'000u);

  TestService other([&](const TestRequest&, int) { return TestReply{bytes}; });
  const auto cancelled = make(other.options());
  Collector none;
  const auto handle = cancelled->submit(chat_request(), none.sink()).value();
  handle->set_paused(true);
  handle->cancel();  // also while it is paused
  EXPECT_TRUE(none.last().last);
}

TEST(RemoteGenerator, TimesOut) {
  TestService service([](const TestRequest& request, int) {
    return TestReply{request.body.find("begin") != std::string::npos ? event_stream({text_chunk("begun")}) : "", /*hold=*/true};
  });
  RemoteOptions options = service.options();
  options.max_retries = 1;
  options.first_byte_timeout = options.silence_timeout = std::chrono::milliseconds(50);
  Collector nothing, begun, late;
  run(*make(options), chat_request(), &nothing);
  EXPECT_EQ(nothing.last().error->code, Code::kUnavailable) << nothing.last().error->message;
  EXPECT_EQ(service.counts().n_requests, 2) << "silence is tried again";
  run(*make(options), chat_request("begin"), &begun);
  EXPECT_EQ(begun.text(), "begun");
  EXPECT_EQ(begun.last().error->code, Code::kUnavailable);
  api::GenerateRequest request = chat_request();
  request.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
  run(*make(service.options()), request, &late);
  EXPECT_EQ(late.last().error->code, Code::kDeadlineExceeded);
}

TEST(RemoteGenerator, NobodyThere) {
  RemoteOptions options;
  {
    const TestService service([](const TestRequest&, int) { return said(""); });
    options = service.options();
  }
  Collector collector;
  run(*make(options), chat_request(), &collector);
  EXPECT_EQ(collector.last().error->code, Code::kUnavailable);
  options.base_url = "ftp://x";
  EXPECT_EQ(RemoteGenerator::create(options).error().code, Code::kInvalidArgument);
}

TEST(RemoteGenerator, UsesTheServicesTokenizer) {
  TestService service([](const TestRequest& request, int) {
    if (request.head.starts_with("POST /tokenize")) return json_reply(R"({"count":2,"tokens":[5,6]})");
    if (request.head.starts_with("POST /detokenize")) return json_reply(R"({"prompt":"<user>Hi"})");
    return refusal("404 Not Found");
  });
  const auto generator = make(service.options());
  EXPECT_EQ(generator->tokenize("Hi", false, true).value(), (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(service.requests().at(0).json()["add_special_tokens"], false);
  EXPECT_EQ(generator->render_chat({.messages = {{"user", "Hi"}}}).value(), "<user>Hi");
  EXPECT_EQ(service.requests().at(1).json()["messages"][0]["content"], "Hi");
  TestService bare([](const TestRequest&, int) { return refusal("404 Not Found"); });
  EXPECT_EQ(make(bare.options())->tokenize("Hi", true, true).error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace hanlin::remote
