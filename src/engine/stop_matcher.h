// Stop strings in a text that arrives in pieces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hanlin::engine {

// Passes text through until a stop string is complete. The stop that ends first wins, of several that end there the
// longest, so the result does not depend on where the pieces were cut. Holds back only the longest end of the text that
// could still become a stop string.
class StopMatcher {
 public:
  // `stops` are not empty strings; `include_stop`: the matched string stays in the text.
  StopMatcher(std::vector<std::string> stops, bool include_stop);

  // Appends to `out` what may be shown now. True: a stop string is complete, the text ends here; nothing is held back
  // any more and push() must not be called again.
  bool push(std::string_view text, std::string& out);
  // The text ended for another reason: appends what was held back.
  void flush(std::string& out);

  const std::string& matched() const { return matched_; }  // the stop string, once push() returned true

 private:
  std::vector<std::string> stops_;
  bool include_stop_;
  std::string held_;  // a proper beginning of some stop string, or empty
  std::string matched_;
};

}  // namespace hanlin::engine
