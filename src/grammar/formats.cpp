#include "grammar/formats.h"

#include <array>
#include <string>
#include <utility>

namespace hanlin::grammar {
namespace {

// RFC 3339: the days of each month, leap years included.
#define HANLIN_DATE                                                                                                    \
  "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))" \
  "|(?:[0-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
#define HANLIN_TIME "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
#define HANLIN_BYTE "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define HANLIN_IPV4 HANLIN_BYTE "(?:\\." HANLIN_BYTE "){3}"
#define HANLIN_H16 "[0-9A-Fa-f]{1,4}"
#define HANLIN_LS32 "(?:" HANLIN_H16 ":" HANLIN_H16 "|" HANLIN_IPV4 ")"
// RFC 4291, as RFC 3986 writes it.
#define HANLIN_IPV6                                                                                          \
  "(?:(?:" HANLIN_H16 ":){6}" HANLIN_LS32 "|::(?:" HANLIN_H16 ":){5}" HANLIN_LS32 "|(?:" HANLIN_H16          \
  ")?::(?:" HANLIN_H16 ":){4}" HANLIN_LS32 "|(?:(?:" HANLIN_H16 ":){0,1}" HANLIN_H16 ")?::(?:" HANLIN_H16    \
  ":){3}" HANLIN_LS32 "|(?:(?:" HANLIN_H16 ":){0,2}" HANLIN_H16 ")?::(?:" HANLIN_H16 ":){2}" HANLIN_LS32     \
  "|(?:(?:" HANLIN_H16 ":){0,3}" HANLIN_H16 ")?::" HANLIN_H16 ":" HANLIN_LS32 "|(?:(?:" HANLIN_H16           \
  ":){0,4}" HANLIN_H16 ")?::" HANLIN_LS32 "|(?:(?:" HANLIN_H16 ":){0,5}" HANLIN_H16 ")?::" HANLIN_H16        \
  "|(?:(?:" HANLIN_H16 ":){0,6}" HANLIN_H16 ")?::)"
#define HANLIN_LABEL "[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?"
// RFC 3986.
#define HANLIN_PCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define HANLIN_NCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=@-]|%[0-9A-Fa-f]{2})"
#define HANLIN_AUTHORITY \
  "(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?(?:\\[" HANLIN_IPV6 "\\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?"
#define HANLIN_TAIL "(?:\\?(?:" HANLIN_PCHAR "|[/?])*)?(?:#(?:" HANLIN_PCHAR "|[/?])*)?"
#define HANLIN_ABEMPTY "(?:/" HANLIN_PCHAR "*)*"
#define HANLIN_ABSOLUTE "/(?:" HANLIN_PCHAR "+" HANLIN_ABEMPTY ")?"
#define HANLIN_URI \
  "[A-Za-z][A-Za-z0-9+.-]*:(?://" HANLIN_AUTHORITY HANLIN_ABEMPTY "|" HANLIN_ABSOLUTE "|" HANLIN_PCHAR "+" HANLIN_ABEMPTY "|)" HANLIN_TAIL
#define HANLIN_RELATIVE \
  "(?://" HANLIN_AUTHORITY HANLIN_ABEMPTY "|" HANLIN_ABSOLUTE "|" HANLIN_NCHAR "+" HANLIN_ABEMPTY "|)" HANLIN_TAIL

constexpr std::array<std::pair<std::string_view, const char*>, 16> kFormats = {{
    {"date", HANLIN_DATE},
    {"time", HANLIN_TIME},
    {"date-time", HANLIN_DATE "[Tt]" HANLIN_TIME},
    {"duration", "P(?:[0-9]+W|(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)(?:T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))?"
                 "|T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))"},
    {"email", "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@" HANLIN_LABEL "(?:\\." HANLIN_LABEL ")*"},
    {"hostname", "[0-9A-Za-z](?:[0-9A-Za-z-]{0,59}[0-9A-Za-z])?(?:\\." HANLIN_LABEL "){0,3}"},
    {"ipv4", HANLIN_IPV4},
    {"ipv6", HANLIN_IPV6},
    {"uuid", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"},
    {"uri", HANLIN_URI},
    {"iri", HANLIN_URI},
    {"uri-reference", HANLIN_URI "|" HANLIN_RELATIVE},
    {"iri-reference", HANLIN_URI "|" HANLIN_RELATIVE},
    {"json-pointer", "(?:/(?:[^~/]|~[01])*)*"},
    {"relative-json-pointer", "(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^~/]|~[01])*)*)"},
    {"idn-email", "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@" HANLIN_LABEL "(?:\\." HANLIN_LABEL ")*"},
}};

}  // namespace

const char* format_regex(std::string_view name) {
  for (const auto& [known, regex] : kFormats) {
    if (known == name) return regex;
  }
  return nullptr;
}

bool format_is_exact(std::string_view name) {
  for (std::string_view exact : {"date", "ipv4", "ipv6", "uuid", "uri", "uri-reference", "json-pointer", "relative-json-pointer"}) {
    if (name == exact) return true;
  }
  return false;
}

}  // namespace hanlin::grammar
