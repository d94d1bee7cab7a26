// Which servers a call may go to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hub/url.h"

namespace hanlin::net {

// Hosts are written "example.com", "*.example.com" (every name below it, not itself) or "*".
struct HttpRules {
  std::vector<std::string> schemes = {"https", "http"};
  std::vector<std::string> hosts;          // allowed ones; empty: none
  // Hosts whose private, loopback or link-local addresses are allowed too: "localhost", "10.0.0.7", or with a port,
  // "127.0.0.1:8080". What stands here is allowed without standing in `hosts`.
  std::vector<std::string> private_hosts;
  int max_redirects = 5;
  bool follow_to_other_servers = true;     // false: a redirect to another scheme, host or port is an error
};

// Rules for one server that the user has configured himself: only this one, wherever it is.
HttpRules rules_for_server(const hub::Url& url);

// kInvalidArgument, written for the model: a scheme or host that is not allowed.
Status check_url(const HttpRules& rules, const hub::Url& url);

// Is this address (as text, IPv4 or IPv6) one of the public Internet? False for private, loopback, link-local, shared,
// multicast and reserved ones, also inside IPv6 (mapped, NAT64, 6to4, Teredo), and for what is no address.
bool is_public_address(std::string_view address);

// kInvalidArgument unless the address that the name of `url` was resolved to is public or `url` is listed as private.
Status check_address(const HttpRules& rules, const hub::Url& url, const std::string& address);

}  // namespace hanlin::net
