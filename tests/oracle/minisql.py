"""A parser for the two statements of a case: text in, plain Python values out.

Expressions are nested tuples, so that two of them are the same expression if they are equal:
  ('lit', type, value)  ('col', name)  ('neg', a)  ('bin', op, a, b)  ('and', a, b)  ('between', a, b)  ('or', a, b)
  ('not', a)  ('isnull', a, not)  ('istrue', a, value)  ('case', operand, ((when, then), ..), otherwise)
  ('coalesce', (..))  ('nullif', a, b)  ('in', a, (..))  ('distinct', a, b)  ('cast', a, type)
  ('agg', function, argument, filter)
The type 'unknown' is that of NULL and of a string literal whose place decides what it is.
"""
import re
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from types import SimpleNamespace

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
FIRST_TIME = (datetime(1, 1, 1, tzinfo=timezone.utc) - EPOCH) // timedelta(microseconds=1)
LAST_TIME = (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc) - EPOCH) // timedelta(microseconds=1)
DAY = 86_400_000_000
AGGREGATES = ('count', 'sum', 'min', 'max', 'avg')
WINDOW_ARGUMENTS = {'tumble': ('size', 'offset', 'timezone'), 'hop': ('slide', 'size', 'offset'),
                    'cumulate': ('step', 'size'), 'session': ('gap',)}
TYPES = {'int': 'int', 'integer': 'int', 'int4': 'int', 'bigint': 'bigint', 'int8': 'bigint',
         'double precision': 'double', 'float8': 'double', 'float': 'double', 'text': 'text',
         'boolean': 'boolean', 'bool': 'boolean', 'timestamptz': 'timestamptz',
         'timestamp with time zone': 'timestamptz', 'numeric': 'numeric', 'decimal': 'numeric'}
UNITS = {'us': 1, 'microsecond': 1, 'ms': 1_000, 'millisecond': 1_000,
         's': 10**6, 'sec': 10**6, 'second': 10**6, 'm': 60 * 10**6, 'min': 60 * 10**6,
         'minute': 60 * 10**6, 'h': 3600 * 10**6, 'hr': 3600 * 10**6, 'hour': 3600 * 10**6,
         'd': DAY, 'day': DAY, 'w': 7 * DAY, 'week': 7 * DAY}
RESERVED = {'and', 'or', 'not', 'is', 'in', 'between', 'as', 'from', 'where', 'group', 'having',
            'when', 'then', 'else', 'end', 'case', 'null', 'true', 'false', 'filter', 'cast',
            'select', 'with', 'by', 'distinct'}
TOKEN = re.compile(r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<string>'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")+")
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_$]*)
    |(?P<op>::|=>|<=|>=|<>|!=|[-+*/%=<>(),;])""", re.X | re.S)


class SqlError(Exception):
    """The statement is wrong, or says something that the oracle does not know."""


def parse_interval(text):
    """Microseconds of `1 hour 30 minutes`, `-16 minutes`, `01:30:00`; months and years: refused."""
    total, rest = Fraction(0), text.strip().lower()
    while rest:
        clock = re.match(r'([+-]?)(\d+):(\d\d)(?::(\d\d(?:\.\d+)?))?\s*', rest)
        plain = re.match(r'([+-]?\d*\.?\d+)\s*([a-z]+)\s*', rest)
        if clock:
            sign, hours, minutes, seconds = clock.groups()
            value = int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds or 0)
            total += value * (-10**6 if sign == '-' else 10**6)
        elif plain and plain[2].removesuffix('s') in UNITS or plain and plain[2] in UNITS:
            unit = plain[2] if plain[2] in UNITS else plain[2].removesuffix('s')
            total += Fraction(plain[1]) * UNITS[unit]
        else:
            raise SqlError(f'interval not understood: {text!r}')
        rest = rest[(clock or plain).end():]
    if total.denominator != 1 or not text.strip():
        raise SqlError(f'interval is empty or finer than a microsecond: {text!r}')
    return int(total)


class TimeOutOfRange(ValueError):
    """A time outside the years 1 to 9999."""


def parse_time(text):
    """Microseconds since the epoch of an RFC 3339 time with a zone; ValueError if it is none."""
    found = re.fullmatch(r'(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?'
                         r'([Zz]|[+-]\d\d:\d\d)', text, re.ASCII)
    if not found:
        raise ValueError(f'not an RFC 3339 time: {text!r}')
    local = datetime(*(int(part) for part in found.groups()[:6]), tzinfo=timezone.utc)
    micros = (local - EPOCH) // timedelta(microseconds=1) + int((found[7] or '').ljust(6, '0'))
    if found[8] not in 'Zz':
        hours, minutes = int(found[8][1:3]), int(found[8][4:])
        if hours > 23 or minutes > 59:
            raise ValueError(f'not an RFC 3339 time: {text!r}')
        micros -= (-1 if found[8][0] == '-' else 1) * (hours * 60 + minutes) * 60 * 10**6
    if not FIRST_TIME <= micros <= LAST_TIME:
        raise TimeOutOfRange(f'not between the years 1 and 9999: {text!r}')
    return micros


class Parser:
    def __init__(self, text):
        self.tokens, at = [], 0
        while at < len(text):
            found = TOKEN.match(text, at)
            if not found:
                raise SqlError(f'cannot read {text[at:at + 20]!r}')
            kind, value, at = found.lastgroup, found[0], found.end()
            if kind == 'word':
                value = value.lower()
            elif kind in ('string', 'quoted'):
                value = value[1:-1].replace(value[0] * 2, value[0])
            if kind != 'space':
                self.tokens.append((kind, value))
        self.tokens.append(('end', ''))
        self.at = 0

    def peek(self, ahead=0):
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def next(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def see(self, *values):
        """Whether the next tokens are these words and operators."""
        ahead = self.tokens[self.at:self.at + len(values)]
        return [value for kind, value in ahead if kind in ('word', 'op')] == list(values)

    def take(self, *values):
        if self.see(*values):
            self.at += len(values)
            return True
        return False

    def need(self, *values):
        if not self.take(*values):
            raise SqlError(f'expected {" ".join(values)!r} before {self.peek()[1]!r}')

    def name(self):
        kind, value = self.next()
        if kind == 'quoted' or kind == 'word' and value not in RESERVED:
            return value
        raise SqlError(f'expected a name, not {value!r}')

    def string(self):
        kind, value = self.next()
        if kind != 'string':
            raise SqlError(f'expected a string, not {value!r}')
        return value

    def list(self, element):
        result = [element()]
        while self.take(','):
            result.append(element())
        return result

    def type(self):
        word = self.next()[1]
        if word == 'double':
            self.need('precision')
            word = 'double precision'
        elif word == 'timestamp':
            self.need('with', 'time', 'zone')
            word = 'timestamp with time zone'
        if word not in TYPES:
            raise SqlError(f'type not known: {word!r}')
        if TYPES[word] == 'numeric' and self.take('('):
            size = self.next()[1], self.take(',') and self.next()[1]
            if size not in (('38', False), ('38', '0')):
                raise SqlError('numeric is numeric(38,0)')
            self.need(')')
        return TYPES[word]

    # Expressions, loosest binding first, as PostgreSQL binds.

    def expression(self):
        left = self.conjunction()
        while self.take('or'):
            left = ('or', left, self.conjunction())
        return left

    def conjunction(self):
        left = self.negation()
        while self.take('and'):
            left = ('and', left, self.negation())
        return left

    def negation(self):
        return ('not', self.negation()) if self.take('not') else self.test()

    def test(self):
        left = self.comparison()
        while self.take('is'):
            negated = self.take('not')
            if self.take('null') or self.take('unknown'):
                left = ('isnull', left, negated)
                continue
            elif self.take('distinct', 'from'):
                left = ('distinct', left, self.comparison())
            elif self.see('true') or self.see('false'):
                left = ('istrue', left, self.next()[1] == 'true')
            else:
                raise SqlError(f'IS what? {self.peek()[1]!r}')
            left = ('not', left) if negated else left
        return left

    def comparison(self):
        left = self.membership()
        for op in ('=', '<>', '!=', '<=', '>=', '<', '>'):
            if self.take(op):
                return ('bin', '<>' if op == '!=' else op, left, self.membership())
        return left

    def membership(self):
        left = self.sum()
        negated = (self.see('not', 'in') or self.see('not', 'between')) and self.take('not')
        if self.take('in', '('):
            left = ('in', left, tuple(self.list(self.expression)))
            self.need(')')
        elif self.take('between'):
            low = self.sum()
            self.need('and')
            left = ('between', ('bin', '>=', left, low), ('bin', '<=', left, self.sum()))
        return ('not', left) if negated else left

    def sum(self):
        left = self.product()
        while self.see('+') or self.see('-'):
            left = ('bin', self.next()[1], left, self.product())
        return left

    def product(self):
        left = self.unary()
        while self.see('*') or self.see('/') or self.see('%'):
            left = ('bin', self.next()[1], left, self.unary())
        return left

    def unary(self):
        if self.take('+'):
            return self.unary()
        if not self.take('-'):
            return self.postfix()
        inner = self.unary()
        if inner[0] == 'lit' and inner[1] in ('int', 'bigint', 'double', 'huge'):
            return self.number(-inner[2])
        return ('neg', inner)

    def postfix(self):
        left = self.primary()
        while self.take('::'):
            left = ('cast', left, self.type())
        return left

    @staticmethod
    def number(value):
        """A literal with the smallest type that holds it; 2^63 waits for its minus sign."""
        if isinstance(value, float):
            return ('lit', 'double', value)
        if -2**31 <= value < 2**31:
            return ('lit', 'int', value)
        return ('lit', 'bigint' if -2**63 <= value < 2**63 else 'huge', value)

    def primary(self):
        kind, value = self.next()
        if kind == 'number':
            return self.number(int(value) if value.isdigit() else float(value))
        if kind == 'string':
            return ('lit', 'unknown', value)
        if value == '(' and kind == 'op':
            inner = self.expression()
            self.need(')')
            return inner
        if kind == 'quoted':
            return ('col', value)
        if kind != 'word':
            raise SqlError(f'expected an expression, not {value!r}')
        if value in ('null', 'true', 'false'):
            return ('lit', *{'null': ('unknown', None), 'true': ('boolean', True),
                             'false': ('boolean', False)}[value])
        if value == 'case':
            return self.case()
        if value == 'cast':
            self.need('(')
            inner = self.expression()
            self.need('as')
            result = ('cast', inner, self.type())
            self.need(')')
            return result
        if value == 'timestamptz' and self.peek()[0] == 'string':
            return ('cast', ('lit', 'unknown', self.string()), 'timestamptz')
        if not self.take('('):
            if value in RESERVED:
                raise SqlError(f'expected an expression, not {value!r}')
            return ('col', value)
        return self.call(value)

    def case(self):
        operand = None if self.see('when') else self.expression()
        branches, otherwise = [], None
        while self.take('when'):
            when = self.expression()
            self.need('then')
            branches.append((when, self.expression()))
        if self.take('else'):
            otherwise = self.expression()
        self.need('end')
        return ('case', operand, tuple(branches), otherwise)

    def call(self, function):
        if function == 'count' and self.take('*'):
            arguments = [None]
        else:
            arguments = self.list(self.expression)
        self.need(')')
        if function == 'coalesce':
            return ('coalesce', tuple(arguments))
        if function == 'nullif' and len(arguments) == 2:
            return ('nullif', *arguments)
        if function not in AGGREGATES or len(arguments) != 1:
            raise SqlError(f'function not known: {function}')
        condition = None
        if self.take('filter'):
            self.need('(', 'where')
            condition = self.expression()
            self.need(')')
        return ('agg', function, arguments[0], condition)

    # Statements.

    def options(self):
        def one():
            name = self.name()
            self.need('=')
            return name, self.next()[1]
        self.need('(')
        result = dict(self.list(one))
        self.need(')')
        return result

    def column(self):
        name, kind = self.name(), self.type()
        required = self.take('not', 'null')
        if not required:
            self.take('null')
        return name, (kind, required)

    def window(self):
        """The streaming function of FROM: its kind and arguments by name, intervals parsed."""
        kind = self.name()
        if kind not in WINDOW_ARGUMENTS:
            raise SqlError(f'streaming function not known: {kind}')
        self.need('(')
        result, position = {'kind': kind, 'stream': self.name()}, 0
        self.need(',')
        result['time'] = self.name()
        while self.take(','):
            argument = WINDOW_ARGUMENTS[kind][min(position, len(WINDOW_ARGUMENTS[kind]) - 1)]
            if self.peek(1) == ('op', '=>'):
                argument = self.name()
                self.need('=>')
            if argument not in WINDOW_ARGUMENTS[kind] or argument in result:
                raise SqlError(f'argument of {kind} not known or given twice: {argument}')
            if argument == 'timezone':
                result[argument] = self.string()
            else:
                self.need('interval')
                text = self.string()
                if self.peek()[0] == 'word' and self.peek()[1] in UNITS:
                    text += ' ' + self.next()[1]
                result[argument] = parse_interval(text)
            position += 1
        self.need(')')
        return SimpleNamespace(**{'offset': None, 'timezone': None} | result)

    def item(self):
        value = self.expression()
        if self.take('as') or self.peek()[0] == 'quoted' or (
                self.peek()[0] == 'word' and self.peek()[1] not in RESERVED):
            return self.name(), value
        default = {'col': lambda: value[1], 'agg': lambda: value[1]}.get(value[0])
        if not default:
            raise SqlError('an expression of SELECT needs a name')
        return default(), value


def parse(text):
    """Both statements as one namespace; times and durations in microseconds."""
    p = Parser(text)
    p.need('create', 'table')
    stream = p.name()
    p.need('(')
    columns = dict(p.list(p.column))
    p.need(')', 'with')
    table = p.options()
    p.need(';', 'create', 'materialized', 'view')
    p.name()
    view = p.options() if p.take('with') else {}
    p.need('as', 'select')
    items = p.list(p.item)
    p.need('from')
    window = p.window()
    where = p.expression() if p.take('where') else None
    p.need('group', 'by')
    groups = p.list(p.expression)
    having = p.expression() if p.take('having') else None
    p.take(';')
    if p.peek()[0] != 'end':
        raise SqlError(f'not understood from {p.peek()[1]!r} on')
    if window.stream != stream or window.time != table['event_time']:
        raise SqlError('FROM must name the table and its event time')
    bounds = [('col', 'window_start'), ('col', 'window_end')]
    aliases = {name: value for name, value in items if value not in bounds}
    groups = [items[g[2] - 1][1] if g[0] == 'lit' and g[1] == 'int' else g for g in groups]
    groups = [aliases.get(g[1], g) if g[0] == 'col' and g[1] not in columns and g not in bounds
              else g for g in groups]
    if any(bound not in groups for bound in bounds):
        raise SqlError('GROUP BY must have window_start and window_end')
    keys = []
    for group in [g for g in groups if g not in bounds]:
        named = [item for item in items if item[1] == group]
        if not named:
            raise SqlError('SELECT must name every GROUP BY column')
        keys.append(named[0])
    duration = lambda options, name, default: parse_interval(options.get(name, default))
    return SimpleNamespace(
        columns=columns, event_time=table['event_time'], window=window, where=where, keys=keys,
        items=[item for item in items if item not in keys and item[1] not in bounds],
        having=having, delay=duration(table, 'watermark_delay', ''),
        max_ahead=duration(table, 'max_ahead', '1 hour'),
        idle_timeout=duration(table, 'idle_timeout', '30 seconds'),
        lateness=duration(view, 'allowed_lateness', '0 seconds'),
        file_interval=duration(view, 'file_interval', '1 hour'),
        file_idle=duration(view, 'file_idle', '5 minutes'),
        updates=view.get('emit') == 'updates', start=view.get('start'))
