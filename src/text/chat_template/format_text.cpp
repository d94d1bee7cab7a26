#include "text/chat_template/format_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "text/chat_template/operators.h"
#include "text/chat_template/printing.h"
#include "text/chat_template/unicode.h"

namespace hanlin::jinja {
namespace {

constexpr int64_t kMaxPrecision = 1000;

// [[fill]align][sign][#][0][width][,][.precision][type]
struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ =
  char sign = '-';
  bool alternate = false;
  char group = 0;  // , or _
  int64_t width = 0;
  std::optional<int> precision;
  char type = 0;
};

int64_t parse_count(std::string_view text, size_t* pos) {
  int64_t n = 0;
  for (; *pos < text.size() && text[*pos] >= '0' && text[*pos] <= '9'; ++*pos) {
    n = n * 10 + (text[*pos] - '0');
    if (n > INT32_MAX) fail("format: width or precision too large");
  }
  return n;
}

int checked_precision(int64_t n) {
  if (n > kMaxPrecision) fail(fmt::format("format: expected a precision of at most {}, got {}", kMaxPrecision, n));
  return static_cast<int>(n);
}

Spec parse_spec(std::string_view text) {
  Spec spec;
  size_t pos = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!text.empty()) {
    const size_t n = decode_at(text, 0).n_bytes;
    if (n < text.size() && is_align(text[n])) {
      spec.fill = text.substr(0, n);
      spec.align = text[n];
      pos = n + 1;
    } else if (is_align(text[0])) {
      spec.align = text[0];
      pos = 1;
    }
  }
  const auto take = [&](char c) { return pos < text.size() && text[pos] == c ? ++pos, true : false; };
  for (char sign : {'+', '-', ' '}) {
    if (take(sign)) { spec.sign = sign; break; }
  }
  spec.alternate = take('#');
  if (take('0') && spec.align == 0) { spec.fill.assign(1, '0'); spec.align = '='; }
  spec.width = parse_count(text, &pos);
  if (take(',')) spec.group = ',';
  else if (take('_')) spec.group = '_';
  if (take('.')) {
    if (pos >= text.size() || text[pos] < '0' || text[pos] > '9') fail("Format specifier missing precision");
    spec.precision = checked_precision(parse_count(text, &pos));
  }
  if (pos < text.size()) spec.type = text[pos++];
  if (pos < text.size()) fail("Invalid format specifier");
  return spec;
}

// Puts `sign` + `digits` (or text) into the field.
void append_padded(Runtime& rt, const Spec& spec, std::string_view sign, std::string_view body, char default_align, TextBuffer& out) {
  const auto n = static_cast<int64_t>(count_code_points(body) + sign.size());
  const int64_t n_fill = std::max<int64_t>(spec.width - n, 0);
  const char align = spec.align != 0 ? spec.align : default_align;
  const int64_t n_left = align == '>' || align == '=' ? n_fill : align == '^' ? n_fill / 2 : 0;
  const auto fill = [&](int64_t count) {
    rt.step(count / 64);
    for (int64_t i = 0; i < count; ++i) out.append(spec.fill);
  };
  if (align == '=') out.append(sign);
  fill(n_left);
  if (align != '=') out.append(sign);
  out.append(body);
  fill(n_fill - n_left);
}

std::string grouped(std::string digits, char separator, size_t every) {
  size_t end = std::min(digits.find_first_of(".e%"), digits.size());
  while (end > every) {
    end -= every;
    digits.insert(end, 1, separator);
  }
  return digits;
}

std::string float_digits(double magnitude, char type, int precision, bool alternate) {
  if (std::isnan(magnitude) || std::isinf(magnitude)) {
    std::string text = std::isnan(magnitude) ? "nan" : "inf";
    return type == 'F' || type == 'E' || type == 'G' ? to_upper(text) : text;
  }
  const std::string pattern = std::string("%") + (alternate ? "#" : "") + ".*" + type;
  const int n = std::snprintf(nullptr, 0, pattern.c_str(), precision, magnitude);
  std::string text(static_cast<size_t>(n), '\0');
  std::snprintf(text.data(), text.size() + 1, pattern.c_str(), precision, magnitude);
  return text;
}

std::string sign_text(bool is_negative, char sign) { return is_negative ? "-" : sign == '-' ? "" : std::string(1, sign); }

void append_float(Runtime& rt, double value, const Spec& spec, TextBuffer& out) {
  const double magnitude = std::fabs(value);
  std::string digits;
  if (spec.type == '%') {
    digits = float_digits(magnitude * 100, 'f', spec.precision.value_or(6), spec.alternate) + "%";
  } else if (spec.type == 0 && !spec.precision) {
    digits = float_repr(magnitude);
  } else {
    digits = float_digits(magnitude, spec.type == 0 || spec.type == 'n' ? 'g' : spec.type, spec.precision.value_or(6), spec.alternate);
    // Without a type Python keeps at least one digit after the point.
    if (spec.type == 0 && digits.find_first_of(".en") == std::string::npos) digits += ".0";
  }
  if (spec.group != 0) digits = grouped(std::move(digits), spec.group, 3);
  append_padded(rt, spec, sign_text(std::signbit(value) && !std::isnan(value), spec.sign), digits, '>', out);
}

std::string integer_digits(uint64_t magnitude, char type) {
  switch (type) {
    case 'b': return fmt::format("{:b}", magnitude);
    case 'o': return fmt::format("{:o}", magnitude);
    case 'x': return fmt::format("{:x}", magnitude);
    case 'X': return fmt::format("{:X}", magnitude);
    default: return fmt::format("{}", magnitude);
  }
}

void append_integer(Runtime& rt, int64_t value, const Spec& spec, TextBuffer& out) {
  const uint64_t magnitude = value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits = integer_digits(magnitude, spec.type);
  const bool is_decimal_type = spec.type == 0 || spec.type == 'd' || spec.type == 'n' || spec.type == 'i' || spec.type == 'u';
  if (spec.group != 0) digits = grouped(std::move(digits), spec.group, is_decimal_type ? 3 : 4);
  std::string sign = sign_text(value < 0, spec.sign);
  if (spec.alternate && !is_decimal_type) sign += std::string("0") + spec.type;
  append_padded(rt, spec, sign, digits, '>', out);
}

void append_text(Runtime& rt, std::string_view text, const Spec& spec, TextBuffer& out) {
  rt.step_for_scan(text.size());
  if (spec.precision) text = text.substr(0, byte_offset(text, static_cast<size_t>(*spec.precision)));
  append_padded(rt, spec, "", text, '<', out);
}

// format(value, spec)
void append_formatted(Runtime& rt, const Value& value, std::string_view spec_text, TextBuffer& out) {
  if (spec_text.empty()) return append_str(rt, value, out);
  const Spec spec = parse_spec(spec_text);
  const auto refuse_type = [&] {
    fail(fmt::format("Unknown format code '{}' for object of type '{}'", spec.type, type_name(value)));
  };
  if (value.is_string()) {
    if (spec.type != 0 && spec.type != 's') refuse_type();
    if (spec.align == '=') fail("'=' alignment not allowed in string format specifier");
    return append_text(rt, value.str(), spec, out);
  }
  if (!value.is_number()) fail(fmt::format("unsupported format string passed to {}.__format__", type_name(value)));
  constexpr std::string_view kFloatTypes = "eEfFgG%";
  const bool as_float = value.is(Kind::kFloat) || (spec.type != 0 && kFloatTypes.find(spec.type) != std::string_view::npos);
  if (as_float) {
    if (spec.type != 0 && spec.type != 'n' && kFloatTypes.find(spec.type) == std::string_view::npos) refuse_type();
    return append_float(rt, value.as_real(), spec, out);
  }
  if (spec.type != 0 && std::string_view("bdonxX").find(spec.type) == std::string_view::npos) refuse_type();
  if (spec.precision) fail("Precision not allowed in integer format specifier");
  append_integer(rt, value.as_int(), spec, out);
}

// One % conversion: flags, width, precision, letter.
class PercentFormatter {
 public:
  PercentFormatter(Runtime& rt, std::string_view format, const Value& args, bool escape)
      : rt_(rt), format_(format), args_(args), escape_(escape), out_(rt) {}

  std::string run() {
    size_t pos = 0;
    while (pos < format_.size()) {
      const size_t percent = std::min(format_.find('%', pos), format_.size());
      out_.append(format_.substr(pos, percent - pos));
      pos = percent;
      if (pos < format_.size()) pos = convert(pos + 1);
    }
    if (args_.is(Kind::kTuple) ? n_used_ < args_.items().size() : !args_.is(Kind::kDict) && n_used_ == 0 && !args_.is_sequence()) {
      fail("not all arguments converted during string formatting");
    }
    return out_.take();
  }

 private:
  Value next_argument() {
    if (!args_.is(Kind::kTuple)) {
      if (n_used_++ > 0) fail("not enough arguments for format string");
      return args_;
    }
    if (n_used_ >= args_.items().size()) fail("not enough arguments for format string");
    return args_.items()[n_used_++];
  }

  size_t convert(size_t pos) {
    rt_.step();
    std::optional<Value> named;
    if (pos < format_.size() && format_[pos] == '(') {
      const size_t end = format_.find(')', pos);
      if (end == std::string_view::npos) fail("incomplete format key");
      if (!args_.is(Kind::kDict)) fail("format requires a mapping");
      const Value* found = args_.dict().find(format_.substr(pos + 1, end - pos - 1));
      if (found == nullptr) fail(fmt::format("KeyError: '{}'", format_.substr(pos + 1, end - pos - 1)));
      named = *found;
      pos = end + 1;
    }
    Spec spec;
    bool left = false, zero = false;
    for (; pos < format_.size() && std::string_view("-+ #0").find(format_[pos]) != std::string_view::npos; ++pos) {
      switch (format_[pos]) {
        case '-': left = true; break;
        case '0': zero = true; break;
        case '#': spec.alternate = true; break;
        case '+': spec.sign = '+'; break;
        default: if (spec.sign == '-') spec.sign = ' ';
      }
    }
    spec.width = count(&pos);
    if (spec.width < 0) { left = true; spec.width = -spec.width; }
    if (pos < format_.size() && format_[pos] == '.') {
      ++pos;
      spec.precision = checked_precision(std::max<int64_t>(count(&pos), 0));
    }
    while (pos < format_.size() && (format_[pos] == 'l' || format_[pos] == 'h' || format_[pos] == 'L')) ++pos;
    if (pos >= format_.size()) fail("incomplete format");
    spec.type = format_[pos];
    spec.align = left ? '<' : '>';
    if (spec.type == '%') {
      out_.append('%');
      return pos + 1;
    }
    const Value value = named ? *named : next_argument();
    convert_value(value, spec, zero && !left);
    return pos + 1;
  }

  int64_t count(size_t* pos) {
    if (*pos < format_.size() && format_[*pos] == '*') {
      ++*pos;
      const Value n = next_argument();
      if (!n.is_integral() || n.as_int() > INT32_MAX || n.as_int() < -INT32_MAX) fail("* wants int");
      return n.as_int();
    }
    return parse_count(format_, pos);
  }

  void convert_value(const Value& value, Spec spec, bool zero) {
    const auto pad_with_zeros = [&] {
      if (zero) { spec.fill.assign(1, '0'); spec.align = '='; }
    };
    switch (spec.type) {
      case 's': return append_text(rt_, text_of(value, to_str(rt_, value)), spec, out_);
      case 'r':
      case 'a': return append_text(rt_, text_of(value, to_repr(rt_, value)), spec, out_);
      case 'c':
        if (value.is_string() && length(rt_, value) == 1) return append_text(rt_, value.str(), spec, out_);
        fail("%c requires int or char");
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o': {
        if (value.is_undefined()) fail_undefined(value);
        if (!value.is_number()) fail(fmt::format("%{} format: a number is required, not {}", spec.type, type_name(value)));
        const double real = value.as_real();
        if (value.is(Kind::kFloat) && !(std::fabs(real) < 9e18)) fail("cannot convert float to integer");
        pad_with_zeros();
        const int64_t number = value.is(Kind::kFloat) ? static_cast<int64_t>(real) : value.as_int();
        return append_integer(rt_, number, spec, out_);
      }
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (value.is_undefined()) fail_undefined(value);
        if (!value.is_number()) fail(fmt::format("must be real number, not {}", type_name(value)));
        pad_with_zeros();
        return append_float(rt_, value.as_real(), spec, out_);
      default: fail(fmt::format("unsupported format character '{}'", spec.type));
    }
  }

  std::string text_of(const Value& value, std::string text) {
    const bool is_safe = value.is_string() && value.text().is_markup;
    return escape_ && !is_safe ? escape_html(rt_, text) : text;
  }

  Runtime& rt_;
  std::string_view format_;
  const Value& args_;
  bool escape_;
  TextBuffer out_;
  size_t n_used_ = 0;
};

class BraceFormatter {
 public:
  BraceFormatter(Runtime& rt, const CallArgs& args) : rt_(rt), args_(args), out_(rt) {}

  std::string run(std::string_view format) {
    append(format, out_, 0);
    return out_.take();
  }

 private:
  void append(std::string_view format, TextBuffer& out, int depth) {
    for (size_t pos = 0; pos < format.size();) {
      const char c = format[pos];
      if (c != '{' && c != '}') {
        const size_t end = std::min(format.find_first_of("{}", pos), format.size());
        out.append(format.substr(pos, end - pos));
        pos = end;
      } else if (pos + 1 < format.size() && format[pos + 1] == c) {
        out.append(c);
        pos += 2;
      } else if (c == '}') {
        fail("Single '}' encountered in format string");
      } else {
        pos = replace_field(format, pos + 1, out, depth);
      }
    }
  }

  // `pos` stands behind the opening brace; returns the position behind the closing one.
  size_t replace_field(std::string_view format, size_t pos, TextBuffer& out, int depth) {
    rt_.step();
    if (depth > 1) fail("Max string recursion exceeded");
    size_t end = pos;
    for (int open = 1; end < format.size(); ++end) {
      if (format[end] == '{') ++open;
      if (format[end] == '}' && --open == 0) break;
    }
    if (end >= format.size()) fail("expected '}' before end of string");
    std::string_view field = format.substr(pos, end - pos);
    const size_t colon = field.find(':');
    const std::string_view spec_format = colon == std::string_view::npos ? std::string_view() : field.substr(colon + 1);
    field = field.substr(0, colon);
    char conversion = 0;
    if (const size_t bang = field.find('!'); bang != std::string_view::npos) {
      if (bang + 2 != field.size()) fail("expected ':' after conversion specifier");
      conversion = field[bang + 1];
      field = field.substr(0, bang);
    }
    Value value = find_field(field);
    if (conversion == 's') value = soft_str(rt_, value);
    else if (conversion == 'r') value = make_string(rt_, to_repr(rt_, value));
    else if (conversion != 0) fail(fmt::format("Unknown conversion specifier {}", conversion));
    TextBuffer spec(rt_);
    append(spec_format, spec, depth + 1);  // after the field: both may count through the arguments
    append_formatted(rt_, value, spec.text(), out);
    return end + 1;
  }

  Value find_field(std::string_view field) {
    const size_t end = std::min(field.find_first_of(".["), field.size());
    const std::string_view name = field.substr(0, end);
    Value value = find_argument(name);
    for (size_t pos = end; pos < field.size();) {
      rt_.step();
      if (field[pos] == '.') {
        const size_t stop = std::min(field.find_first_of(".[", pos + 1), field.size());
        value = get_attribute(rt_, value, field.substr(pos + 1, stop - pos - 1));
        pos = stop;
      } else {
        const size_t stop = field.find(']', pos);
        if (field[pos] != '[' || stop == std::string_view::npos) fail("Missing ']' in format string");
        const std::string_view key = field.substr(pos + 1, stop - pos - 1);
        size_t n = 0;
        const int64_t number = parse_count(key, &n);
        const bool is_number = !key.empty() && n == key.size();
        value = get_item(rt_, value, is_number ? Value::integer(number) : make_string(rt_, std::string(key)));
        pos = stop + 1;
      }
    }
    return value;
  }

  Value find_argument(std::string_view name) {
    size_t idx = 0;
    if (name.empty()) {
      idx = next_++;
    } else if (name[0] >= '0' && name[0] <= '9') {
      size_t n = 0;
      idx = static_cast<size_t>(parse_count(name, &n));
    } else {
      for (const auto& [key, value] : args_.named) {
        if (key == name) return value;
      }
      fail(fmt::format("KeyError: '{}'", name));
    }
    if (idx >= args_.positional.size()) fail("Replacement index out of range for positional args tuple");
    return args_.positional[idx];
  }

  Runtime& rt_;
  const CallArgs& args_;
  TextBuffer out_;
  size_t next_ = 0;
};

}  // namespace

Value format_percent(Runtime& rt, const Value& format, const Value& args) {
  const bool is_markup = format.text().is_markup;
  return make_string(rt, PercentFormatter(rt, format.str(), args, is_markup).run(), is_markup);
}

Value format_braces(Runtime& rt, const Value& format, const CallArgs& args) {
  return make_string(rt, BraceFormatter(rt, args).run(format.str()), format.text().is_markup);
}

}  // namespace hanlin::jinja
