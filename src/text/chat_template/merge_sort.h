// Why not std::stable_sort: templates compare what they like, and a comparison may throw (values of different kinds, or the
// budget is used up) or be no order at all (NaN). The library's sort promises nothing for the latter. This one is stable for
// an order, and for anything else it still ends, reads nothing outside and keeps every item. (clang 19 warns about
// libstdc++ 12's std::stable_sort besides.)
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

namespace hanlin::jinja {

template <typename T, typename Less>
void merge_sort(std::vector<T>* items, const Less& less) {
  std::vector<T> merged(items->size());
  for (size_t width = 1; width < items->size(); width *= 2) {
    for (size_t begin = 0; begin < items->size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, items->size()), end = std::min(begin + 2 * width, items->size());
      size_t left = begin, right = middle;
      for (size_t out = begin; out < end; ++out) {
        const bool take_right = left == middle || (right < end && less((*items)[right], (*items)[left]));
        merged[out] = (*items)[take_right ? right++ : left++];
      }
    }
    std::swap(*items, merged);
  }
}

}  // namespace hanlin::jinja
