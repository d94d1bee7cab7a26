#include "hub/look_up.h"

#include <netdb.h>

#include <thread>

namespace hanlin::hub {

std::future<LookUp> look_up(const std::string& host, uint16_t port) {
  std::promise<LookUp> promise;
  auto future = promise.get_future();
  std::thread([promise = std::move(promise), host, port]() mutable {
    addrinfo hints{}, *list = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    LookUp found{.failure = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list)};
    for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) found.addresses.emplace_back(reinterpret_cast<const char*>(entry->ai_addr), entry->ai_addrlen);
    if (list != nullptr) freeaddrinfo(list);
    promise.set_value(std::move(found));
  }).detach();
  return future;
}

}  // namespace hanlin::hub
