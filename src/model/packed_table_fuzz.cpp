// libFuzzer target: a packed file of any content is read or refused, and every matrix it promises lies inside of it.
// A first byte of 1 puts the rest into a sound header, so that the table is reached; otherwise all is header and table.
#include <algorithm>
#include <string>
#include <vector>

#include "formats/fuzz_file.h"
#include "model/packed_table.h"

namespace {
volatile uint64_t sink;

void check(const std::vector<uint8_t>& file) {
  const auto table = hanlin::parse_packed_table(file);
  if (!table.ok()) return;
  uint64_t sum = table->layout.size() + table->source_path.size() + table->sources.size();
  for (const auto& [name, entry] : table->entries) sum += name.size() + hanlin::touch(file.data() + entry.offset, entry.n_bytes);
  sink = sum;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hanlin;
  if (size > 0 && data[0] == 1) {
    const std::span<const uint8_t> table(data + 1, size - 1);
    std::vector<uint8_t> file(2 * kPackedPage);  // the header and one page of matrices
    const std::string header = encode_packed_header({}, file.size(), table);
    std::copy(header.begin(), header.end(), file.begin());
    file.insert(file.end(), table.begin(), table.end());
    check(file);
  } else {
    check(std::vector<uint8_t>(data, data + size));
  }
  return 0;
}
