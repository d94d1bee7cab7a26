#include "net/address_rules.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

namespace hanlin::net {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  while (result.size() > 1 && result.ends_with('.')) result.pop_back();  // "localhost." is localhost
  return result;
}

bool host_matches(const std::string& pattern_text, const std::string& host) {
  const std::string pattern = lower(pattern_text);
  if (pattern == "*" || pattern == host) return true;
  return pattern.starts_with("*.") && host.size() > pattern.size() - 1 && host.ends_with(pattern.substr(1));
}

bool listed_as_private(const HttpRules& rules, const hub::Url& url) {
  const std::string host = lower(url.host), shown = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return std::any_of(rules.private_hosts.begin(), rules.private_hosts.end(), [&](const std::string& entry) {
    const std::string listed = lower(entry);
    return listed == host || listed == shown || listed == fmt::format("{}:{}", shown, url.port);
  });
}

struct Range {
  uint32_t address;
  int n_bits;
};
// IANA's IPv4 Special-Purpose Address Registry, what is not globally reachable, and multicast.
constexpr Range kNotPublic[] = {
    {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16}, {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24},
    {0xc0586300, 24}, {0xc0a80000, 16}, {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 4},  {0xf0000000, 4}};

bool is_public_v4(uint32_t address) {
  return std::none_of(std::begin(kNotPublic), std::end(kNotPublic), [&](const Range& range) {
    return (address ^ range.address) >> (32 - range.n_bits) == 0;
  });
}

uint32_t v4_at(const unsigned char* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | uint32_t{bytes[3]};
}

// Only 2000::/3 is global unicast; of that, documentation, Teredo and other special blocks of 2001::/23 are not.
bool is_public_v6(const unsigned char (&a)[16]) {
  static constexpr unsigned char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  static constexpr unsigned char kNat64[12] = {0, 0x64, 0xff, 0x9b};
  if (std::memcmp(a, kMapped, 12) == 0 || std::memcmp(a, kNat64, 12) == 0) return is_public_v4(v4_at(a + 12));
  if ((a[0] & 0xe0) != 0x20) return false;
  if (a[0] == 0x20 && a[1] == 0x02) return is_public_v4(v4_at(a + 2));                                     // 6to4
  if (a[0] == 0x20 && a[1] == 0x01 && (a[2] & 0xfe) == 0) return false;                                    // 2001::/23
  if (a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0d && a[3] == 0xb8) return false;                          // documentation
  return !(a[0] == 0x3f && a[1] == 0xff && (a[2] & 0xf0) == 0);                                            // documentation
}

}  // namespace

HttpRules rules_for_server(const hub::Url& url) {
  HttpRules rules;
  rules.schemes = {url.scheme};
  rules.hosts = {url.host};
  rules.private_hosts = {fmt::format("{}:{}", url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]", url.port)};
  rules.follow_to_other_servers = false;
  return rules;
}

Status check_url(const HttpRules& rules, const hub::Url& url) {
  if (std::find(rules.schemes.begin(), rules.schemes.end(), url.scheme) == rules.schemes.end()) {
    return Error{Code::kInvalidArgument, fmt::format("{}: the scheme {} is not allowed; expected {}", url.shown(), url.scheme, fmt::join(rules.schemes, ", "))};
  }
  const std::string host = lower(url.host);
  const bool allowed = listed_as_private(rules, url) || std::any_of(rules.hosts.begin(), rules.hosts.end(), [&](const std::string& pattern) {
    return host_matches(pattern, host);
  });
  if (!allowed) return Error{Code::kInvalidArgument, fmt::format("{}: the host {} is not on the list of allowed hosts", url.shown(), url.host)};
  return {};
}

bool is_public_address(std::string_view address) {
  const std::string text(address.substr(0, address.find('%')));  // without the zone of a link-local address
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return is_public_v4(ntohl(v4.s_addr));
  unsigned char v6[16];
  return inet_pton(AF_INET6, text.c_str(), v6) == 1 && is_public_v6(v6);
}

Status check_address(const HttpRules& rules, const hub::Url& url, const std::string& address) {
  if (is_public_address(address) || listed_as_private(rules, url)) return {};
  return Error{Code::kInvalidArgument, fmt::format("{}: its address {} is private or reserved, which is not allowed", url.authority(), address)};
}

}  // namespace hanlin::net
