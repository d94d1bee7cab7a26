#include "grammar/dfa.h"

#include <algorithm>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <unordered_map>


namespace hanlin::grammar {

void append_code_point(std::string& out, uint32_t cp) {
  if (cp < 0x80) {
    out += static_cast<char>(cp);
  } else if (cp < 0x800) {
    out += static_cast<char>(0xC0 | (cp >> 6));
    out += static_cast<char>(0x80 | (cp & 0x3F));
  } else if (cp < 0x10000) {
    out += static_cast<char>(0xE0 | (cp >> 12));
    out += static_cast<char>(0x80 | ((cp >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (cp & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (cp >> 18));
    out += static_cast<char>(0x80 | ((cp >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((cp >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (cp & 0x3F));
  }
}

std::vector<uint32_t> code_points(std::string_view text) {
  std::vector<uint32_t> out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto b = static_cast<uint8_t>(text[i]);
    const size_t n = b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
    uint32_t cp = n == 1 ? b : b & (0xFFu >> (n + 1));
    for (size_t k = 1; k < n && i + k < text.size(); ++k) cp = (cp << 6) | (static_cast<uint8_t>(text[i + k]) & 0x3F);
    out.push_back(cp);
    i += n;
  }
  return out;
}

int32_t Dfa::match(std::string_view text) const {
  int32_t q = start;
  for (uint32_t cp : code_points(text)) {
    if (q < 0) return -1;
    q = step(q, cp);
  }
  return q < 0 ? -1 : label(q);
}

bool Dfa::is_universal() const {
  return start == 0 && states.size() == 1 && states[0].label == 0 && edges.size() == 1 && edges[0].lo == 0 && edges[0].hi == kMaxCodePoint;
}

int32_t cheapest_json_bytes(uint32_t lo, uint32_t hi) {
  const auto has = [&](uint32_t a, uint32_t b) { return lo <= b && hi >= a; };
  if (has(0x20, 0x21) || has(0x23, 0x5B) || has(0x5D, 0x7F)) return 1;
  if (has('"', '"') || has('\\', '\\') || has(8, 10) || has(12, 13)) return 2;
  if (has(0x80, 0x7FF)) return 2;
  if (has(0x800, 0xD7FF) || has(0xE000, 0xFFFF)) return 3;
  if (has(0x10000, kMaxCodePoint)) return 4;
  if (has(0, 0x1F)) return 6;
  return kInfinite;
}

int32_t cheapest_raw_bytes(uint32_t lo, uint32_t hi) {
  if (lo < 0x80) return 1;
  if (lo < 0x800) return 2;
  if (lo < 0xD800 || (lo <= 0xFFFF && hi >= 0xE000)) return 3;
  return hi >= 0x10000 ? 4 : kInfinite;
}

Dfa DfaBuilder::finish(int32_t start) && {
  const size_t n = labels_.size();
  std::vector<std::vector<int32_t>> before(n);
  for (size_t q = 0; q < n; ++q) {
    for (const Dfa::Edge& e : edges_[q]) before[static_cast<size_t>(e.to)].push_back(static_cast<int32_t>(q));
  }
  std::vector<char> alive(n, 0), reached(n, 0);
  std::vector<int32_t> todo;
  for (size_t q = 0; q < n; ++q) {
    if (labels_[q] >= 0) {
      alive[q] = 1;
      todo.push_back(static_cast<int32_t>(q));
    }
  }
  while (!todo.empty()) {
    const int32_t q = todo.back();
    todo.pop_back();
    for (int32_t p : before[static_cast<size_t>(q)]) {
      if (!alive[static_cast<size_t>(p)]) {
        alive[static_cast<size_t>(p)] = 1;
        todo.push_back(p);
      }
    }
  }
  Dfa dfa;
  if (start < 0 || !alive[static_cast<size_t>(start)]) return dfa;
  std::vector<int32_t> order{start}, number(n, -1);
  number[static_cast<size_t>(start)] = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    auto& list = edges_[static_cast<size_t>(order[i])];
    std::erase_if(list, [&](const Dfa::Edge& e) { return !alive[static_cast<size_t>(e.to)]; });
    std::sort(list.begin(), list.end(), [](const Dfa::Edge& a, const Dfa::Edge& b) { return a.lo < b.lo; });
    Dfa::State state;
    state.first_edge = static_cast<int32_t>(dfa.edges.size());
    state.label = labels_[static_cast<size_t>(order[i])];
    for (const Dfa::Edge& e : list) {
      int32_t& to = number[static_cast<size_t>(e.to)];
      if (to < 0) {
        to = static_cast<int32_t>(order.size());
        order.push_back(e.to);
      }
      if (static_cast<int32_t>(dfa.edges.size()) > state.first_edge && dfa.edges.back().to == to && dfa.edges.back().hi + 1 == e.lo) {
        dfa.edges.back().hi = e.hi;
      } else {
        dfa.edges.push_back({e.lo, e.hi, to});
      }
    }
    state.n_edges = static_cast<int32_t>(dfa.edges.size()) - state.first_edge;
    dfa.states.push_back(state);
  }
  dfa.start = 0;
  return dfa;
}

Dfa universal_dfa() {
  DfaBuilder builder;
  builder.add_state(0);
  builder.add_edge(0, 0, kMaxCodePoint, 0);
  return std::move(builder).finish(0);
}

Dfa literal_dfa(std::span<const std::string> texts, std::span<const int32_t> labels) {
  DfaBuilder builder;
  builder.add_state(-1);
  std::map<std::pair<int32_t, uint32_t>, int32_t> children;
  for (size_t i = 0; i < texts.size(); ++i) {
    int32_t q = 0;
    for (uint32_t cp : code_points(texts[i])) {
      auto [it, is_new] = children.try_emplace({q, cp}, -1);
      if (is_new) {
        it->second = builder.add_state(-1);
        builder.add_edge(q, cp, cp, it->second);
      }
      q = it->second;
    }
    builder.set_label(q, labels.empty() ? 0 : labels[i]);
  }
  return std::move(builder).finish(0);
}

std::optional<Dfa> product(std::span<const Dfa* const> parts, const std::function<int32_t(std::span<const bool>)>& label, size_t max_states) {
  using Tuple = std::vector<int32_t>;
  struct Hash {
    size_t operator()(const Tuple& t) const {
      size_t h = 0xcbf29ce484222325ull;
      for (int32_t v : t) h = (h ^ static_cast<size_t>(v + 1)) * 0x100000001b3ull;
      return h;
    }
  };
  const size_t n = parts.size();
  DfaBuilder builder;
  std::unordered_map<Tuple, int32_t, Hash> ids;
  std::vector<Tuple> tuples;
  const auto accepts = std::make_unique<bool[]>(n + 1);
  const auto intern = [&](const Tuple& t) {
    auto [it, is_new] = ids.try_emplace(t, static_cast<int32_t>(tuples.size()));
    if (is_new) {
      tuples.push_back(t);
      for (size_t i = 0; i < n; ++i) accepts[i] = t[i] >= 0 && parts[i]->label(t[i]) >= 0;
      builder.add_state(label(std::span<const bool>(accepts.get(), n)));
    }
    return it->second;
  };
  Tuple first(n);
  for (size_t i = 0; i < n; ++i) first[i] = parts[i]->start;
  intern(first);
  std::vector<uint32_t> bounds;
  Tuple next(n);
  size_t n_edges = 0;
  for (size_t s = 0; s < tuples.size(); ++s) {
    if (tuples.size() > max_states || n_edges > max_states * 16) return std::nullopt;
    const Tuple here = tuples[s];
    bounds.assign({0, kMaxCodePoint + 1});
    for (size_t i = 0; i < n; ++i) {
      if (here[i] < 0) continue;
      for (const Dfa::Edge& e : parts[i]->edges_of(here[i])) {
        bounds.push_back(e.lo);
        bounds.push_back(e.hi + 1);
      }
    }
    std::sort(bounds.begin(), bounds.end());
    bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
    std::vector<size_t> at(n, 0);
    for (size_t b = 0; b + 1 < bounds.size(); ++b) {
      for (size_t i = 0; i < n; ++i) {
        next[i] = -1;
        if (here[i] < 0) continue;
        const auto edges = parts[i]->edges_of(here[i]);
        while (at[i] < edges.size() && edges[at[i]].hi < bounds[b]) ++at[i];
        if (at[i] < edges.size() && edges[at[i]].lo <= bounds[b]) next[i] = edges[at[i]].to;
      }
      builder.add_edge(static_cast<int32_t>(s), bounds[b], bounds[b + 1] - 1, intern(next));
      ++n_edges;
    }
  }
  return std::move(builder).finish(0);
}

std::vector<int32_t> costs_to_accept(const Dfa& dfa, int32_t label, int32_t (*cost)(uint32_t, uint32_t)) {
  const size_t n = dfa.states.size();
  std::vector<int32_t> costs(n, kInfinite);
  std::vector<std::vector<std::pair<int32_t, int32_t>>> before(n);  // (from, cost)
  using Item = std::pair<int32_t, int32_t>;                          // (cost, state)
  std::priority_queue<Item, std::vector<Item>, std::greater<>> queue;
  for (size_t q = 0; q < n; ++q) {
    for (const Dfa::Edge& e : dfa.edges_of(static_cast<int32_t>(q))) {
      const int32_t c = cost(e.lo, e.hi);
      if (c < kInfinite) before[static_cast<size_t>(e.to)].push_back({static_cast<int32_t>(q), c});
    }
    const int32_t l = dfa.states[q].label;
    if (l >= 0 && (label < 0 || l == label)) {
      costs[q] = 0;
      queue.push({0, static_cast<int32_t>(q)});
    }
  }
  while (!queue.empty()) {
    const auto [c, q] = queue.top();
    queue.pop();
    if (c > costs[static_cast<size_t>(q)]) continue;
    for (const auto& [p, step] : before[static_cast<size_t>(q)]) {
      if (c + step < costs[static_cast<size_t>(p)]) {
        costs[static_cast<size_t>(p)] = c + step;
        queue.push({c + step, p});
      }
    }
  }
  return costs;
}

std::vector<int64_t> count_accepted(const Dfa& dfa, int32_t label, int64_t cap) {
  const size_t n = dfa.states.size();
  const std::vector<int32_t> costs = costs_to_accept(dfa, label, cheapest_raw_bytes);
  // Depth-first; a state on a cycle that reaches the label counts as `cap`.
  std::vector<int64_t> counts(n, -1);
  std::vector<char> state(n, 0);  // 0 new, 1 open, 2 done
  struct Frame {
    int32_t q;
    size_t edge;
    int64_t sum;
  };
  for (size_t root = 0; root < n; ++root) {
    if (state[root] != 0) continue;
    std::vector<Frame> stack{{static_cast<int32_t>(root), 0, 0}};
    state[root] = 1;
    while (!stack.empty()) {
      Frame& f = stack.back();
      const auto q = static_cast<size_t>(f.q);
      const auto edges = dfa.edges_of(f.q);
      if (f.edge == edges.size()) {
        const int32_t l = dfa.states[q].label;
        if (l >= 0 && (label < 0 || l == label)) ++f.sum;
        counts[q] = std::min(cap, f.sum);
        state[q] = 2;
        stack.pop_back();
        continue;
      }
      const Dfa::Edge& e = edges[f.edge];
      const auto to = static_cast<size_t>(e.to);
      if (costs[to] >= kInfinite) {
        ++f.edge;
      } else if (state[to] == 0) {
        state[to] = 1;
        stack.push_back({e.to, 0, 0});
      } else {
        const int64_t width = static_cast<int64_t>(e.hi) - e.lo + 1;
        const int64_t below = state[to] == 1 ? cap : counts[to];
        f.sum = below >= cap / width ? cap : std::min(cap, f.sum + below * width);
        ++f.edge;
      }
    }
  }
  // States that reach a cycle found late: propagate the cap backwards.
  bool changed = true;
  while (changed) {
    changed = false;
    for (size_t q = 0; q < n; ++q) {
      if (counts[q] >= cap) continue;
      for (const Dfa::Edge& e : dfa.edges_of(static_cast<int32_t>(q))) {
        if (costs[static_cast<size_t>(e.to)] < kInfinite && counts[static_cast<size_t>(e.to)] >= cap) {
          counts[q] = cap;
          changed = true;
          break;
        }
      }
    }
  }
  return counts;
}

std::optional<std::vector<std::string>> enumerate_texts(const Dfa& dfa, int32_t label, size_t max_texts) {
  std::vector<std::string> out;
  if (dfa.is_empty()) return out;
  const auto cap = static_cast<int64_t>(max_texts) + 1;
  const std::vector<int64_t> counts = count_accepted(dfa, label, cap);
  if (counts[0] >= cap) return std::nullopt;
  std::vector<std::pair<int32_t, std::string>> todo{{dfa.start, ""}};
  while (!todo.empty()) {
    auto [q, text] = std::move(todo.back());
    todo.pop_back();
    const int32_t l = dfa.label(q);
    if (l >= 0 && (label < 0 || l == label)) out.push_back(text);
    for (const Dfa::Edge& e : dfa.edges_of(q)) {
      if (counts[static_cast<size_t>(e.to)] == 0) continue;
      for (uint32_t cp = e.lo; cp <= e.hi; ++cp) {
        if (cp >= 0xD800 && cp <= 0xDFFF) continue;
        std::string longer = text;
        append_code_point(longer, cp);
        todo.push_back({e.to, std::move(longer)});
      }
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<int32_t> cheapest_texts(const Dfa& dfa, int32_t from, int32_t label, size_t n_texts) {
  std::vector<int32_t> out;
  const std::vector<int32_t> rest = costs_to_accept(dfa, label, cheapest_json_bytes);
  if (rest[static_cast<size_t>(from)] >= kInfinite) return out;
  const size_t n = dfa.states.size();
  const auto many = static_cast<int64_t>(n_texts);
  // counts[c][q]: texts of exactly c bytes from the start to q; a window of the last seven costs is enough.
  std::vector<std::vector<int64_t>> window(8, std::vector<int64_t>(n, 0));
  window[0][static_cast<size_t>(from)] = 1;
  // Widths of an edge by the bytes its code points take.
  const auto width = [](uint32_t lo, uint32_t hi, int32_t bytes) {
    const auto count = [&](uint32_t a, uint32_t b) -> int64_t { return lo <= b && hi >= a ? static_cast<int64_t>(std::min(hi, b)) - std::max(lo, a) + 1 : 0; };
    switch (bytes) {
      case 1: return count(0x20, 0x7F) - count('"', '"') - count('\\', '\\');
      case 2: return count('"', '"') + count('\\', '\\') + count(8, 10) + count(12, 13) + count(0x80, 0x7FF);
      case 3: return count(0x800, 0xD7FF) + count(0xE000, 0xFFFF);
      case 4: return count(0x10000, kMaxCodePoint);
      case 6: return count(0, 7) + count(11, 11) + count(14, 0x1F);
      default: return int64_t{0};
    }
  };
  int64_t n_work = 0;
  for (int32_t c = 0; c < 2000 && static_cast<int64_t>(out.size()) < many; ++c) {
    std::vector<int64_t>& now = window[static_cast<size_t>(c % 8)];
    if (c > 0) {
      std::fill(now.begin(), now.end(), 0);
      for (int32_t bytes : {1, 2, 3, 4, 6}) {
        if (bytes > c) break;
        const std::vector<int64_t>& before = window[static_cast<size_t>((c - bytes) % 8)];
        for (size_t q = 0; q < n; ++q) {
          if (before[q] == 0) continue;
          for (const Dfa::Edge& e : dfa.edges_of(static_cast<int32_t>(q))) {
            if (rest[static_cast<size_t>(e.to)] >= kInfinite) continue;
            ++n_work;
            const int64_t w = std::min(many, width(e.lo, e.hi, bytes));
            int64_t& to = now[static_cast<size_t>(e.to)];
            to = std::min(many, to + w * before[q]);
          }
        }
      }
    }
    int64_t total = 0;
    for (size_t q = 0; q < n; ++q) {
      if (dfa.states[q].label == label) total += now[q];
    }
    for (int64_t i = 0; i < total && static_cast<int64_t>(out.size()) < many; ++i) out.push_back(c);
    if (n_work > 4'000'000) break;
  }
  return out;
}

}  // namespace hanlin::grammar
