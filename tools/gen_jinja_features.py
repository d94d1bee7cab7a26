"""Writes tests/chat_template/features.jsonl: small templates, one feature each, with what Jinja2 makes of them.

Usage: python3 tools/gen_jinja_features.py > tests/chat_template/features.jsonl      (needs Jinja2 3.1.6)
The environment is the one transformers sets up for chat templates. The first row holds the `context` of
all; each other row has `template` and one of `expected` (the text), `raises` (the message given to raise_exception) or `python_error` (any other failure).
"""
import datetime
import json

import jinja2
import jinja2.ext
import jinja2.sandbox


class Generation(jinja2.ext.Extension):
    """{% generation %}…{% endgeneration %}: the body, in a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


class Raised(Exception):
    pass


def environment():
    def raise_exception(message):
        raise Raised(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda fmt: datetime.datetime(2024, 7, 26, 12, 0).strftime(fmt)
    return env


CONTEXT = {
    "s": "Hello, World", "zh": "你好，世界", "acc": "éÀßÇ ǆ", "empty": "", "n": 42, "neg": -7, "f": 2.5, "t": True, "no": False,
    "nil": None, "xs": [3, 1, 2], "words": ["pear", "Apple", "fig", "apple"], "d": {"b": 1, "a": 2, "c": {"x": [1, {"y": None}]}},
    "ms": [{"role": "system", "content": "S"}, {"role": "user", "content": "U1", "n": 1},
           {"role": "assistant", "content": "A", "n": 2}, {"role": "user", "content": "U2"}],
    "html": "<b>\"x\" & 'y'</b>", "lines": "one\n\n  two\nthree\n", "spaced": "  a  b \t c\n",
}

# Templates, by what they are about; all of them see CONTEXT.
CASES = {
    "printing": [
        "{{ nil }} {{ t }} {{ no }} {{ n }} {{ f }}", "{{ xs }} {{ words }} {{ d }}", "{{ [nil, t, 1.0, 'a', \"it's\", 'q\"', 'b\\'\"'] }}",
        "{{ {'a': [1, (2,), (), (3, 4)]} }}", "{{ ['a\\nb\\t\\\\ \\x01 é 你 \\u200b \\U0001F600'] }}", "{{ (1,) }} {{ () }} {{ (1, 2) }}", "{{ 1, 2 }}",
        "{{ 1e16 }} {{ 1e15 }} {{ 1.5e300 }} {{ 1e-4 }} {{ 1e-5 }} {{ 0.1 + 0.2 }} {{ 100.0 }} {{ 1/3 }} {{ -0.0 }}",
        "{{ 123456789012345678.0 }} {{ 12345678901234567 }} {{ 5e-324 }} {{ 1.7976931348623157e308 }}", "{{ range(5) }} {{ range(1, 9, 2) }}",
        "{{ d.keys() }} {{ d.values() }} {{ {'a': 1}.items() }}", "{{ undefined_thing }}|{{ d.nothing }}|{{ xs[9] }}", "{{ [undefined_thing] }}",
        "{{ namespace(a=1, b='x') }}", "{{ 1_000 }} {{ 0x1F }} {{ 0o17 }} {{ 0b101 }} {{ 1_0.5_0 }}", "{{ 'a' 'b' \"c\" }}", "{{ none }} {{ None }} {{ true }} {{ True }}",
        "{{ -5 }} {{ +5 }} {{ - 5.5 }} {{ -t }}", "{{ '\\u4f60\\u597d' }} {{ '\\x41\\101\\n' }} {{ '\\d\\q' }}", "{{ {1: 2, none: 3, true: 4, 1.5: 5} }}",
        "{{ {'a': 1, 'a': 2} }}", "{{ [html, html|safe, html|e] }}",
    ],
    "arithmetic": [
        "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }}", "{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }} {{ 2 ** 0.5 }}",
        "{{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ (2 + 3) * 4 - 6 / 2 }}", "{{ 1 + 2 ~ 3 + 4 }}", "{{ 1 ~ 2 * 3 }} {{ 'a' ~ 1 ~ none ~ true ~ [1] }}", "{{ true + true }} {{ t * 5 }}",
        "{{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ [1] * 2 }} {{ 'x' * -1 }}|{{ [1] + [2] }} {{ (1,) + (2,) }}", "{{ 1 / 0 }}", "{{ 1 // 0 }}", "{{ 1 % 0 }}", "{{ 'a' + 1 }}", "{{ 1 + 'a' }}",
        "{{ none + 1 }}", "{{ 'a' + none }}", "{{ [1] + (2,) }}", "{{ {} + {} }}", "{{ undefined_thing + 1 }}", "{{ 'a' + undefined_thing }}", "{{ -'a' }}", "{{ 'a' - 'b' }}", "{{ [1] + none }}",
        "{{ 'a' ~ undefined_thing ~ 'b' }}", "{{ '%s is %d and %.2f' % ('x', 3, 1.239) }} {{ '%5d|%-5d|%05d' % (1, 2, 3) }}", "{{ '%s' % 'a' }} {{ '%r' % ['x'] }} {{ '100%%' % () }}",
        "{{ '%(a)s-%(b)03d' % {'a': 1, 'b': 2} }} {{ '%x %X %o %e %g' % (255, 255, 8, 12345.678, 0.00001) }} {{ '%+d % d %#x' % (5, 5, 255) }}",
        "{{ '%s %s' % ('a',) }}", "{{ '%s' % ('a', 'b') }}", "{{ '%d' % 'a' }}", "{{ '%*d' % (6, 42) }} {{ '%.3s' % 'abcdef' }} {{ '%c' % 'z' }}", "{{ 10 ** 3 }} {{ 1.0 + 1 }} {{ 3 * 1.5 }}",
        "{{ 9007199254740993 == 9007199254740992.0 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 0 == false }}",
    ],
    "comparison": [
        "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1 != 2 }} {{ 3 > 2 >= 2 }}", "{{ 'a' < 'b' }} {{ 'Z' < 'a' }} {{ 'é' > 'z' }} {{ [1, 2] < [1, 3] }} {{ (1,) < (1, 0) }}", "{{ 1 < 'a' }}", "{{ none < 1 }}",
        "{{ undefined_thing < 1 }}", "{{ undefined_thing == undefined_other }} {{ undefined_thing == none }} {{ undefined_thing != 1 }}", "{{ [1, 2] == (1, 2) }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} {{ [1] == [1.0] }}",
        "{{ 'a' in 'abc' }} {{ '' in 'abc' }} {{ 2 in xs }} {{ 'a' in d }} {{ 'z' not in d }} {{ 1 in d }} {{ 'a' in ['b', ['a']] }}", "{{ 1 in 'abc' }}", "{{ 'a' in none }}", "{{ 'a' in 5 }}",
        "{{ 'a' in undefined_thing }} {{ undefined_thing in xs }}", "{{ undefined_thing in 'abc' }}", "{{ [] in d }}", "{{ not t }} {{ not not t }} {{ not 1 == 2 }} {{ t and no or 'x' }} {{ empty or nil or 0 or 'last' }}",
        "{{ 0 and undefined_thing.x }} {{ 1 or undefined_thing.x }}", "{{ 1 if t else 2 }} {{ 1 if no }}|{{ 1 if no else 2 if no else 3 }} {{ (1 if t) + 1 }}", "{{ (1 if no).x }}", "{{ 'a' in 'abc' == true }}", "{{ not 'a' in 'b' }}",
        "{{ 3 in range(5) }} {{ 7 in range(5) }} {{ range(3) == range(0, 3, 1) }} {{ 'a' in d.keys() }} {{ 2 in d.values() }} {{ ('a', 2) in d.items() }}", "{{ true is true }} {{ 1 is true }} {{ 1 is sameas 1 }} {{ [] is sameas [] }}",
    ],
    "subscripts": [
        "{{ xs[0] }} {{ xs[-1] }} {{ s[0] }} {{ zh[1] }} {{ zh[-1] }} {{ d['a'] }} {{ d.a }} {{ d.c.x[1].y }} {{ xs.0 }}", "{{ d['c']['x'][0] }} {{ ms[1].content }} {{ ms[-1]['role'] }}", "{{ xs[:2] }} {{ xs[1:] }} {{ xs[::-1] }} {{ xs[-2:] }} {{ xs[:-1] }} {{ xs[::2] }} {{ xs[5:] }} {{ xs[1:100] }}",
        "{{ s[:5] }} {{ s[::-1] }} {{ zh[1:3] }} {{ zh[::-1] }} {{ zh[::2] }} {{ s[-5:-1] }} {{ acc[3:0:-1] }}", "{{ (1, 2, 3)[1:] }} {{ range(10)[2:8:3] }} {{ range(10)[3] }} {{ range(10)[::-1]|list }}", "{{ xs['a'] }}|{{ s['nope'] }}|{{ nil.x }}|{{ n.x }}", "{{ undefined_thing.x }}", "{{ undefined_thing['x'] }}", "{{ d.nope.deeper }}", "{{ nil.x.y }}",
        "{{ nil['a']['b'] }}", "{{ xs['0'] }}|{{ xs[1.5] }}|{{ xs[true] }}", "{{ d[[]] }}|{{ d[{}] }}", "{{ xs[::0] }}", "{{ n[1:] }}", "{{ d[1:] }}", "{{ undefined_thing[1:] }}", "{{ xs['a':] }}", "{{ xs.append }}|{{ xs.append is defined }}", "{{ xs.append(4) }}", "{{ d.update({'z': 1}) }}", "{{ d.pop('a') }}", "{{ xs.__class__ }}|", "{{ xs.__class__.__name__ }}", "{{ ''.__class__ }}",
        "{{ {'items': 5}.items is callable }} {{ {'items': 5}['items'] }} {{ {'get': 1}.get('get') }}", "{{ {1: 'a', true: 'b'}[1] }} {{ {1.0: 'x'}[1] }} {{ {none: 'n'}[none] }} {{ {(1, 2): 'tuple'}[(1, 2)] }} {{ {(1, 2): 'tuple'}[1, 2] }}", "{{ {[]: 1} }}", "{{ 'abc'['upper']() }}", "{{ s.nope() }}", "{{ n() }}", "{{ undefined_thing() }}", "{{ xs[0:2:1] }} {{ xs[:] }} {{ xs[::] }} {{ xs[none:none] }}", "{{ xs|attr('count') is callable }} {{ d|attr('a') }}|",
    ],
    "if": [
        "{% if t %}a{% elif no %}b{% else %}c{% endif %}", "{% if no %}a{% elif t %}b{% endif %}", "{% if undefined_thing %}a{% else %}b{% endif %}", "{% if xs and d and s %}yes{% endif %}", "{% if [] or {} or '' or 0 or 0.0 or none or () %}x{% else %}all false{% endif %}", "{% if xs|select('gt', 9) %}generators are true{% endif %}", "{% if not s.startswith('x') and (n > 1 or no) %}ok{% endif %}", "{% if t %}{% set y = 1 %}{% endif %}{{ y }}", "{% if 1, %}tuple{% endif %}",
    ],
    "for": [
        "{% for x in xs %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% for x in [] %}{{ x }}{% else %}none{% endfor %}", "{% for x in undefined_thing %}{{ x }}{% else %}none{% endfor %}", "{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
        "{% for x in words %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}", "{% for x in words %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}", "{% for x in words %}{{ loop.cycle('a', 'b', 'c') }}{% endfor %}", "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for c in zh %}[{{ c }}]{% endfor %}", "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
        "{% for x in xs if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}", "{% for m in ms if m.role == 'user' %}{{ m.content }}{% if loop.last %}!{% endif %}{% else %}none{% endfor %}", "{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}never{% endfor %}", "{% for x in xs %}{% for y in xs %}{% if y == 2 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}", "{% for x in xs %}{% for y in [1, 2] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
        "{% for x in range(3) %}{{ x }}{% endfor %}{{ x }}", "{% set x = 9 %}{% for x in xs %}{{ x }}{% endfor %}{{ x }}", "{% set y = 1 %}{% for x in xs %}{{ y }}{% set y = x %}{{ y }} {% endfor %}{{ y }}", "{% for a, b in [(1, 2, 3)] %}{% endfor %}", "{% for a, b, c in [(1, 2)] %}{% endfor %}", "{% for x in 5 %}{% endfor %}", "{% for x in none %}{% endfor %}", "{% for x in xs recursive %}{{ x }}{% endfor %}",
        "{% for i in [{'v': 1, 'k': [{'v': 2, 'k': [{'v': 3}]}]}, {'v': 4}] recursive %}{{ loop.depth }}{{ loop.depth0 }}:{{ i.v }}{% if i.k %}({{ loop(i.k) }}){% endif %} {% endfor %}", "{% for x in xs %}{{ loop(xs) }}{% endfor %}", "{% for x in xs %}{{ loop }}{% endfor %}", "{% for x in xs|sort %}{{ x }}{% endfor %}", "{% for x in xs|map('string') %}{{ loop.length }}{{ loop.index }}{{ loop.last }}{{ x }} {% endfor %}", "{% for x in xs if x is odd %}{{ loop.revindex }}{{ loop.last }}{% endfor %}", "{% for x in (1, 2) if no else [3] %}{{ x }}{% endfor %}",
        "{% set ns = namespace(l=none) %}{% for x in xs %}{% set ns.l = loop %}{% endfor %}{{ ns.l.index }}", "{% for x in xs %}{% set loop_index = loop.index %}{{ loop_index }}{% endfor %}{{ loop_index }}|", "{% for x in 'ab' %}{% for y in 'cd' %}{{ loop.index }}{{ x }}{{ y }}{% endfor %}{% endfor %}", "{% for k, v in d|items %}{{ k }}{% endfor %}{% for k, v in d|dictsort %}{{ k }}{% endfor %}", "{% for x in [1,2,3] -%}\n  {{ x }}\n{%- endfor %}", "{% for m in ms %}{{ loop.previtem.role if loop.previtem else 'start' }}>{{ m.role }} {% endfor %}",
        "{% for x in xs %}{{ loop.nope }}{% endfor %}", "{% for a in xs %}{% else %}x{% endfor %}", "{% for a in d.c.x %}{{ a }}{% endfor %}",
    ],
    "set": [
        "{% set a = 1 %}{% set b, c = 2, 3 %}{{ a }}{{ b }}{{ c }}", "{% set a = 1, 2 %}{{ a }}", "{% set a %}block {{ n }}{% endset %}{{ a }}|{{ a|length }}", "{% set a | upper | trim %} x {% endset %}[{{ a }}]", "{% set ns = namespace(x=1) %}{% for i in xs %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}", "{% set ns = namespace() %}{% set ns.a = 1 %}{% set ns.b %}t{% endset %}{{ ns.a }}{{ ns.b }}{{ ns.c }}|{{ ns['a'] }}", "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}", "{% set d.x = 1 %}", "{% set undefined_thing.x = 1 %}", "{% set s = s ~ '!' %}{{ s }}",
        "{% set a, b = [1] %}", "{% set x = x or 5 %}{{ x }}", "{% set ns = namespace(a=[1]) %}{% set ns.a = ns.a + [2] %}{{ ns.a }}", "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me.me is defined }}", "{% set ns = namespace(a=1) %}{% set ns.me = ns %}{{ ns }}", "{% set f = s.upper %}{{ f() }}", "{% set a %}{% set inner = 1 %}{% endset %}{{ inner }}|", "{% set ns.a, b = 1, 2 %}", "{% set ns = namespace() %}{% set ns.a, b = 1, 2 %}{{ ns.a }}{{ b }}", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}|", "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}|",
        "{% generation %}{{ s }}{% set g = 1 %}{% endgeneration %}{{ g }}|", "{% filter upper %}abc {{ s }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}banana{% endfilter %}", "{% block x %}{{ s }}{% endblock %}", "{% block x %}a{% endblock x %}", "{% print s %}{% print 1, 2 %}",
    ],
    "macro": [
        "{% macro m(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 5) }}{{ m(1, c=3) }}{{ m(b=1, a=2) }}{{ m() }}", "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}{{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}", "{% macro m(a) %}{{ a is defined }}{{ a }}{% endmacro %}{{ m() }}", "{% macro m(a) %}{{ a.x }}{% endmacro %}{{ m() }}",
        "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(5) }}", "{% macro m() %}{{ late }}{% endmacro %}{% set late = 'bound' %}{{ m() }}", "{% macro m() %}{% set s = 'inner' %}{{ s }}{% endmacro %}{{ m() }}{{ s }}", "{% macro outer() %}{% macro inner() %}i{% endmacro %}{{ inner() }}o{% endmacro %}{{ outer() }}", "{% macro m(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call m('p') %}text {{ s }}{% endcall %}", "{% macro m(xs) %}{% for x in xs %}{{ caller(x, loop.index) }}{% endfor %}{% endmacro %}{% call(x, i) m(words) %}{{ i }}{{ x }} {% endcall %}", "{% macro m() %}{{ caller is defined }}{{ caller }}{% endmacro %}{{ m() }}",
        "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}", "{% macro m(caller) %}{{ caller() }}{% endmacro %}{% call m() %}y{% endcall %}", "{% macro m() %} x {% endmacro %}[{{ m() }}][{{ m()|trim }}][{{ m()|length }}]", "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}{{ m(5, **{'b': 6}) }}", "{% macro m(a, a2=none) %}{{ a }}{{ a2 }}{% endmacro %}{% for x in xs %}{{ m(x) }}{% endfor %}", "{% for x in xs %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}", "{{ m() }}{% macro m() %}{% endmacro %}", "{% macro m(a) -%}\n  {{ a }}\n{%- endmacro %}\n{{ m(1) }}", "{% macro m(a, b) %}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}{{ m }}",
        "{% macro m(x) %}{{ x|default('none') }}{% endmacro %}{{ m() }}{{ m(undefined_thing) }}{{ m(none) }}", "{% set ns = namespace(n=0) %}{% macro inc() %}{% set ns.n = ns.n + 1 %}{% endmacro %}{{ inc() }}{{ inc() }}{{ ns.n }}", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{% macro m(a, b=1, c) %}{% endmacro %}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ m('<')|safe + '<' }}",
    ],
    "whitespace": [
        "a\n{% if t %}\nb\n{% endif %}\nc\n", "  {% if t %}  \n  b  \n  {% endif %}  \n", "a {%- if t -%} b {%- endif -%} c", "a  {{- 1 -}}  b", "a\n  {{- 1 }}\n\n  {{ 2 -}}\n\n b", "{% if t +%}\nx{% endif %}", "   {%+ if t %}x{% endif %}", "a\n  {# c #}\n  b", "a {#- c -#} b", "a\n   {% set x = 1 %}\n   b", "\n\n{{ 1 }}\n\n", "a\n", "a\n\n", "a\r\nb\rc\n", "{{ 'a\r\nb' }}", "{% raw %}{{ x }} {% if %}{% endraw %}", "a\n  {% raw %}\n  {{ x }}\n  {% endraw %}\nb", "a {%- raw -%}  {{ x }}  {%- endraw -%} b", "{% raw -%}\n x{% endraw +%}\ny", "x {% if t %} y {% endif %} z", "\t{% if t %}\n\t\tq\n\t{% endif %}", "a{% if t %}\n\n\nb{% endif %}", "  {{ 1 }}\n  {% if t %}  {% endif %}\n", "{#- a -#}\n\n{#- b -#}\nx",
        "{%- for x in xs %}\n{{ x }}\n{%- endfor %}\n", "{%- for x in xs -%}\n  {{ x }}\n{%- endfor -%}\n", "{% set a = 1 -%}\n  x\n  {%- set b = 2 %}\n\ny", "<{% if t %}>\n   {% endif %}\n   {% if t %}x{% endif %}", "{{ {'a': {'b': 1}} }}{{ {'a': {'b': 1}}['a'] }}", "{{ '}}' }}{{ \"%}\" }}{{ '{{' }}", "# not a line statement\n## nor a comment\n{{ 1 }}", "{{1}}{{-2}}{{ - 2 }}", "a\u00a0{%- if t %}x{% endif %}", "{% if t %}a{% endif %}\n\n{% if t %}b{% endif %}\n", "x{#\nmulti\nline\n#}\ny", "{{ [1,\n 2,\n 3] }}", "{%if t%}x{%endif%}", "{%- if t %} {{- ' a' }} {%- endif %}", "a{# x +#}\nb", "a{# x #}\nb", "  {#- x #}\nb",
    ],
    "string methods": [
        "{{ '  a b '.strip() }}|{{ '  a '.lstrip() }}|{{ ' a  '.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abcba'.strip('ab') }}|{{ 'a\\n'.rstrip('\\n') }}", "{{ '\\u3000你\\u3000'.strip() }}|{{ '你好你'.strip('你') }}", "{{ 'a,b,,c'.split(',') }} {{ ' a  b\\tc\\n'.split() }} {{ 'a b c d'.split(' ', 2) }} {{ 'a  b c'.split(none, 1) }} {{ 'abc'.split('x') }} {{ ''.split() }} {{ ''.split(',') }}", "{{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b  c '.rsplit(none, 1) }} {{ 'a--b--c'.rsplit('--') }}", "{{ 'abc'.split('') }}", "{{ 'a</think>b</think>c'.split('</think>')[-1] }} {{ 'a</think>b'.split('</think>')|last }} {{ 'x'.split('y')[0] }}",
        "{{ s.upper() }} {{ s.lower() }} {{ 'hello wORLD'.title() }} {{ 'hello WORLD'.capitalize() }} {{ s.swapcase() }} {{ 'ß'.casefold() }}", "{{ acc.upper() }} {{ acc.lower() }} {{ acc.title() }} {{ 'ΑΣ ΑΣΑ Σ'.lower() }} {{ 'ŉ'.upper() }} {{ 'İ'.lower()|length }} {{ 'ﬁn'.upper() }} {{ \"they're x1y\".title() }}", "{{ s.startswith('Hello') }} {{ s.startswith(('x', 'He')) }} {{ s.endswith('d') }} {{ s.startswith('W', 7) }} {{ s.endswith('o', 0, 5) }} {{ s.startswith('') }}", "{{ s.startswith(none) }}", "{{ s.startswith(['x']) }}", "{{ s.replace('l', 'L') }} {{ s.replace('l', 'L', 1) }} {{ 'aaa'.replace('a', 'bb') }} {{ 'ab'.replace('', '-') }} {{ 'ab'.replace('', '-', 1) }} {{ zh.replace('你', '您') }}", "{{ s.replace(1, 2) }}",
        "{{ s.find('o') }} {{ s.rfind('o') }} {{ s.find('zz') }} {{ zh.find('世') }} {{ s.index('W') }} {{ s.count('l') }} {{ 'aaa'.count('aa') }} {{ s.find('o', 5) }} {{ 'abc'.count('') }} {{ zh.rfind('界') }} {{ s.find('o', 5, 6) }} {{ s.find('', 99) }}", "{{ s.index('zz') }}", "{{ ', '.join(words) }} {{ ''.join([]) }} {{ '-'.join('abc') }}", "{{ ','.join([1]) }}", "{{ 'abc'.center(7, '*') }} {{ 'abc'.center(6, '*') }} {{ 'ab'.center(5, '*') }} {{ 'abc'.ljust(5) }}| {{ 'abc'.rjust(5, '.') }} {{ '-42'.zfill(6) }} {{ '你'.center(4, '好') }}", "{{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ 'ab'.isalpha() }} {{ ' '.isspace() }} {{ 'Ab'.istitle() }} {{ 'AB'.isupper() }} {{ 'ab'.islower() }} {{ '²'.isdigit() }} {{ '½'.isnumeric() }} {{ ''.isalpha() }} {{ '你'.isalpha() }} {{ 'a_1'.isidentifier() }} {{ 'é'.isascii() }} {{ '٣'.isdecimal() }}",
        "{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('x') }} {{ 'abc'.rpartition('x') }}", "{{ lines.splitlines() }} {{ 'a\\r\\nb\\x0bc\\u2028d'.splitlines() }} {{ 'a\\nb'.splitlines(true) }}", "{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.txt'.removesuffix('.txt') }} {{ 'x'.removeprefix('y') }}", "{{ 'a\\tb'.expandtabs(4) }}", "{{ '{} {}'.format(1, 'a') }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x:>5}|{y:<5}|{z:^5}'.format(x=1, y='b', z='c') }} {{ '{:,}'.format(1234567) }} {{ '{:.2f} {:05d} {:+d} {:x} {:%} {:e}'.format(3.14159, 42, 7, 255, 0.5, 12345.6) }} {{ '{{}}'.format() }}", "{{ '{0[a]} {0[c][x][0]}'.format(d) }} {{ '{!r}'.format('a') }} {{ '{:{}}'.format('a', 4) }}| {{ '{:*^9}'.format('mid') }} {{ '{:_}'.format(1234567) }} {{ '{:,.1f}'.format(1234567.89) }} {{ '{:g}'.format(0.0001) }} {{ '{:#x} {:b}'.format(255, 5) }}", "{{ '{}'.format() }}", "{{ '{x}'.format(y=1) }}", "{{ '{'.format(1) }}", "{{ '{:d}'.format('a') }}", "{{ 'a'.nosuch }}|",
        "{{ '{:.3}'.format('abcdef') }} {{ '{:.3}'.format(3.14159) }} {{ '{:10.3f}|'.format(2.5) }} {{ '{:<6}|'.format(true) }}",
    ],
    "dict and list methods": [
        "{{ d.get('a') }} {{ d.get('zz') }} {{ d.get('zz', 'dflt') }} {{ d.get('c', {}).get('x') }}", "{{ d.keys()|list }} {{ d.values()|list }} {{ d.items()|list }}", "{{ d.items()|length }} {{ d.keys()|first }} {{ d.keys()[0] }}|", "{{ xs.index(1) }} {{ xs.count(3) }} {{ (1, 2, 1).count(1) }} {{ xs.copy() }} {{ d.copy() }}", "{{ xs.index(99) }}", "{{ d.get([]) }}", "{{ dict(a=1, b=2) }} {{ dict({'x': 1}, y=2) }} {{ dict([('k', 'v')]) }} {{ dict() }}", "{{ d.get() }}", "{{ 5 .bit_length() }} {{ (2.0).is_integer() }}", "{{ {'a': 1}.get('a').bit_length() }}", "{{ d.has_key('a') }}", "{{ (d.items()|list)[0][1] }} {{ d.items()|map('first')|join(',') }}", "{{ d.clear() }}", "{{ xs.extend([1]) }}", "{{ d.setdefault('q', 1) }}", "{{ xs.sort() }}", "{{ xs.insert(0, 1) }}",
    ],
    "tests": [
        "{{ s is string }} {{ n is string }} {{ n is number }} {{ f is number }} {{ t is number }} {{ n is integer }} {{ t is integer }} {{ f is float }} {{ t is boolean }} {{ d is mapping }} {{ xs is mapping }}", "{{ xs is sequence }} {{ s is sequence }} {{ d is sequence }} {{ n is sequence }} {{ undefined_thing is sequence }} {{ d.items() is sequence }} {{ xs is iterable }} {{ n is iterable }} {{ s is iterable }} {{ none is iterable }} {{ undefined_thing is iterable }} {{ range(2) is sequence }}", "{{ nil is none }} {{ nil is not none }} {{ undefined_thing is none }} {{ undefined_thing is defined }} {{ nil is defined }} {{ d.nope is undefined }} {{ d.c.x is defined }}", "{{ 4 is even }} {{ 3 is odd }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ -3 is odd }}", "{{ t is true }} {{ no is false }} {{ 0 is false }} {{ 1 is true }} {{ not t is false }}", "{{ 1 is eq 1 }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 2 is gt 1 }} {{ 1 is le 1 }} {{ 1 is ge 2 }} {{ 'a' is equalto 'a' }} {{ 1 is lessthan 2 }} {{ 1 is greaterthan 2 }}", "{{ 'a' is in 'abc' }} {{ 1 is in xs }} {{ 9 is not in xs }} {{ 'a' is in(['a']) }}",
        "{{ 'abc' is lower }} {{ 'ABC' is upper }} {{ 'Abc' is lower }} {{ 1 is lower }}", "{{ range is callable }} {{ n is callable }} {{ s.upper is callable }}", "{{ 'upper' is filter }} {{ 'nope' is filter }} {{ 'even' is test }} {{ 'nope' is test }}", "{{ html|e is escaped }} {{ html is escaped }}", "{{ 'a' is even }}", "{{ 1 is nosuchtest }}", "{{ undefined_thing.x is defined }}", "{{ n is not string and s is string }}", "{{ n is defined and n > 1 }} {{ (n is defined) == true }}", "{% if ms[0].role is defined and ms[0].role == 'system' %}y{% endif %}", "{{ 1 is string or 2 is number }}", "{{ s is string if t else 1 }}", "{{ (s is string) if t else 1 }}", "{{ 3 is divisibleby 0 }}", "{{ none is sameas none }} {{ xs is sameas xs }} {{ xs is eq [3, 1, 2] }}",
    ],
    "text filters": [
        "{{ s|upper }} {{ s|lower }} {{ 'hello wORLD-foo (bar'|title }} {{ 'hELLO'|capitalize }} {{ acc|title }} {{ \"it's a x-y\"|title }}", "{{ '  x '|trim }}| {{ 'xxaxx'|trim('x') }} {{ 5|trim }} {{ undefined_thing|trim }}|{{ none|trim }}", "{{ s|length }} {{ zh|length }} {{ xs|length }} {{ d|length }} {{ undefined_thing|length }} {{ s|count }} {{ range(4)|length }}", "{{ n|length }}", "{{ none|length }}", "{{ xs|map('string')|length }}", "{{ s|replace('l', 'L') }} {{ s|replace('l', 'L', 1) }} {{ 123|replace(2, 'x') }} {{ none|replace('None', 'x') }} {{ s|replace('o', none) }}", "{{ n|string + '!' }} {{ nil|string }} {{ xs|string }} {{ d|string }} {{ t|string|length }}", "{{ s|center(20) }}|{{ 'a'|center(4) }}|", "{{ lines|indent }}|{{ lines|indent(2, true) }}|{{ lines|indent('> ', blank=true) }}|{{ 'a\\nb'|indent(width=3, first=true) }}", "{{ 5|indent }}", "{{ undefined_thing|indent }}",
        "{{ 'hello big wide world'|truncate(12) }} {{ 'hello big wide world'|truncate(12, true) }} {{ 'hello big'|truncate(5, leeway=0) }} {{ 'hello big'|truncate(6, end='~', leeway=0) }} {{ 'short'|truncate(4) }}", "{{ 'abcdefghijklmnop'|truncate(2) }}", "{{ 'a b  c-d e'|wordcount }} {{ zh|wordcount }}", "{{ html|e }} {{ html|escape|e }} {{ html|forceescape }} {{ 5|e }} {{ none|e }}", "{{ html|safe }} {{ html|e + '<' }} {{ '<' + html|safe }} {{ html|safe ~ '<' }} {{ ('<'|safe).join(['<', 'a']) }} {{ ['<', 'b'|safe]|join('&') }}", "{{ (html|safe).replace('b', '<') }} {{ (html|safe)|replace('b', '<') }} {{ ('a'|safe)[0] + '<' }} {{ ('a'|safe)|upper + '<' }} {{ ('%s<'|safe) % '<' }} {{ ('a'|safe) * 2 + '<' }} {{ ('a<'|e|string) + '<' }}", "{{ html|striptags }}", "{{ 'a b&c=d/é?'|urlencode }} {{ {'a b': 'c/d', 'e': 1}|urlencode }} {{ [('x', 'y z')]|urlencode }}", "{{ '%s-%s'|format('a', 1) }} {{ '%(x)s'|format(x=1) }}", "{{ 'a'|nosuchfilter }}", "{% if no %}{{ 'a'|nosuchfilter }}{% endif %}ok",
        "{{ undefined_thing|upper }}|{{ none|upper }} {{ 1.5|upper }} {{ xs|upper }}", "{{ s|upper|lower|title|length }} {{ 'a'|upper ~ 'b'|upper }} {{ -1|abs }} {{ 'a'.upper()|lower }}", "{{ undefined_thing|default('d') }} {{ nil|default('d') }} {{ nil|default('d', true) }} {{ ''|d('x', boolean=true) }} {{ d.zz|default }}| {{ d.a|default(9) }}", "{{ undefined_thing.x|default(1) }}",
    ],
    "json": [
        "{{ d|tojson }} {{ ms|tojson }} {{ zh|tojson }} {{ html|tojson }} {{ nil|tojson }} {{ f|tojson }} {{ t|tojson }}", "{{ d|tojson(indent=2) }}", "{{ ms|tojson(indent=4) }}", "{{ d|tojson(sort_keys=true) }} {{ d|tojson(sort_keys=true, indent=1) }}", "{{ d|tojson(separators=(',', ':')) }} {{ d|tojson(separators=[', ', ' = ']) }} {{ d|tojson(indent=2, separators=(';', '=')) }}", "{{ (zh ~ '😀')|tojson(ensure_ascii=true) }} {{ zh|tojson(true) }}", "{{ '\\x00\\x1f\\x7f\\u2028\\\\/\"\\b\\f\\n\\r\\t'|tojson }}", "{{ {1: 2, none: 3, 1.5: [], true: {}}|tojson }}", "{{ [[], {}, [[]], (1, 2)]|tojson(indent=2) }}", "{{ [1e16, 1e-7, 0.1, 100.0, -0.0, 3]|tojson }}", "{{ undefined_thing|tojson }}", "{{ range(3)|tojson }}", "{{ {(1, 2): 3}|tojson }}", "{{ {'a': 1, 2: 3}|tojson(sort_keys=true) }}", "{{ xs|map('string')|tojson }}", "{{ d.items()|tojson }}", "{{ [1]|tojson(indent='\\t') }} {{ [1]|tojson(indent=0) }} {{ [1]|tojson(indent=none) }}", "{{ namespace(a=1)|tojson }}", "{{ d|tojson|length }} {{ (d|tojson)[0] }} {{ '<' + d|tojson + '>' }} {{ d|tojson|safe + '<' }}", "{{ (1e308 * 10)|tojson }}", "{{ d|tojson(nope=1) }}", "{{ (html|safe)|tojson }}",
    ],
    "sequence filters": [
        "{{ xs|first }} {{ xs|last }} {{ s|first }} {{ s|last }} {{ []|first }}| {{ []|last }}| {{ d|first }} {{ d|last }} {{ range(3)|last }}", "{{ n|first }}", "{{ xs|map('string')|last }}", "{{ xs|join }} {{ xs|join(', ') }} {{ ms|join('-', attribute='role') }} {{ 'abc'|join('.') }} {{ [1, none, true, undefined_thing]|join(',') }} {{ undefined_thing|join }}|", "{{ none|join }}", "{{ xs|sort }} {{ xs|sort(reverse=true) }} {{ words|sort }} {{ words|sort(case_sensitive=true) }} {{ words|sort(true) }} {{ ms|sort(attribute='role')|map(attribute='content')|join }} {{ ms|sort(attribute='role,content', reverse=true)|map(attribute='content')|join }}", "{{ [1, 'a']|sort }}", "{{ ms|sort(attribute='n') }}", "{{ xs|reverse|list }} {{ s|reverse }} {{ zh|reverse }} {{ (1, 2)|reverse|list }} {{ d|reverse|list }} {{ xs|map('string')|reverse }}", "{{ words|unique|list }} {{ words|unique(case_sensitive=true)|list }} {{ [1, 1.0, true, 2]|unique|list }} {{ ms|unique(attribute='role')|map(attribute='content')|list }}", "{{ [[], []]|unique|list }}",
        "{{ xs|min }} {{ xs|max }} {{ words|min }} {{ words|max(case_sensitive=true) }} {{ []|max }}| {{ d|max }}", "{{ [{'v': 2}, {'v': 5}]|max(attribute='v') }} {{ [1, 2.5]|min }}", "{{ xs|sum }} {{ []|sum }} {{ [{'v': 2}, {'v': 5}]|sum(attribute='v') }} {{ [1.5, 2]|sum }} {{ [[1], [2]]|sum(start=[]) }} {{ xs|sum(start=10) }}", "{{ ['a']|sum }}", "{{ xs|list }} {{ s|list }} {{ d|list }} {{ (1, 2)|list }} {{ undefined_thing|list }} {{ range(3)|list }}", "{{ n|list }}", "{{ xs|map('string')|list }} {{ words|map('upper')|join(' ') }} {{ ms|map(attribute='role')|list }} {{ ms|map(attribute='n', default=0)|list }} {{ words|map('replace', 'p', 'P')|list }} {{ [[1, 2], [3]]|map('join', '-')|list }} {{ [[1, 2]]|map(attribute=1)|list }} {{ ms|map(attribute='content.0')|list }}", "{{ xs|map('nope')|list }}", "{{ xs|map }}|", "{{ xs|map(foo='x')|list }}", "{{ [1]|map(attribute='a.b')|list }}",
        "{{ xs|select('odd')|list }} {{ xs|reject('odd')|list }} {{ [0, 1, '', 'a', none]|select|list }} {{ [0, 1]|reject|list }} {{ xs|select('gt', 1)|list }} {{ xs|select('in', [1, 2])|list }} {{ xs|select('==', 2)|list }} {{ words|select('lower')|list }}", "{{ ms|selectattr('n')|map(attribute='content')|list }} {{ ms|selectattr('role', 'equalto', 'user')|list|length }} {{ ms|rejectattr('role', 'eq', 'user')|map(attribute='role')|join(',') }} {{ ms|selectattr('n', 'defined')|list|length }} {{ ms|rejectattr('n', 'defined')|list|length }} {{ ms|selectattr('content', 'in', ['U1', 'A'])|list|length }}", "{{ ms|selectattr('role', 'nope')|list }}", "{{ ms|selectattr() }}|", "{{ undefined_thing|selectattr('a')|list }} {{ []|map('nope')|list }}", "{% set g = xs|map('string') %}{{ g|list }}{{ g|list }}", "{% set g = xs|select('odd') %}{{ g|first }}{{ g|list }}", "{{ xs|select('odd')|map('string')|join('+') }}", "{% set users = ms|selectattr('role', 'eq', 'user')|list %}{{ users[0].content }}{{ users|length }}", "{{ (ms|selectattr('role', 'eq', 'user')|first).content }} {{ (ms|selectattr('role', 'eq', 'tool')|first)|default('no') }}",
        "{{ range(7)|batch(3)|list }} {{ range(7)|batch(3, 'x')|list }} {{ range(7)|slice(3)|list }} {{ range(7)|slice(3, 'x')|list }} {{ []|batch(2)|list }} {{ xs|slice(5)|list }}", "{{ ms|groupby('role') }}", "{% for g, items in ms|groupby('role') %}{{ g }}:{{ items|length }} {% endfor %}{% for g in ms|groupby('role') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}", "{{ ms|groupby('n', default=0)|map('first')|list }} {{ words|map('lower')|groupby(0)|length }} {{ words|groupby(0)|map('first')|list }} {{ words|groupby(0, case_sensitive=true)|map('first')|list }}", "{{ {'b': 1, 'A': 2, 'c': 0}|dictsort }} {{ {'b': 1, 'A': 2}|dictsort(true) }} {{ {'b': 1, 'A': 2, 'c': 0}|dictsort(by='value') }} {{ {'b': 1, 'a': 2}|dictsort(reverse=true) }}", "{{ d|dictsort(by='nope') }}", "{{ {'a': 1}|items|list }} {{ undefined_thing|items|list }}", "{{ xs|items|list }}", "{{ 'b'|items|list }}", "{{ xs|attr('nope') }}|{{ s|attr('upper')() }}",
    ],
    "number filters": [
        "{{ '42'|int }} {{ '4.7'|int }} {{ 4.7|int }} {{ -4.7|int }} {{ 'x'|int }} {{ 'x'|int(7) }} {{ 'ff'|int(base=16) }} {{ '0x1f'|int(base=16) }} {{ none|int }} {{ t|int }} {{ ' 12 '|int }} {{ '1_000'|int }} {{ []|int(3) }} {{ '1e3'|int }} {{ 'nan'|int }} {{ 'inf'|int }}", "{{ undefined_thing|int }}", "{{ '4.5'|float }} {{ 4|float }} {{ 'x'|float }} {{ 'x'|float(1.5) }} {{ '1e3'|float }} {{ 'inf'|float }} {{ '-nan'|float }} {{ none|float }} {{ ' 2 '|float }} {{ '.5'|float }} {{ '5.'|float }}", "{{ neg|abs }} {{ -2.5|abs }} {{ t|abs }}", "{{ 'a'|abs }}", "{{ 2.5|round }} {{ 3.5|round }} {{ 2.675|round(2) }} {{ 42|round }} {{ 42.55|round(1) }} {{ 42.55|round(1, 'floor') }} {{ 42.51|round(1, 'ceil') }} {{ 1234.5|round(-2) }} {{ 1250|round(-2) }} {{ 1350|round(-2) }} {{ -2.5|round }} {{ 0.5|round|int }} {{ 7|round(0, 'floor') }}", "{{ 1|round(1, 'nope') }}", "{{ 'a'|round }}", "{{ 1|filesizeformat }} {{ 999|filesizeformat }} {{ 13000|filesizeformat }} {{ 4100000|filesizeformat }} {{ 4100000|filesizeformat(true) }} {{ '300'|filesizeformat }} {{ 1e30|filesizeformat }}",
    ],
    "globals": [
        "{{ range(3)|list }} {{ range(1, 4)|list }} {{ range(5, 0, -2)|list }} {{ range(0)|list }}", "{{ range(10 ** 9)|list }}", "{{ range(1, 2, 0) }}", "{{ range('a') }}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}", "{{ cycler() }}", "{% set j = joiner('; ') %}{% for x in xs %}{{ j() }}{{ x }}{% endfor %}", "{% set j = joiner() %}{{ j() }}a{{ j() }}b", "{{ strftime_now('%Y-%m-%d %H:%M:%S %d %b %B %A %j %y %p %I %%') }} {{ strftime_now('%-d %B') }} {{ strftime_now('') }}", "{{ raise_exception('my message') }}", "{% if t %}{{ raise_exception('roles must alternate: ' ~ n) }}{% endif %}", "{{ raise_exception('Ünïcode \"quotes\"') }}", "{{ raise_exception() }}", "{{ namespace(1) }}", "{{ namespace(a=1).a }}", "{% set range = 5 %}{{ range }}", "{{ dict(1) }}", "{{ self_undefined }}", "{{ range(3, stop=5) }}",
    ],
    "syntax errors": [
        "{{", "{{ }}", "{% %}", "{% if %}x{% endif %}", "{% if t %}", "{% endif %}", "{% for x %}{% endfor %}", "{% for x in %}{% endfor %}", "{{ a b }}", "{{ (1 }}", "{{ 1) }}", "{{ [1, }}", "{{ 'abc }}", "{# open", "{% raw %}", "{% nosuchtag %}", "{{ 1 + }}", "{{ x. }}", "{{ x[ }}", "{{ x|  }}", "{{ x is }}", "{% set %}", "{% set 1 = 2 %}", "{% set x %}", "{% set true = 1 %}", "{% macro %}{% endmacro %}", "{% macro m( %}{% endmacro %}", "{% call x %}{% endcall %}", "{% break %}", "{{ f(a=1, 2) }}", "{{ f(**a, b) }}", "{{ a ? b }}", "{{ {1} }}", "{{ {1: } }}", "{{ a is b is c }}", "{% else %}", "{% for x in xs %}{% elif %}{% endfor %}", "{{ 1 if }}", "{{ not }}", "{{ a == }}", "{{ a!b }}", "{% if t %}{% else %}{% else %}{% endif %}", "{{ 5x }}", "{{ $ }}", "{% do x %}", "{% macro m() %}{% break %}{% endmacro %}", "{{ a..b }}", "{{ 'a' if t else }}", "{{ [1 2] }}", "}} {{ 1 }}", "%} #} }",
    ],
    "small real things": [
        "{%- for m in ms %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}{%- endfor %}", "{% if ms[0]['role'] == 'system' %}{% set rest = ms[1:] %}{% set sys = ms[0]['content'] %}{% else %}{% set rest = ms %}{% endif %}{{ sys }}|{{ rest|length }}", "{%- set ns = namespace(last=-1) %}{%- for m in ms[::-1] %}{%- set i = (ms|length - 1) - loop.index0 %}{%- if m.role == 'user' and ns.last == -1 %}{%- set ns.last = i %}{%- endif %}{%- endfor %}{{ ns.last }}", "{% for m in ms %}{% if (m.role == 'user') != (loop.index0 % 2 == 1) %}{{ raise_exception('alternate') }}{% endif %}{% endfor %}ok", "{{ '<think>x</think>\\n\\ny'.split('</think>')[-1].lstrip('\\n') }} {{ ('a<think>b</think>c'.split('</think>')|first).split('<think>')|last }}", "{% for k, v in d.items() if v is not mapping %}{{ k }}: {{ v|tojson }}{{ ',' if not loop.last }}{% endfor %}", "{%- macro render(p, lvl=0) -%}{%- for k, v in p|dictsort -%}{{ '  ' * lvl }}{{ k }}: {% if v is mapping %}{{ '\\n' ~ render(v, lvl + 1) }}{% else %}{{ v }}\n{% endif %}{%- endfor -%}{%- endmacro -%}{{ render(d) }}", "{{ ms | map(attribute='content') | select('string') | join('\\n') | trim }}", "{%- if ms[-1].role in ['user', 'tool'] and not add_generation_prompt -%}no{%- else -%}yes{%- endif -%}", "{{ bos_token ~ (ms|selectattr('role', 'equalto', 'system')|list)[0].content if ms else '' }}",
    ],
}


def main():
    env = environment()
    print(json.dumps({"context": CONTEXT}, ensure_ascii=False))
    for templates in CASES.values():
        for template in templates:
            row = {"template": template}
            try:
                row["expected"] = env.from_string(template).render(**json.loads(json.dumps(CONTEXT)))
            except Raised as e:
                row["raises"] = str(e)
            except Exception as e:
                row["python_error"] = f"{type(e).__name__}: {e}"
            if " at 0x" in row.get("expected", ""):
                continue  # an address: nothing to compare
            print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
