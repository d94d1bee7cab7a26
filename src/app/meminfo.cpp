#include "app/meminfo.h"

#include <fstream>

namespace hanlin::app {

int64_t meminfo_bytes(const std::string& key) {
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  int64_t value = 0;
  while (file >> name >> value) {
    std::getline(file, unit);
    if (name == key + ":") return value * 1024;
  }
  return 0;
}

}  // namespace hanlin::app
