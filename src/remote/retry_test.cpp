#include "remote/retry.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "remote/service_error.h"

namespace hanlin::remote {
namespace {

using std::chrono::milliseconds;

TEST(Retry, ReadsRetryAfter) {
  const auto now = std::chrono::system_clock::from_time_t(784111777);  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(parse_retry_after("3", now), milliseconds(3000));
  EXPECT_EQ(parse_retry_after("0.25", now), milliseconds(250));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:39 GMT", now), milliseconds(2000));
  EXPECT_EQ(parse_retry_after("Sunday, 06-Nov-94 08:49:38 GMT", now), milliseconds(1000));
  EXPECT_EQ(parse_retry_after("Sun Nov  6 08:49:38 1994", now), milliseconds(1000));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), milliseconds(0)) << "past";
  EXPECT_GT(*parse_retry_after("99999999999999999", now), std::chrono::hours(24));
  for (const char* bad : {"", "-1", "soon", "3 s", "nan", "Sun, 06 Nov 1994 08:49:39 GMT."}) EXPECT_FALSE(parse_retry_after(bad, now)) << bad;
}

TEST(Retry, BacksOffExponentiallyWithJitter) {
  RemoteOptions options;
  options.first_backoff = milliseconds(100), options.max_backoff = milliseconds(1000);
  Rng rng(1);
  for (int retry = 0; retry < 70; ++retry) {
    const double full = retry < 4 ? 100.0 * (1 << retry) : 1000.0;
    const auto wait = static_cast<double>(backoff(options, retry, rng).count());
    EXPECT_GE(wait, full / 2 - 1);
    EXPECT_LE(wait, full);
  }
  EXPECT_NE(backoff(options, 5, rng), backoff(options, 5, rng));
}

TEST(ServiceError, MapsStatuses) {
  const std::string body = R"({"error":{"message":"bad temperature","type":"invalid_request_error","param":"temperature","code":null}})";
  const auto of = [&](int status, const std::string& text) { return failure_of_answer(status, text, "m at http://x", "the key comes from the environment variable K"); };
  const Failure bad = of(400, body);
  EXPECT_EQ(bad.error.code, Code::kInvalidArgument);
  EXPECT_EQ(bad.error.param, "temperature");
  EXPECT_EQ(bad.error.message, "m at http://x: HTTP 400: bad temperature");
  EXPECT_FALSE(bad.may_retry);
  EXPECT_EQ(of(422, R"({"detail":[{"loc":["body"],"msg":"missing"}]})").error.code, Code::kInvalidArgument);
  EXPECT_EQ(of(401, body).error.code, Code::kUnavailable);
  EXPECT_NE(of(403, body).error.message.find("environment variable K"), std::string::npos);
  EXPECT_FALSE(of(401, body).may_retry);
  EXPECT_EQ(of(404, body).error.code, Code::kNotFound);
  EXPECT_EQ(of(429, body).error.code, Code::kResourceExhausted);
  EXPECT_FALSE(of(429, R"({"error":{"message":"pay","code":"insufficient_quota"}})").may_retry);
  for (const int status : {408, 409, 429, 500, 502, 503, 504}) EXPECT_TRUE(of(status, body).may_retry) << status;
  for (const int status : {300, 400, 401, 403, 404, 413, 422, 501}) EXPECT_FALSE(of(status, body).may_retry) << status;
  EXPECT_EQ(of(503, "<html>down</html>").error.message, "m at http://x: HTTP 503: <html>down</html>");
  EXPECT_LT(of(500, std::string(100'000, 'x')).error.message.size(), 1200u);
}

TEST(ServiceError, MapsErrorsInStreams) {
  const auto of = [](const char* text) { return failure_of_event(parse_json(text).value(), "m", "k").error.code; };
  EXPECT_EQ(of(R"({"message":"x","code":429})"), Code::kResourceExhausted);
  EXPECT_EQ(of(R"({"message":"x","code":"400"})"), Code::kInvalidArgument);
  EXPECT_EQ(of(R"({"message":"x","type":"invalid_request_error","code":"context_length_exceeded"})"), Code::kInvalidArgument);
  EXPECT_EQ(of(R"({"message":"x","type":"rate_limit_error"})"), Code::kResourceExhausted);
  EXPECT_EQ(of(R"({"message":"x","type":"server_error"})"), Code::kUnavailable);
  EXPECT_EQ(of(R"("overloaded")"), Code::kUnavailable);
}

}  // namespace
}  // namespace hanlin::remote
