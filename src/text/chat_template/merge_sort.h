// A stable sort that keeps its head with any comparison: one that throws, or that is no order at all (NaN).
// std::stable_sort would do, but clang 19 warns about libstdc++ 12's.
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
