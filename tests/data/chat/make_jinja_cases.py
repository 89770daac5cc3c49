#!/usr/bin/env python3
"""Writes jinja_cases.json: small templates and what Python's Jinja makes of them.

Run with Debian's python3-jinja2 after adding a template below. The environment is the one chat templates are run in: the
immutable sandbox, blocks trimmed and left-stripped, loop controls, generation blocks, json.dumps as tojson. An entry is a
template, or a pair of template and variables; each becomes {"template", "variables"?, "text" or "error": true}.
"""

import datetime
import json
import os

import jinja2.exceptions
import jinja2.ext
import jinja2.nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

VARIABLES = {
    "n": 5, "f": 2.5, "s": "Hello, World", "empty": "", "none_value": None, "yes": True,
    "list": [3, 1, 2], "words": ["pear", "Apple", "fig"], "nested": [[1, 2], [3]],
    "d": {"b": 1, "a": [1, "x", None, True, 1.5], "items": "shadow"},
    "people": [{"name": "Ann", "age": 30, "city": "Rome"}, {"name": "bob", "age": 25, "city": "Oslo"},
               {"name": "Cid", "age": 30}],
    "uni": "h\u00e9llo \u4e16\u754c \U0001f600", "multi": "one\ntwo\n\n  three", "html": "<a href=\"x\">T & 'q'</a>",
}

EXPRESSIONS = r"""
n + 2 * 3 - 4 / 2
7 // 2, -7 // 2, 7 % 3, -7 % 3, 7 // -2, 7 % -3
7.5 // 2, -7.5 % 2, 2 ** 10, 2 ** -1, 2 ** 0.5
-2 ** 2
2 ** 3 ** 2
-n|abs
1 / 3
0.1 + 0.2
1e16, 1e15, 1e-4, 1e-5, 123456789012345.0, 1.0, -0.0
10 / 5
True + True, true and 1, 0 or 'x', none or false
1 == 1.0, 1 == true, '1' == 1, [1] == [1.0], (1,) == [1], {'a': 1} == {'a': 1.0}
1 < 2 < 3, 1 < 3 < 2, 'a' < 'b', [1, 2] < [1, 3], 3 > 2 >= 2 != 1
'a' in 'abc', 'z' not in 'abc', 2 in list, 'b' in d, 1 in d, 'x' in nested
not n, not empty, not not s
'yes' if n > 3 else 'no'
'yes' if n > 30
('yes' if n > 30) is defined
'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1]
'ab' 'cd'
'a' * 3, 3 * 'a', [1, 2] * 2, 'a' * -1
[1] + [2], (1,) + (2,), 'a' + 'b'
'\x41\u00e9\n\t\\\'\"\101|\q'
"it's", 'say "hi"', "both ' and \""
{'a': 1, 'b': [1, 2], 3: (1,), none: {}}
[], (), {}, (1,), [none, true, false]
none, true, false, None, True, False
list[0], list[-1], list[5], list[1:], list[:-1], list[::-1], list[::2], list[5:], list[-2:]
s[0], s[-1], s[7:], s[:5], s[::-1], s[1:8:2], s[100:]
uni|length, uni[1], uni[6], uni[8], uni[:7], uni|upper, uni[::-1]
d.b, d['b'], d.missing, d['missing'], d.get('b'), d.get('z'), d.get('z', 9), d['items']
d.items()|list
d.keys()|list, d.values()|list
d.keys(), d.values(), {'a': 1}.items()
d.a.0, d.a[1], d['a'][-1]
range(5)|list, range(2, 5)|list, range(10, 0, -3)|list, range(3), range(1, 4, 2)
range(5)[1:3], range(5)[2], range(5)|length, 3 in range(5)
n is defined, zzz is defined, zzz is undefined, none_value is none, n is none, zzz is none
s is string, n is string, n is number, f is number, yes is number, n is integer, yes is integer, f is integer, f is float, n is float
yes is boolean, n is boolean, yes is true, n is true, false is false
d is mapping, list is mapping, list is sequence, s is sequence, d is sequence, n is sequence, zzz is sequence
list is iterable, s is iterable, d is iterable, n is iterable, none is iterable, zzz is iterable, range(3) is iterable
4 is even, 3 is odd, 9 is divisibleby 3, 9 is divisibleby(2), -3 is odd
'abc' is lower, 'ABC' is upper, 'aBc' is lower, '' is lower
n is eq 5, n is equalto 5, n is ne 4, n is gt 3, n is ge(5), n is lt 3, n is le 5, n is sameas n, none is sameas none
2 is in list, 'x' is in 'xyz', 9 is not in list
n is not none and s is string or false
range is callable, s is callable, 'upper' is filter, 'nope' is filter, 'even' is test
1 is number == true
words|sort, words|sort(reverse=true), words|sort(case_sensitive=true), list|sort, people|sort(attribute='age')|map(attribute='name')|list
people|sort(attribute='age,name')|map(attribute='name')|join(',')
words|join(', '), list|join, list|join('-'), people|join('/', attribute='name'), 'abc'|join('.'), [1, none, true]|join(' ')
words|map('upper')|list, words|map('length')|sum, people|map(attribute='city', default='?')|list, people|map(attribute='city')|list
list|map('string')|join('+'), nested|map('first')|list, nested|map('join', '-')|list
list|select('gt', 1)|list, list|reject('odd')|list, [0, 1, '', 'a', none]|select|list, [0, 1, '']|reject|list
people|selectattr('age', 'equalto', 30)|map(attribute='name')|list, people|rejectattr('city')|list|length, people|selectattr('city', 'defined')|list|length
people|selectattr('name', 'in', ['Ann', 'Cid'])|map(attribute='age')|list
none|map('upper')|list, none|selectattr('x')|list, 0|select|list
people|groupby('age')|map('first')|list
people|groupby('city', default='none')|map(attribute='grouper')|list
list|min, list|max, words|min, words|max, []|min, people|max(attribute='age'), [1.5, 2]|sum, list|sum(start=10), people|sum(attribute='age')
list|first, list|last, []|first, s|first, s|last, d|first, []|last is defined
list|length, s|length, d|length, zzz|length, list|count, ()|length
list|reverse|list, s|reverse, words|list, s|list|length, d|list, {'b': 1}|items|list
[1, 1.0, true, 2, 'a', 'A']|unique|list, ['a', 'A']|unique(case_sensitive=true)|list
[1,2,3,4,5]|batch(2)|list, [1,2,3,4,5]|batch(2, 'x')|list, [1,2,3,4,5]|slice(3)|list, [1,2,3,4,5]|slice(2, 'x')|list, [1,2,3,4,5,6,7]|slice(3, 'x')|list
{'b': 2, 'a': 1, 'C': 0}|dictsort, {'b': 2, 'a': 1}|dictsort(by='value'), {'b': 2, 'A': 1}|dictsort(true), {'b': 2, 'a': 1}|dictsort(reverse=true)
s|upper, s|lower, s|title, s|capitalize, 'hELLO wORLD-foo (bar)'|title, 5|upper, none|upper
'  x  '|trim ~ '|', 'xxaxx'|trim('x'), '\t\n a \n'|trim ~ '|'
s|replace('l', 'L'), s|replace('l', 'L', 1), 5|replace(5, 'five'), 'aaa'|replace('a', 'b', 2), ''|replace('', 'x')
zzz|default('d'), none|default('d'), none|default('d', true), ''|default('e', boolean=true), n|default(1), zzz|d('x'), zzz|default
'5'|int, '5.7'|int, 'x'|int, 'x'|int(7), '0x1f'|int(base=16), '11'|int(0, 2), f|int, none|int, true|int, ' 12 '|int, '-3'|int
'2.5'|float, 'x'|float, 'x'|float(1.5), 3|float, '1e3'|float, none|float, 'nan'|float
f|round, 2.567|round(2), 2.5|round, 3.5|round, 42|round, 2.1|round(0, 'ceil'), 2.9|round(method='floor'), 1234.5|round(-2), 42.55|round(1, 'floor')
-5|abs, -2.5|abs
n|string ~ 'x', none|string, [1]|string, s|string
html|escape, html|e, html|safe, html|striptags, '&lt;b&gt;'|striptags
('<b>'|safe) + '<i>', '<i>' + ('<b>'|safe), ('<b>'|safe) ~ '<i>', '<b>'|safe|upper, '<b>'|escape|escape, '<b>'|escape|forceescape
multi|indent, multi|indent(2, true), multi|indent(2, blank=true), multi|indent('> '), multi|indent(first=true, width=1)
multi|wordcount, 'a-b c_d e'|wordcount
s|center(20) ~ '|', 'ab'|center(5) ~ '|', 'abc'|center(6) ~ '|'
'The quick brown fox jumps'|truncate(10), 'The quick brown fox'|truncate(10, true), 'The quick brown fox'|truncate(11, false, '!'), 'short'|truncate(3), 'The quick brown fox'|truncate(9, leeway=0)
'a b&c/d?e=f'|urlencode, {'a': 1, 'b c': 'd&'}|urlencode
123|filesizeformat, 1500|filesizeformat, 1500000|filesizeformat, 1048576|filesizeformat(true), 1|filesizeformat
{'class': 'x', 'id': none, 'n': 1}|xmlattr
'%s is %d'|format('x', 5), '%(a)s'|format(a=1), '%5.2f|%-5s|%05d|%x|%r|%%' % (1.234, 'ab', 42, 255, 'q')
'%s' % 5, '%s' % [1], '%s %s' % ('a', none), '%+d % d %e %g %c' % (5, 5, 12345.678, 0.0001, 'z'), '%.3s' % 'abcdef', '%*d' % (5, 3)
'{} {}'.format(1, 'a'), '{0}{1}{0}'.format('a', 'b'), '{a}-{b}'.format(a=1, b=2), '{:>5}|{:<5}|{:^5}|'.format(1, 2, 3), '{:05d} {:x} {:b} {:,} {:.2f} {:e}'.format(42, 255, 5, 1234567, 1.5, 1234.5)
'{!r} {!s}'.format('a', 'b'), '{0.name}'.format(zz) if false else 'skip', '{0[a]}'.format({'a': 5}), '{{}}'.format(), '{:{w}}|'.format('x', w=4), '{:*^7}'.format('ab'), '{:.2%}'.format(0.256), '{:+d}'.format(3), '{:#x}'.format(255)
'{:g} {:g} {} {}'.format(1.5, 1e10, 1.0, 1e100), '{:10.3f}|'.format(3.14159), '{:<10}|{:>3}'.format('ab', 'abcd'), '{:_}'.format(1234567), '{:5}|'.format(true), '{}'.format(none)
s.upper(), s.lower(), s.title(), s.swapcase(), s.capitalize(), 'x'.casefold(), "they're bill's".title()
s.split(), s.split(', '), 'a,b,,c'.split(','), 'a b  c'.split(' '), 'a b c'.split(none, 1), 'a,b,c'.split(',', 1), 'a,b,c'.rsplit(',', 1), ' a  b '.split(), ''.split(), ''.split(','), 'a  b c '.rsplit(none, 1)
multi.splitlines(), 'a\r\nb\rc'.splitlines(), 'a\nb\n'.splitlines(true)
'  x '.strip() ~ '|', '  x '.lstrip() ~ '|', '  x '.rstrip() ~ '|', 'xyxaxy'.strip('xy'), 'xxa'.lstrip('x'), 'axx'.rstrip('x')
s.startswith('Hell'), s.endswith('ld'), s.startswith(('a', 'H')), s.startswith('lo', 3), s.endswith('lo', 0, 5), ''.startswith('')
s.find('o'), s.find('zz'), s.rfind('o'), s.index('W'), s.count('l'), s.find('o', 5), uni.find('\u4e16'), 'aaaa'.count('aa'), 'abc'.count('')
s.replace('l', '_'), s.replace('l', '_', 2), 'a'.replace('', '-')
','.join(['a', 'b']), ''.join(s|list), '-'.join('abc')
'abc'.isalpha(), 'ab1'.isalnum(), '12'.isdigit(), '1.2'.isdigit(), ' '.isspace(), 'ab'.islower(), 'AB'.isupper(), 'Ab Cd'.istitle(), 'a1'.isidentifier(), '\u00b2'.isdigit(), '\u00b2'.isdecimal(), ''.isalpha()
'5'.zfill(3), '-5'.zfill(4), 'a'.ljust(3) ~ '|', 'a'.rjust(3, '*'), 'a'.center(4, '-'), 'ab'.center(5, '-')
'a=b=c'.partition('='), 'a=b=c'.rpartition('='), 'abc'.partition('x'), 'prefix-x'.removeprefix('prefix-'), 'x.py'.removesuffix('.py'), 'a\tb'.expandtabs(4)
list.count(1), list.index(2), (1, 2).count(2), list.copy()
f.is_integer(), 2.0.is_integer()
d|tojson, d|tojson(indent=2), list|tojson, {'x': uni}|tojson, {'x': uni}|tojson(ensure_ascii=true), {'b': 1, 'a': 2}|tojson(sort_keys=true), [1, [2, {}], []]|tojson(indent=1), [1, 2]|tojson(separators=(',', ':')), {'a': [1]}|tojson(indent=4, separators=(',', ': '))
'</script>"\\\b\f\n\r\t\u0001'|tojson, 1.5|tojson, 1e16|tojson, none|tojson, true|tojson, (1, 2)|tojson, {1: 2, none: 3, true: 4}|tojson
dict(a=1, b=2), dict([('x', 1)]), dict({'a': 1}, b=2)
namespace(a=1).a, namespace({'b': 2}).b
d|attr('keys') is defined, d|attr('b') is defined
s|list|first, (s|list)[1:3]
'%s' % ('<b>'|safe), [html|safe]
[1, 2, 3]|last, range(3)|last, 'abc'|map('upper')|join
people[0].name ~ people[1]['name'], people[0]['zz'] is defined
"a" "b" ~ 'c'
1.0 == 1, 0.5 + 1, 3 * 1.0, 7 // 2.0, 2 ** 3.0
1_000, 0x1F, 0b101, 0o17, 1_0.5e1
'x' if zzz else 'y'
(1, 2, 3)[1], [(1, 2), (3, 4)]|map('last')|list
'abc' is in ['abc'], 'a' in ('a', 'b'), none in [none], 1.0 in [1]
[[3, 1], [2, 0]]|map('sort')|list, [3, 1, 2]|sort|join
[true, false]|map('string')|list, ['1', 'x']|map('int', 5)|list
words|map('replace', 'p', 'P')|list
{'a': {'b': {'c': 1}}}.a.b.c, [{'a': {'b': 2}}]|map(attribute='a.b')|list
zzz == none, zzz == zzy, zzz|string ~ '|', zzz ~ '|', [zzz], zzz|list
s is not defined, not s is defined, s is not string
n > 3 and n < 10, n > 3 and not n == 5, 1 if n else 2 if s else 3
'a,b'.split(',')[0], 'a b'.split()[-1], s.split(',')[0].strip().upper()
joiner('-')() ~ joiner()() ~ 'x'
list|sort(attribute='age'), [true, false]|sort(attribute=0), words|sort(attribute='x,y')
'abc'|forceescape|list, '<b>'|escape|list|last
[5, 6]|truncate(8), zzz|truncate, {}|truncate(3)
''.isprintable(), ''.isascii(), 'a b'.isprintable(), ''.isdigit()
'1e400'|int(7), 'nan'|float|int(7)
""".strip()

ERRORS = r"""
zzz.y
zzz['y']
zzz + 1
1 + zzz
d.zz.y
none + 1
1 + 'a'
'a' + 1
'a' - 'b'
{} + {}
1 / 0
1 // 0
1 % 0
n()
zzz()
s.nope()
list.append(1)
d.update({})
d.pop('b')
'a' < 1
zzz < 1
none < 1
[1, 'a']|sort
1 in 5
1 in 'a'
n|length
n|list
none|length
none|list|length
'x'|nofilter
n is notest
{}|first|upper|nofilter
'a'.split('')
'abc'.index('z')
[1]|tojson(indent=zzz.y)
namespace|tojson
zzz|tojson
[1,2]|map('upper')|tojson
[1]|map|list
'%d' % 'x'
'%s %s' % 'x'
'%s' % ('a', 'b')
'%y' % 1
'{}'.format()
'{a}'.format()
'{:d}'.format('x')
'{:q}'.format(1)
range(1000000)
range('a')
range(1, 2, 0)
[1][::0]
none_value[1:]
d[1:]
raise_exception('boom')
(1, 2
[1, 2
{'a' 1}
1 +
x.
'abc
1 is
is defined
a b
{{ 1 }}
}
1 | 
|upper
not
x[1
f(a=1, 2)
f(**a, b)
-none
-'a'
+'a'
'a' * 'b'
[1] * 1.5
''.join([1])
5.upper()
'abc'|int(1, 2, 3)
'a'|replace('a')
s|trim(1)
[]|sum('a.b', 'x')
{[]: 1}
dict(1)
'x'|default(1, 2, 3, 4)
2 ** 'a'
1 if
5|indent
[1]|indent
zzz|indent
5|truncate
none|truncate
words|truncate(5, leeway=0, end='')
5|wordwrap
zzz|wordwrap
1e10 ** 100
'inf'|float|int
people|sort(attribute='city')
list|groupby('age')|list
""".strip()

TEMPLATES = [
    # White space.
    "a\n{% if true %}\nb\n{% endif %}\nc\n",
    "a\n  {% if true %}\n  b\n  {% endif %}\nc",
    "a\n  {%+ if true %}\nb{% endif +%}\nc",
    "a  {%- if true -%}  b  {%- endif -%}  c",
    "a\n\n{%- if true %}\nb\n{%- endif %}\n\nc",
    "{{ 'x' -}}   \n  y  {{- 'z' }}\n",
    "{{- 'x' }}\n\n",
    "a {# comment #} b\n{# whole line #}\nc {#- x -#} d",
    "  {# indented #}\n  x",
    "x\n  {#- a -#}\n  y",
    "{# a +#}\nb", "{#+ a #}b", "  {#+ a #}b",
    "{% raw %}{{ not }} {% parsed %}{% endraw %}\nafter",
    "{% raw -%}  \n x \n {%- endraw %}y",
    "  {% raw %}\n  x\n  {% endraw %}\n  y",
    "{%- raw %} {{ a }} {% endraw -%}  z",
    "{{ '{{' }} {{ '}}' }} {{ {'a': {'b': 1}} }}",
    "{{ {'a': {'b': 1}}}}",
    "line1\r\nline2\rline3\n{{ 'x' }}\n\n",
    "{{+ 'a' }}", "{{ 1 -1 }}", "{{-1}}", "{{ -1 }}", "{{ 2-1 }}", "{% if true -%}\n\n  x{% endif %}",
    "\t{% set a = 1 %}\n\t{{ a }}\n",
    "a{% if true %} \n{% endif %}b", "a {% if true %}\n{% endif %} b",
    "{%if true%}x{%endif%}", "{%-if true-%} x {%-endif-%}", "{{'a'}}{{'b'}}",
    "\u00a0{%- if true %}x{% endif %}",
    "{ { } } {x} %} }} #}", "{{ 'a\\\nb' }}", "{{ 'a\nb' ~\n  1 }}",
    # Conditions.
    "{% if n > 3 %}a{% elif n > 2 %}b{% else %}c{% endif %}",
    "{% if zzz %}a{% elif none_value %}b{% elif list %}c{% else %}d{% endif %}",
    "{% if not zzz is defined %}a{% endif %}{% if zzz is not defined %}b{% endif %}",
    # Loops.
    "{% for x in list %}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}",
    "{% for x in list %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }};{% endfor %}",
    "{% for x in list %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
    "{% for x in list %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for x in [] %}x{% else %}empty{% endfor %}{% for x in zzz %}x{% else %}undef{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d %}{{ k }} {% endfor %}",
    "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for x in list if x > 1 %}{{ loop.index }}:{{ x }} {% endfor %}",
    "{% for x in list if x > 9 %}y{% else %}none{% endfor %}",
    "{% for x in range(5) %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in range(3) %}{% for y in range(3) %}{% if y > x %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}",
    "{% for x in 'abc' %}{{ x }}-{% endfor %}{% for c in uni %}[{{ c }}]{% endfor %}",
    "{% for x in list %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}",
    "{% for x in [1, [2, [3, 4]], 5] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ loop.depth }}:{{ x }} {% endif %}{% endfor %}",
    "{% for x in list %}{% set outer = loop %}{% for y in 'ab' %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "{% for x in list -%}\n  {{ x }}\n{%- endfor %}|",
    "{% for x in list %}\n{{ x }}\n{% endfor %}",
    "{% for x in n %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}", "{% for a, b in [(1, 2, 3)] %}{% endfor %}",
    "{% for x in list %}{{ loop }}{% endfor %}", "{{ loop is defined }}", "{% for x in [1] %}{{ loop(x) }}{% endfor %}",
    "{% for x in list %}{{ x }}{% endfor %}{{ x is defined }}",
    "{% for i in range(2) %}{% set q = i %}{% endfor %}{{ q is defined }}",
    "{% set q = 0 %}{% for i in range(3) %}{{ q }}{% set q = q + 1 %}{% endfor %}{{ q }}",
    "{% set q = 0 %}{% for i in range(3) %}{% if i == 1 %}{% set q = 5 %}{% endif %}{{ q }}{% endfor %}",
    "{% for m in people %}{% if loop.index0 % 2 == 0 %}{{ m.name }}{% endif %}{% endfor %}",
    "{% set it = list|map('string') %}{{ it|join }}|{{ it|join }}",
    "{% for g in people|groupby('age') %}{{ g.grouper }}:{{ g.list|length }} {% endfor %}",
    "{% for age, group in people|groupby('age') %}{{ age }}:{{ group|map(attribute='name')|join(',') }} {% endfor %}",
    "{% for x, y in {'a': 1}|items %}{{ x }}{{ y }}{% endfor %}{% for x in zzz|items %}{% endfor %}",
    "{% break %}", "{% if true %}{% continue %}{% endif %}",
    "{% for x in list %}{% continue %}{% else %}none{% endfor %}", "{% for x in list %}{% break %}{% else %}none{% endfor %}",
    "{% for x in list %}{% if x != 1 %}{% continue %}{% endif %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in list %}{{ x }}{% if loop.last %}{% break %}{% endif %}{% else %}none{% endfor %}",
    "{% filter length %}abc{% endfilter %}", "{% filter list %}abc{% endfilter %}",
    "{% macro f() %}{{ kwargs }}{% endmacro %}{% call f() %}{% endcall %}", "{% macro f() %}{{ caller.name }}{% endmacro %}{% call f() %}{% endcall %}",
    # Assignments.
    "{% set a = 1 %}{% set b, c = 2, 3 %}{{ a }}{{ b }}{{ c }}",
    "{% set a %}x {{ n }} y{% endset %}[{{ a }}]",
    "{% set a | upper | replace('X', 'Z') %}x y{% endset %}{{ a }}",
    "{% set ns = namespace(x=1, y='a') %}{% for i in range(3) %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.z is defined }}",
    "{% set ns = namespace() %}{% set ns.l = [] %}{% for i in range(3) %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.l }}",
    "{% set d.x = 1 %}", "{% set zzz.x = 1 %}", "{% set 1 = 2 %}", "{% set true = 1 %}", "{% set a.b.c = 1 %}",
    "{% set a = 1, 2 %}{{ a }}", "{% set a, b = [1, 2] %}{{ b }}", "{% set a, b = 1 %}",
    "{% set x = 'outer' %}{% if true %}{% set x = 'inner' %}{% endif %}{{ x }}",
    "{% with a = 1, b = 2 %}{{ a + b }}{% set a = 9 %}{{ a }}{% endwith %}{{ a is defined }}",
    "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% filter upper %}ab {{ s }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}banana{% endfilter %}",
    "{% set x = 1 %}{% filter upper %}{% set x = 2 %}{{ x }}{% endfilter %}{{ x }}",
    # Macros.
    "{% macro f(a, b=2, c=a) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, 3) }} {{ f(1, c=5) }} {{ f(b=7, a=0) }}",
    "{% macro f(a) %}[{{ a }}]{{ a is defined }}{% endmacro %}{{ f() }}", "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{% endmacro %}{{ f(b=2) }}", "{% macro f(a) %}{% endmacro %}{{ f(1, a=2) }}",
    "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, x=3) }}",
    "{% macro f(x) %}<{{ caller() }}>{{ x }}{% endmacro %}{% call f(1) %}in{{ n }}{% endcall %}",
    "{% macro f() %}{{ caller(1, b=2) }}{% endmacro %}{% call(a, b) f() %}{{ a }}+{{ b }}{% endcall %}",
    "{% macro f() %}{{ caller is defined }}{% endmacro %}{{ f() }}", "{% macro f() %}x{% endmacro %}{% call f() %}y{% endcall %}",
    "{% macro fact(k) %}{% if k <= 1 %}1{% else %}{{ k * fact(k - 1)|int }}{% endif %}{% endmacro %}{{ fact(5) }}",
    "{% macro f() %}{{ later }}{% endmacro %}{% set later = 5 %}{{ f() }}",
    "{% set v = 1 %}{% macro f() %}{{ v }}{% endmacro %}{% set v = 2 %}{{ f() }}",
    "{% for i in range(2) %}{% macro f() %}{{ i }}{% endmacro %}{{ f() }}{% endfor %}{{ f is defined }}",
    "{% macro f() %}{% set z = 1 %}{{ z }}{% endmacro %}{{ f() }}{{ z is defined }}",
    "{% macro f(x) %}{{ x }}{% endmacro %}{{ f.name }} {{ f.arguments }} {{ f.catch_kwargs }} {{ f }} {{ f is callable }}",
    "{% macro f(a, b) -%}\n  {{ a }}\n{%- endmacro %}{{ f('x') ~ '|' }}", "{% macro f(a=1, b) %}{% endmacro %}",
    "{% macro g(x) %}{{ x }}{% endmacro %}{% macro f(x) %}{{ g(x) }}{{ g(x + 1) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(x) %}{{ x }}{% endmacro %}{{ f(*[1]) }}{{ f(**{'x': 2}) }}",
    "{% macro f(x) %}{{ x|length }}{% endmacro %}{% if f('abc') == '3' %}eq{% endif %}{{ f('ab')|int + 1 }}",
    "{% macro f() %}{{ n }}{% endmacro %}{% for n in [9] %}{{ f() }}{% endfor %}",
    "{% macro outer() %}{% macro inner() %}in{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}{{ inner is defined }}",
    # Generation blocks, blocks, autoescape.
    "a{% generation %}b{{ n }}{% endgeneration %}c", "{% generation %}{% set z = 1 %}{% endgeneration %}{{ z is defined }}",
    "{% block x %}b{% endblock %}c", "{% block x %}b{% endblock x %}c", "{% block x %}{% endblock y %}",
    "{% autoescape true %}{{ '<' }}{{ '<'|safe }}{% endautoescape %}{{ '<' }}", "{% print n + 1 %}",
    # Errors of syntax, and what is an error only when reached.
    "{% if %}", "{% if n %}", "{% endif %}", "{% for %}", "{% for x %}", "{% for x in list %}", "{% unknown %}", "{{", "{%", "{#", "{{ }}", "{% %}",
    "{% raw %}", "{% set %}", "{% macro %}", "{% do list %}", "{% else %}", "{% if n %}{% else %}{% else %}{% endif %}", "{{ n }", "{% if n }}",
    "{% include 'x' %}", "{% if false %}{% include 'x' %}{% endif %}ok", "{% extends 'x' %}", "{% import 'x' as y %}",
    "{% if false %}{{ n|nofilter }}{% endif %}ok", "{% if true %}{{ n|nofilter }}{% endif %}", "{% if false %}{% for x in y %}{{ x|nofilter }}{% endfor %}{% endif %}",
    "{{ n|nofilter if false else 1 }}", "{% if n is notest %}{% endif %}", "{% if false %}{{ n is notest }}{% endif %}ok",
    "{% if zzz is defined and zzz.y %}a{% else %}b{% endif %}", "{{ zzz.y is defined }}", "{{ d.zz.y|default('x') }}",
    "{% for i in range(3) %}{{ raise_exception('stop') if i == 1 }}{% endfor %}",
    "{{ strftime_now('%Y-%m-%d %H:%M:%S %a %A %b %B %j %y %p %I') }} {{ strftime_now('%d %b %Y') }} {{ strftime_now('%-d/%-m %% %f') }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set x = c.reset() %}{{ c.current }}",
    "{% set j = joiner(', ') %}{% for x in list %}{{ j() }}{{ x }}{% endfor %}",
    "{{ [1, 2].pop() }}{% set l = [1, 2, 3] %}{{ l.pop(0) }}{{ l }}", "{{ ''.join }}x"[:0] + "{{ d.items is callable }}",
    "{{ 'x'.__class__ }}|{{ d.__len__ is defined }}", "{{ ''.__class__.__mro__ }}",
    "{% set x = {'a': [1, 2, {'b': none}]} %}{{ x }}{{ x|tojson(indent=2) }}",
    "{% for p in people|sort(attribute='name') %}{{ p.name }} {% endfor %}",
    "{% if 'a' in {'a': 1} and 'b' not in {'a': 1} %}x{% endif %}",
    ("{% for message in messages %}{{ '<|' + message.role + '|>' }}{{ message['content']|trim }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
     {"messages": [{"role": "user", "content": " hi "}, {"role": "assistant", "content": "yo"}], "add_generation_prompt": True}),
    ("{{ text }}", {"text": "\u00df \u0131 \ufb01 \x7f \x00 \u200b"}), ("{{ [text] }}", {"text": "\u00df \x7f \x00 \u200b \ue000 \U0001f600 \u00a0 \\ '"}),
    ("{{ x }}", {"x": 1e300}), ("{{ x }} {{ x * 2 }}", {"x": 0.1}), ("{{ x }}", {"x": [1.0, -0.5, 1e-7, 12345678901234567890.0]}),
    ("{{ text.split() }} {{ text|trim }}", {"text": "\u2003a\u00a0b\u3000\x1fc\u200b"}),
    ("{{ text|title }} {{ text|capitalize }} {{ text|upper }}", {"text": "\u00e9cole \u00c9T\u00c9 \u0434\u0430"}),
    "{% for i in range(4) %}{{ i }}{% set x %}a{% if i == 2 %}{% break %}{% endif %}b{% endset %}{{ x }}{% endfor %}",
    "{% for i in range(3) %}{{ i }}{% filter upper %}a{% if i == 1 %}{% continue %}{% endif %}b{% endfilter %}{% endfor %}",
    "{% for i in range(2) %}{% set x %}{% for j in range(3) %}{{ j }}{% if j == 1 %}{% break %}{% endif %}{% endfor %}{% endset %}[{{ x }}]{% endfor %}",
    "{% if n: %}a{% elif s: %}b{% else: %}c{% endif %}{% for i in list: %}{{ i }}{% endfor %}{% set x: %}y{% endset %}{{ x }}", "{% if n: %}a{% endif: %}",
    "{{ 'a b \\n'.split(none, 1) }} {{ ' a b '.split(none, 0) }} {{ ' a b '.rsplit(none, 1) }} {{ ' a b c '.rsplit(none, 1) }}",
    "{{ 'abc'.find('', 3) }} {{ 'abc'.find('', 4) }} {{ 'abc'.rfind('', 4) }} {{ 'abc'.find('', 2, 1) }} {{ 'abc'.count('', 4) }} {{ 'abc'.count('', 3) }} {{ 'abc'.startswith('', 4) }} {{ 'abc'.find('c', -9) }} {{ 'abc'.index('', 4) if false else 'ok' }}",
    "{{ 'abc'.index('', 4) }}",
]


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def render(template, variables):
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"])
    env.filters["tojson"] = to_json
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = datetime.datetime(2026, 1, 5, 9, 3, 7).strftime
    try:
        return {"text": env.from_string(template).render(**variables)}
    except Exception:  # pylint: disable=broad-except
        return {"error": True}


def main():
    entries = ["{{ %s }}" % line for line in EXPRESSIONS.split("\n")]
    entries += ["{{ %s }}" % line for line in ERRORS.split("\n")]
    cases = []
    for entry in entries + TEMPLATES:
        template, variables = entry if isinstance(entry, tuple) else (entry, None)
        case = {"template": template}
        if variables is not None:
            case["variables"] = variables
        case.update(render(template, VARIABLES if variables is None else variables))
        cases.append(case)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "jinja_cases.json")
    with open(path, "w", encoding="utf-8") as out:
        lines = ",\n".join(json.dumps(case) for case in cases)
        out.write('{"now": "2026-01-05T09:03:07",\n"variables": %s,\n"cases": [\n%s\n]}\n' % (json.dumps(VARIABLES), lines))


if __name__ == "__main__":
    main()
