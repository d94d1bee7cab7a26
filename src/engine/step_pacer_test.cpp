#include "engine/step_pacer.h"

#include <gtest/gtest.h>

namespace hanlin::engine {
namespace {

TEST(StepPacer, MeasuresStepsWithoutPromptsFirst) {
  StepPacer pacer;
  EXPECT_EQ(pacer.prompt_tokens(4, 512), 0);
  pacer.observe(4, 0, 0.010);
  EXPECT_EQ(pacer.prompt_tokens(4, 512), StepPacer::kLeastTokens);
  EXPECT_EQ(pacer.prompt_tokens(3, 512), StepPacer::kLeastTokens) << "3 and 4 rows share a measurement";
  EXPECT_EQ(pacer.prompt_tokens(5, 512), 0);
}

TEST(StepPacer, LongStepsGrowByAShareOfTheirOwnLength) {
  StepPacer pacer;
  pacer.observe(32, 0, 0.100);
  pacer.observe(32, 16, 0.116);  // a millisecond a token
  EXPECT_NEAR(static_cast<double>(pacer.prompt_tokens(32, 512)), 40, 1);
  EXPECT_EQ(pacer.prompt_tokens(32, 20), 20);
}

TEST(StepPacer, ShortStepsGrowUntilSomebodyCouldNotice) {
  StepPacer pacer;
  pacer.observe(1, 0, 0.005);
  pacer.observe(1, 16, 0.005 + 16 * 0.0001);
  EXPECT_NEAR(static_cast<double>(pacer.prompt_tokens(1, 512)), 200, 1);
}

TEST(StepPacer, PromptsAlwaysMove) {
  StepPacer pacer;
  pacer.observe(1, 0, 0.024);
  pacer.observe(1, 16, 10);
  EXPECT_EQ(pacer.prompt_tokens(1, 512), StepPacer::kLeastTokens);
}

TEST(StepPacer, OneStepThatWasHeldUpChangesLittle) {
  StepPacer pacer;
  pacer.observe(8, 0, 0.050);
  pacer.observe(8, 16, 0.066);
  const int64_t before = pacer.prompt_tokens(8, 512);
  pacer.observe(8, 0, 5);
  EXPECT_LE(pacer.prompt_tokens(8, 512), before * 3 / 2);
}

TEST(StepPacer, MeasuresAnewWhilePromptsNeverEnd) {
  StepPacer pacer;
  pacer.observe(8, 0, 0.050);
  int64_t n = 0;
  for (; n < 10000 && pacer.prompt_tokens(8, 512) > 0; ++n) pacer.observe(8, 16, 0.066);
  EXPECT_GT(n, 100);
  EXPECT_LT(n, 10000);
  pacer.observe(8, 0, 0.050);
  EXPECT_GT(pacer.prompt_tokens(8, 512), 0);
}

}  // namespace
}  // namespace hanlin::engine
