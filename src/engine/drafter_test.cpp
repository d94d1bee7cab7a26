#include "engine/drafter.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace hanlin::engine {
namespace {

std::vector<int32_t> guesses(Drafter& drafter, const std::vector<int32_t>& tokens, int64_t most = kMaxDraft) {
  const auto found = drafter.propose(tokens, most);
  return {found.begin(), found.end()};
}

TEST(Drafter, ProposesWhatFollowedTheLastThreeTokensBefore) {
  Drafter drafter;
  const auto found = guesses(drafter, {9, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3});
  ASSERT_FALSE(found.empty());
  const std::vector<int32_t> followed = {4, 5, 6, 7, 8, 1, 2};
  EXPECT_TRUE(std::equal(found.begin(), found.end(), followed.begin()));
}

TEST(Drafter, ProposesNothingWithoutAnEarlierPlace) {
  Drafter drafter;
  for (const std::vector<int32_t>& tokens : {std::vector<int32_t>{}, {1}, {1, 2, 3}, {1, 2, 3, 4}, {1, 2, 9, 1, 2, 8}}) {
    EXPECT_TRUE(guesses(drafter, tokens).empty());
  }
}

TEST(Drafter, TheLatestPlaceCounts) {
  Drafter drafter;
  const auto found = guesses(drafter, {1, 2, 3, 50, 1, 2, 3, 60, 1, 2, 3});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0], 60);
}

TEST(Drafter, ARunOfOneTokenContinues) {
  Drafter drafter;
  const auto found = guesses(drafter, std::vector<int32_t>(20, 7));
  EXPECT_EQ(found, std::vector<int32_t>(found.size(), 7));
  EXPECT_GT(found.size(), 2u);
}

TEST(Drafter, NeverMoreThanAllowed) {
  Drafter drafter;
  for (int64_t most : {0, 1, 2, 100}) {
    EXPECT_LE(guesses(drafter, std::vector<int32_t>(40, 7), most).size(), static_cast<size_t>(std::min<int64_t>(most, kMaxDraft)));
  }
}

// As the text grows, each proposal is what a search from the end of the whole text finds.
TEST(Drafter, AgreesWithASearchWhileTheTextGrows) {
  Rng rng(3);
  Drafter drafter;
  std::vector<int32_t> tokens;
  int n_found = 0;
  for (int step = 0; step < 3000; ++step) {
    tokens.push_back(static_cast<int32_t>(rng.next() % 6));
    const auto found = guesses(drafter, tokens);
    drafter.learn(static_cast<int64_t>(found.size()), static_cast<int64_t>(found.size()));  // keeps it confident
    const auto n = static_cast<int64_t>(tokens.size());
    int64_t place = n - 4;
    while (place >= 0 && !std::equal(tokens.end() - 3, tokens.end(), tokens.begin() + place)) --place;
    ASSERT_EQ(place < 0 || n < 4, found.empty()) << "at " << step;
    for (size_t i = 0; i < found.size(); ++i) {
      ASSERT_EQ(found[i], tokens[static_cast<size_t>(place + 3 + static_cast<int64_t>(i) % (n - place - 3))]);
    }
    n_found += !found.empty();
  }
  EXPECT_GT(n_found, 2500);
}

TEST(Drafter, GivesUpWhereGuessesAreWrongAndTriesAgainLater) {
  Rng rng(5);
  Drafter drafter;
  std::vector<int32_t> tokens;
  int n_tried[2] = {0, 0};
  for (int step = 0; step < 4000; ++step) {
    tokens.push_back(static_cast<int32_t>(rng.next() % 8));  // every run of three occurs, what follows is chance
    const auto found = guesses(drafter, tokens);
    drafter.learn(static_cast<int64_t>(found.size()), 0);
    n_tried[step / 2000] += static_cast<int>(found.size());
  }
  EXPECT_LT(n_tried[1], 200);
  EXPECT_GT(n_tried[1], 0);
}

TEST(Drafter, TrustGrowsWithSuccess) {
  Drafter drafter;
  const std::vector<int32_t> tokens = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3};
  const size_t first = guesses(drafter, tokens).size();
  for (int i = 0; i < 30; ++i) drafter.learn(static_cast<int64_t>(guesses(drafter, tokens).size()), kMaxDraft);
  EXPECT_GT(guesses(drafter, tokens).size(), first);
  EXPECT_EQ(guesses(drafter, tokens).size(), static_cast<size_t>(kMaxDraft));
}

}  // namespace
}  // namespace hanlin::engine
