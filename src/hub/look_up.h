// Name lookup that can be given up.
#pragma once

#include <algorithm>
#include <cstdint>
#include <future>
#include <string>
#include <vector>

namespace hanlin::hub {

struct LookUp {
  int failure = 0;  // a code of getaddrinfo; 0: none
  std::vector<std::string> addresses = {};  // the bytes of a sockaddr each
};

// getaddrinfo cannot be interrupted, so it runs on a thread that outlives a caller who stops waiting. Any thread.
std::future<LookUp> look_up(const std::string& host, uint16_t port);

// The addresses as endpoints of a network library: a type with capacity(), data() and resize().
template <typename Endpoint>
std::vector<Endpoint> endpoints_of(const LookUp& found) {
  std::vector<Endpoint> endpoints;
  for (const std::string& address : found.addresses) {
    Endpoint endpoint;
    if (address.size() > endpoint.capacity()) continue;
    std::copy(address.begin(), address.end(), reinterpret_cast<char*>(endpoint.data()));
    endpoint.resize(address.size());
    endpoints.push_back(endpoint);
  }
  return endpoints;
}

}  // namespace hanlin::hub
