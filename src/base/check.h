// HANLIN_CHECK: for our own bugs only. User input never reaches it.
#pragma once

#include <string>

namespace hanlin {

// Prints file, line, condition and message to stderr and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& message);

}  // namespace hanlin

// Stops the program if an invariant of ours does not hold. `message` is only evaluated on failure.
#define HANLIN_CHECK(condition, message)                                          \
  do {                                                                            \
    if (!(condition)) [[unlikely]] {                                              \
      ::hanlin::check_failed(__FILE__, __LINE__, #condition, std::string(message)); \
    }                                                                             \
  } while (false)
