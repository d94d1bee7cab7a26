// Hostile templates: every one must end with a clear error, in bounded time, memory and stack.
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "base/json.h"
#include "base/mmap_file.h"
#include "text/chat_template/chat_template.h"

namespace hanlin {
namespace {

std::string repeated(const std::string& piece, int n) {
  std::string text;
  for (int i = 0; i < n; ++i) text += piece;
  return text;
}

Result<std::string> render(const std::string& source, const TemplateLimits& limits = {}, const Json& context = Json::object()) {
  auto compiled = ChatTemplate::compile(source);
  if (!compiled.ok()) return compiled.error();
  RenderOptions options;
  options.now = 0;
  options.limits = limits;
  return compiled->render(context, options);
}

// A tenth of the defaults: the same refusals, sooner.
const TemplateLimits kTestLimits = {.max_steps = 200'000, .max_memory_bytes = 32 << 20};

void expect_error(const std::string& source, Code code, const std::string& part, const TemplateLimits& limits = kTestLimits) {
  const auto got = render(source, limits);
  const std::string name = source.substr(0, 120);
  ASSERT_FALSE(got.ok()) << name << " rendered " << got->size() << " bytes";
  EXPECT_EQ(code_name(got.error().code), std::string(code_name(code))) << name << ": " << got.error().message;
  EXPECT_NE(got.error().message.find(part), std::string::npos) << name << ": " << got.error().message;
}

TEST(ChatTemplateLimits, EndlessWorkStopsAtTheStepLimit) {
  const std::string loop = "{% for a in range(99999) %}{% for b in range(99999) %}";
  expect_error(loop + "{% endfor %}{% endfor %}", Code::kResourceExhausted, "steps", TemplateLimits());
  expect_error(loop + "{{ a }}{% endfor %}{% endfor %}", Code::kResourceExhausted, "");
  expect_error("{% set x = 'ab' * 200000 %}" + loop + "{% set y = x.replace('a', 'b') %}{% endfor %}{% endfor %}", Code::kResourceExhausted, "steps");
  expect_error("{% set x = 'a' * 200000 %}" + loop + "{% set y = ('a' * 500000 ~ 'b') in x %}{% endfor %}{% endfor %}", Code::kResourceExhausted, "steps");
  expect_error("{% set x = 'a' * 200000 %}" + loop + "{% set y = x.rfind('b' ~ 'a' * 500000) %}{% endfor %}{% endfor %}", Code::kResourceExhausted, "steps");
  expect_error("{% set x = '你' * 200000 %}" + loop + "{{ x|length }}{% endfor %}{% endfor %}", Code::kResourceExhausted, "steps");
  // 2^40 elements through 40 shared lists: comparing, printing and writing JSON all visit them.
  const std::string doubled = "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(40) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}";
  expect_error(doubled + "{{ ns.a == ns.b }}", Code::kResourceExhausted, "steps");
  expect_error(doubled + "{{ ns.a|string|length }}", Code::kResourceExhausted, "");
  expect_error(doubled + "{{ ns.a|tojson|length }}", Code::kResourceExhausted, "");
  expect_error("{{ '%d' % 5|batch(3) }}{{ []|slice(999999999999)|list }}", Code::kInvalidArgument, "");
  expect_error("{{ []|slice(999999999999)|list }}", Code::kResourceExhausted, "");
  expect_error("{{ [1]|batch(999999999999, 'x')|list }}", Code::kResourceExhausted, "");
}

TEST(ChatTemplateLimits, MemoryStopsAtItsLimit) {
  expect_error("{{ 'a' * 10**9 }}", Code::kResourceExhausted, "bytes", TemplateLimits());
  expect_error("{{ 'a' * 10**18 }}", Code::kResourceExhausted, "bytes");
  expect_error("{{ [1] * 10**9 }}", Code::kResourceExhausted, "bytes");
  expect_error("{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}", Code::kResourceExhausted, "bytes");
  expect_error("{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", Code::kResourceExhausted, "bytes");
  expect_error("{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}", Code::kResourceExhausted, "bytes");
  expect_error("{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x|replace('a', 'aa') %}{% endfor %}", Code::kResourceExhausted, "");
  expect_error("{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x.replace('', ns.x) %}{% endfor %}", Code::kResourceExhausted, "");
  expect_error("{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x.join([ns.x, ns.x]) %}{% endfor %}", Code::kResourceExhausted, "bytes");
  expect_error("{% set ns = namespace(x='<') %}{% for i in range(99) %}{% set ns.x = (ns.x * 9)|forceescape %}{% endfor %}", Code::kResourceExhausted, "");
  for (const char* expression : {"'a'.ljust(10**12)", "'a'.center(10**12, '你')", "'5'.zfill(10**12)", "'\t'.expandtabs(10**12)", "'a'|center(10**12)",
                                 "'%*d' % (10**9, 1)", "'{:>999999999}'.format(1)", "'a'|indent(10**12)", "[1]|tojson(indent=10**12)"}) {
    expect_error("{{ " + std::string(expression) + " }}", Code::kResourceExhausted, "");
  }
  expect_error("{{ '%.999999999f' % 1.5 }}", Code::kInvalidArgument, "precision");
  TemplateLimits small;
  small.max_output_bytes = 1000;
  expect_error("{% for i in range(999) %}0123456789{% endfor %}", Code::kResourceExhausted, "output", small);
  small.max_memory_bytes = 10000;
  expect_error("{% set x %}{% for i in range(9999) %}0123456789{% endfor %}{% endset %}", Code::kResourceExhausted, "bytes", small);
}

TEST(ChatTemplateLimits, MemoryOfDeadValuesIsGivenBack) {
  TemplateLimits limits;
  limits.max_memory_bytes = 1 << 20;  // 2000 times 10 kB pass through it
  const auto got = render("{% for i in range(2000) %}{% set x = 'a' * 10000 %}{% endfor %}ok", limits);
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(*got, "ok");
}

TEST(ChatTemplateLimits, DepthStopsRecursion) {
  expect_error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", Code::kResourceExhausted, "macro calls");
  expect_error("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{% if true %}{{ a() }}{% endif %}{% endmacro %}{{ a() }}", Code::kResourceExhausted, "");
  expect_error("{% macro m(x) %}{{ " + repeated("1 ~ (", 60) + "m(x)" + repeated(")", 60) + " }}{% endmacro %}{{ m(1) }}", Code::kResourceExhausted, "");
  expect_error("{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}", Code::kResourceExhausted, "");
  expect_error("{% for x in [[]] recursive %}{{ loop([[]]) }}{% endfor %}", Code::kResourceExhausted, "");
  expect_error("{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}", Code::kResourceExhausted, "nested");
  expect_error("{% set ns = namespace(x={}) %}{% for i in range(99999) %}{% set ns.x = {'a': ns.x} %}{% endfor %}", Code::kResourceExhausted, "nested");
  expect_error("{% set ns = namespace(x=[1]) %}{% for i in range(99999) %}{% set ns.x = ns.x|map('string') %}{% endfor %}", Code::kResourceExhausted, "nested");
  expect_error("{% set ns = namespace(x='a') %}{% for i in range(99999) %}{% set ns.x = [ns.x].count %}{% endfor %}", Code::kResourceExhausted, "nested");
  expect_error("{% set ns = namespace(x=1) %}{% for i in range(99999) %}{% set ns.x = cycler(ns.x) %}{% endfor %}", Code::kResourceExhausted, "nested");
  expect_error("{% set ns = namespace(x=1) %}{% for i in range(99999) %}{% set ns.x = joiner(ns.x) %}{% endfor %}", Code::kResourceExhausted, "nested");
  const auto loops = render("{% set ns = namespace(l=[]) %}{% for i in range(50000) %}{% for x in [ns.l] %}{% set ns.l = loop %}{% endfor %}{% endfor %}ok");
  ASSERT_TRUE(loops.ok()) << loops.error().message;  // finished loops do not hold each other
  // Printing a long chain of namespaces.
  expect_error("{% set ns = namespace(x=1) %}{% for i in range(999) %}{% set ns.x = namespace(p=ns.x) %}{% endfor %}{{ ns }}", Code::kResourceExhausted, "namespaces");
}

TEST(ChatTemplateLimits, LegitimateRecursionIsDeepEnough) {
  const auto got = render("{% macro m(n) %}{% if n > 0 %}{{ '(' ~ m(n - 1) ~ ')' }}{% endif %}{% endmacro %}{{ m(150)|length }}");
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(*got, "300");
}

TEST(ChatTemplateLimits, DeepNestingInTheSourceIsASyntaxError) {
  for (const char* open : {"(", "[", "{'a': ", "f(", "x[", "not ", "-", "1 if 1 else ", "'' ~ (", "x|f("}) {
    expect_error("{{ " + repeated(open, 20000), Code::kCorrupt, "");
    expect_error("{{ " + repeated(open, 20000) + "1 }}", Code::kCorrupt, "");
  }
  for (const char* chain : {" + 1", "|string", ".a", "[0]", "()", " or 1", " and 1", " is none", " * 1", "**1"}) {
    expect_error("{{ x" + repeated(chain, 20000) + " }}", Code::kCorrupt, "");
  }
  for (const char* tag : {"{% if 1 %}", "{% for x in y %}", "{% set x %}", "{% with %}", "{% macro m() %}", "{% filter upper %}", "{% call f() %}"}) {
    expect_error(repeated(tag, 20000), Code::kCorrupt, "nesting");
  }
  expect_error("{% for " + repeated("(", 20000) + repeated(")", 20000) + " in y %}", Code::kCorrupt, "nesting");
}

TEST(ChatTemplateLimits, LongButFlatSourcesAreFine) {
  const auto elifs = render("{% if no %}" + repeated("{% elif no %}", 5000) + "{% else %}x{% endif %}");
  ASSERT_TRUE(elifs.ok()) << elifs.error().message;
  EXPECT_EQ(*elifs, "x");
  const auto joined = render("{{ 'a'" + repeated(" ~ 'a'", 5000) + " }}");
  ASSERT_TRUE(joined.ok()) << joined.error().message;
  EXPECT_EQ(joined->size(), 5001u);
  const auto added = render("{{ 'a'" + repeated(" + 'a'", 400) + " }}");
  ASSERT_TRUE(added.ok()) << added.error().message;
}

TEST(ChatTemplateLimits, IntegersDoNotWrapAround) {
  for (const char* expression : {"9223372036854775807 + 1", "-9223372036854775807 - 2", "9223372036854775807 * 2", "10 ** 30", "2 ** 64", "(-9223372036854775807 - 1) // -1",
                                 "-(-9223372036854775807 - 1)", "(-9223372036854775807 - 1)|abs", "1e30|int", "'99999999999999999999'|int", "9223372036854775807|round(-1)"}) {
    expect_error("{{ " + std::string(expression) + " }}", Code::kInvalidArgument, "overflow");
  }
  expect_error("{{ 99999999999999999999 }}", Code::kCorrupt, "64 bits");
  EXPECT_EQ(*render("{{ (-9223372036854775807 - 1) % -1 }} {{ 1 ** 99999999999 }} {{ range(9223372036854775800, 9223372036854775807)[-1] }}"), "0 1 9223372036854775806");
}

TEST(ChatTemplateLimits, CyclesNeitherLeakNorHang) {  // leaks show under AddressSanitizer
  const auto got = render(
      "{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = [b, a] %}{% macro m() %}{{ m }}{% endmacro %}{% set a.m = m %}"
      "{% for x in [1, 2] %}{% set a.l = loop %}{{ loop.changed(loop) }}{{ loop.changed([loop, a]) }}{% set a.c = loop.changed %}"
      "{% macro inner() %}{{ x }}{% endmacro %}{% set a.i = inner %}{% set y = inner %}{% endfor %}"
      "{{ a.c(a.l, a.c) }}{{ a.i() }}{{ a.b[1].b[0].a is sameas a }}{% set c = cycler(a) %}{% set a.cy = c.next %}{{ a|string|length > 0 }}");
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(*got, "TrueTrueTrueTrueTrue2TrueTrue");
}

TEST(ChatTemplateLimits, TheSandboxHoldsTheDoorsShut) {
  for (const char* expression : {"[].append(1)", "{}.update({})", "''.__class__.__mro__", "{}.pop('a')", "x.__init__()", "range.__globals__.a"}) {
    expect_error("{{ " + std::string(expression) + " }}", Code::kInvalidArgument, "");
  }
}

TEST(ChatTemplateErrors, SyntaxErrorsNameTheLine) {
  const std::pair<const char*, int> cases[] = {
      {"a\nb\n{{ 1 + }}", 3}, {"{% if x %}\n\n\n{{ y }", 4}, {"\n\n{% nosuchtag %}", 3}, {"x\n{# open\n\n", 2}, {"{{ 1 }}\r\n{{ 'open }}", 2}, {"{% raw %}\n{{", 1},
      {"{{ [1,\n2,\n3 }}", 3},  {"{% for x in y %}\n{% endif %}", 2}, {"{% set x = '\\x' %}", 1}, {"\n{{ '\\ud800' }}", 2}, {"{% extends 'a' %}", 1},
  };
  for (const auto& [source, line] : cases) {
    const auto got = ChatTemplate::compile(source);
    ASSERT_FALSE(got.ok()) << source;
    EXPECT_EQ(got.error().message.find("chat template, line " + std::to_string(line) + ": "), 0u) << source << " → " << got.error().message;
  }
  EXPECT_EQ(ChatTemplate::compile("{% include 'x' %}").error().code, Code::kUnsupported);
  EXPECT_EQ(ChatTemplate::compile("{{ '\xff' }}").error().code, Code::kCorrupt);
}

TEST(ChatTemplateErrors, RuntimeErrorsNameTheLine) {
  const auto got = render("a\n{% set x = 1 %}\n\n{{ x + 'b' }}\n");
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().message, "chat template, line 4: unsupported operand type(s) for +: 'int' and 'str'");
}

TEST(ChatTemplate, OneCompiledTemplateServesManyThreads) {
  const auto compiled = ChatTemplate::compile("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + m %}{% endfor %}{{ 'sum ' ~ ns.n|string|upper }}");
  ASSERT_TRUE(compiled.ok());
  std::vector<std::thread> threads;
  std::vector<int> n_right(4, 0);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const ChatTemplate copy = *compiled;
      for (int i = 0; i < 200; ++i) {
        const auto got = copy.render(*parse_json("{\"messages\": [1, " + std::to_string(i) + "]}"));
        n_right[static_cast<size_t>(t)] += got.ok() && *got == "sum " + std::to_string(i + 1) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_right, std::vector<int>(4, 200));
}

TEST(ChatTemplate, ContextsThatAreNotObjectsOrTooDeepAreHandled) {
  EXPECT_EQ(*render("{{ messages }}|", {}, Json()), "|");
  Json deep = Json::array();
  for (int i = 0; i < 1000; ++i) deep = Json::array({std::move(deep)});
  EXPECT_EQ(render("x", {}, Json{{"a", deep}}).error().code, Code::kResourceExhausted);
  EXPECT_EQ(*render("{{ x }}{{ x|length }}{{ x|upper }}", {}, Json{{"x", "a\xff"}}), "a\xff" "2A\xff");
}

}  // namespace
}  // namespace hanlin
