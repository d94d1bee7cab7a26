#include "net/event_reader.h"

#include <gtest/gtest.h>

#include <vector>

namespace hanlin::net {
namespace {

TEST(EventReaderTest, ReadsEventsInAnyPieces) {
  const std::string stream = ": note\r\nevent: message\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nid: 7\ndata:x\n\ndata: \n\n\rdata: y\r\r";
  for (size_t piece = 1; piece <= stream.size(); ++piece) {
    EventReader reader;
    std::vector<std::string> events;
    for (size_t at = 0; at < stream.size(); at += piece) {
      ASSERT_TRUE(reader.feed(std::string_view(stream).substr(at, piece), 1000, [&](const std::string& event) { events.push_back(event); }).ok());
    }
    EXPECT_EQ(events, (std::vector<std::string>{"{\"a\":\n1}", "x", "y"})) << piece;
  }
  EventReader reader;
  EXPECT_FALSE(reader.feed("data: 12345678", 10, [](const std::string&) {}).ok());
}

}  // namespace
}  // namespace hanlin::net
