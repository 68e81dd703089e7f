"""Types, casts, expressions and aggregates of the oracle: NULL is None, an error is EvalError.

`compile_expression` turns a tuple of minisql into (type, function of a row). Arithmetic is Python's
exact arithmetic with the range of the type checked afterwards.
"""
import math
import re
import struct
from fractions import Fraction

from minisql import EPOCH, SqlError, parse_time
from datetime import timedelta

INTEGER_BITS = {'int': 32, 'bigint': 64}
RANK = {'int': 0, 'bigint': 1, 'numeric': 2, 'double': 3}
DOUBLE_UNIT = 2**1074  # every finite double is a whole number of 2^-1074
SPACES = ' \t\n\v\f\r'
NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?', re.ASCII)
INFINITIES = {'infinity': math.inf, '+infinity': math.inf, '-infinity': -math.inf,
              'inf': math.inf, '+inf': math.inf, '-inf': -math.inf}


class EvalError(Exception):
    """Overflow, division by zero, failed cast: what rule 2 calls EVALUATION_ERROR."""


def checked(kind, value):
    """`value`, if an integer type of this name holds it."""
    limit = 10**38 if kind == 'numeric' else 2**(INTEGER_BITS[kind] - 1)
    if not -limit <= value < limit or value == -10**38:
        raise EvalError(f'{kind} out of range')
    return value


def sort_key(kind, value):
    """A value that Python compares as SQL does: NaN largest, -0 = 0, text by its bytes."""
    if kind == 'double':
        return (value != value, 0.0 if value != value else value)
    return value.encode() if kind == 'text' else value


def canonical(kind, value):
    """-0 is written 0 in keys, min and max."""
    return value + 0.0 if kind == 'double' and value is not None else value


def key_bytes(kind, value):
    """Rule 9's bytes of one group column."""
    if value is None:
        return b'\0'
    if kind == 'text':
        return b'\1' + value.encode().replace(b'\0', b'\0\xff') + b'\0\0'
    if kind == 'boolean':
        return b'\1' + bytes([value])
    if kind == 'double':
        value = math.nan if value != value else value + 0.0
        bits = int.from_bytes(struct.pack('>d', value), 'big')
        bits = bits ^ (2**64 - 1) if bits >> 63 else bits | 1 << 63
        return b'\1' + bits.to_bytes(8, 'big')
    size = 4 if kind == 'int' else 8
    return b'\1' + (value + (1 << 8 * size - 1)).to_bytes(size, 'big')


def round_once(exact):
    """The double nearest to a fraction, ties to even; an infinity beyond the range."""
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


# Casts.

def double_text(value):
    """The shortest digits that read back, plain from 1e-4 to below 1e15, else as 1e+20."""
    if value != value:
        return 'NaN'
    if math.isinf(value):
        return 'Infinity' if value > 0 else '-Infinity'
    sign = '-' if math.copysign(1, value) < 0 else ''
    mantissa, _, exponent = repr(abs(value)).partition('e')
    whole, _, part = mantissa.partition('.')
    digits = (whole + part).lstrip('0') or '0'
    point = len(whole) + int(exponent or 0) - (len(whole + part) - len((whole + part).lstrip('0')))
    digits = digits.rstrip('0') or '0'
    if value == 0:
        return sign + '0'
    if not -4 <= point - 1 < 15:
        return (f"{sign}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}"
                f"e{'-' if point < 1 else '+'}{abs(point - 1):02}")
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    digits = digits.ljust(point, '0')
    return sign + digits[:point] + ('.' + digits[point:] if digits[point:] else '')


def time_text(value):
    try:
        moment = EPOCH + timedelta(microseconds=value)
    except OverflowError:
        raise EvalError('timestamptz out of range') from None
    return moment.replace(tzinfo=None).isoformat(timespec='microseconds') + 'Z'


def from_text(kind, text):
    text = text.strip(SPACES)
    if kind in ('int', 'bigint', 'numeric'):
        if not re.fullmatch(r'[+-]?\d+', text, re.ASCII):
            raise EvalError(f'bad text for {kind}')
        return checked(kind, int(text))
    if kind == 'double':
        if text.lower() in INFINITIES:
            return INFINITIES[text.lower()]
        if text.lower() != 'nan' and not NUMBER.fullmatch(text) or math.isinf(float(text)):
            raise EvalError('bad text for double precision')
        return float(text)
    if kind == 'boolean':
        word = text.lower()
        for value, words in ((True, ('true', 'yes', 'on', '1')),
                             (False, ('false', 'no', 'off', '0'))):
            if any(full.startswith(word) for full in words) and word not in ('', 'o'):
                return value
        raise EvalError('bad text for boolean')
    try:
        return parse_time(text)
    except ValueError as error:
        raise EvalError(str(error)) from None


def double_to_integer(kind):
    def cast(value):
        if value != value or math.isinf(value):
            raise EvalError(f'{kind} out of range')
        return checked(kind, round(value))
    return cast


def cast_function(source, target):
    """A function of a value that is not NULL."""
    integers = ('int', 'bigint', 'numeric')
    if source == target:
        return lambda value: value
    if target == 'text':
        return {'double': double_text, 'timestamptz': time_text,
                'boolean': lambda value: 'true' if value else 'false'}.get(source, str)
    if source == 'text':
        return lambda value: from_text(target, value)
    if source in integers and target in integers:
        return lambda value: checked(target, value)
    if source in integers and target == 'double':
        return float
    if source == 'double' and target in integers:
        return double_to_integer(target)
    if (source, target) == ('boolean', 'int'):
        return int
    if (source, target) == ('int', 'boolean'):
        return bool
    raise SqlError(f'no cast from {source} to {target}')


# Expressions.

def integer_arithmetic(op, kind):
    def divide(a, b):
        if b == 0:
            raise EvalError('division by zero')
        return -(abs(a) // abs(b)) if (a < 0) != (b < 0) else abs(a) // abs(b)

    def remainder(a, b):
        return a - b * divide(a, b)
    exact = {'+': lambda a, b: a + b, '-': lambda a, b: a - b, '*': lambda a, b: a * b,
             '/': divide, '%': remainder}[op]
    return lambda a, b: checked(kind, exact(a, b))


def double_arithmetic(op):
    def divide(a, b):
        if b == 0:
            raise EvalError('division by zero')
        return a / b
    rounded = {'+': lambda a, b: a + b, '-': lambda a, b: a - b, '*': lambda a, b: a * b,
               '/': divide}[op]

    def calculate(a, b):
        result = rounded(a, b)
        if math.isinf(result) and not math.isinf(a) and not math.isinf(b):
            raise EvalError('double precision out of range')
        return result
    return calculate


COMPARE = {'=': lambda a, b: a == b, '<>': lambda a, b: a != b, '<': lambda a, b: a < b,
           '<=': lambda a, b: a <= b, '>': lambda a, b: a > b, '>=': lambda a, b: a >= b}


def strict(function, *arguments):
    """All arguments are evaluated, left to right; then NULL if one of them is NULL."""
    def evaluate(row):
        values = [argument(row) for argument in arguments]
        return None if None in values else function(*values)
    return evaluate


def common_type(kinds):
    known = [kind for kind in kinds if kind != 'unknown']
    if not known:
        return 'text'
    if all(kind in RANK for kind in known):
        return max(known, key=RANK.get)
    if any(kind != known[0] for kind in known):
        raise SqlError(f'types do not match: {", ".join(known)}')
    return known[0]


def coerce(typed, target):
    """The function of `typed` = (type, function) with its values in the type `target`."""
    kind, function = typed
    if kind == target:
        return function
    if kind == 'unknown':
        text = function(None)
        try:
            value = None if text is None else cast_function('text', target)(text)
        except EvalError as error:
            raise SqlError(f'literal {text!r}: {error}') from None
        return lambda row: value
    if kind in RANK and target in RANK and RANK[kind] < RANK[target]:
        return strict(cast_function(kind, target), function)
    raise SqlError(f'{kind} where {target} is needed')


def compile_expression(node, leaf):
    """(type, function of a row). `leaf(node)` knows what a row offers: (type, function) or None."""
    def typed(inner):
        return compile_expression(inner, leaf)

    def truth(inner):
        return coerce(typed(inner), 'boolean')

    def compare(op, left, right):
        left, right = typed(left), typed(right)
        kind = common_type([left[0], right[0]])
        relation = COMPARE[op]
        return strict(lambda a, b: relation(sort_key(kind, a), sort_key(kind, b)),
                      coerce(left, kind), coerce(right, kind))

    def connect(left, right, decisive):
        def evaluate(row):
            first = left(row)
            if first is decisive:
                return decisive
            second = right(row)
            return decisive if second is decisive else None if None in (first, second) else first
        return evaluate

    found = leaf(node)
    if found:
        return found
    what = node[0]
    if what == 'lit':
        if node[1] == 'huge' or node[1] == 'double' and math.isinf(node[2]):
            raise SqlError('literal out of range')
        return node[1], lambda row: node[2]
    if what == 'neg':
        inner = typed(node[1])
        kind = common_type([inner[0]])
        if kind not in RANK:
            raise SqlError(f'no minus for {kind}')
        return kind, strict((lambda a: -a) if kind == 'double' else lambda a: checked(kind, -a),
                            coerce(inner, kind))
    if what == 'bin' and node[1] in COMPARE:
        return 'boolean', compare(*node[1:])
    if what == 'bin':
        left, right = typed(node[2]), typed(node[3])
        kind = common_type([left[0], right[0]])
        if kind not in RANK or (kind, node[1]) in (('double', '%'), ('numeric', '/'),
                                                   ('numeric', '%')):
            raise SqlError(f'no {node[1]} for {kind}')
        return kind, strict(double_arithmetic(node[1]) if kind == 'double' else
                            integer_arithmetic(node[1], kind), coerce(left, kind),
                            coerce(right, kind))
    if what in ('and', 'or'):
        return 'boolean', connect(truth(node[1]), truth(node[2]), what == 'or')
    if what == 'not':
        return 'boolean', strict(lambda a: not a, truth(node[1]))
    if what == 'isnull':
        inner = typed(node[1])[1]
        return 'boolean', lambda row: inner(row) is None
    if what == 'istrue':
        inner = truth(node[1])
        return 'boolean', lambda row: inner(row) is node[2]
    if what == 'distinct':
        left, right = typed(node[1])[1], typed(node[2])[1]
        differ = compare('<>', node[1], node[2])

        def distinct(row):
            first, second = left(row), right(row)
            return first is not second if None in (first, second) else differ(row)
        return 'boolean', distinct
    if what == 'in':
        tests = [compare('=', node[1], element) for element in node[2]]
        chain = tests[0]
        for test in tests[1:]:
            chain = connect(chain, test, True)
        return 'boolean', chain
    if what == 'cast':
        inner = typed(node[1])
        if inner[0] == 'unknown':
            return node[2], coerce(inner, node[2])
        return node[2], strict(cast_function(inner[0], node[2]), inner[1])
    if what == 'nullif':
        inner = typed(node[1])
        kind = common_type([inner[0]])
        value, equal = coerce(inner, kind), compare('=', node[1], node[2])
        return kind, lambda row: None if equal(row) is True else value(row)
    if what == 'coalesce':
        inner = [typed(argument) for argument in node[1]]
        kind = common_type([argument[0] for argument in inner])
        functions = [coerce(argument, kind) for argument in inner]
        return kind, lambda row: next((value for value in (f(row) for f in functions)
                                       if value is not None), None)
    if what == 'case':
        _, operand, branches, otherwise = node
        results = [typed(then) for _, then in branches]
        results.append(typed(otherwise or ('lit', 'unknown', None)))
        kind = common_type([result[0] for result in results])
        *thens, last = [coerce(result, kind) for result in results]
        whens = [compare('=', operand, when) if operand else truth(when) for when, _ in branches]
        return kind, lambda row: next((then for when, then in zip(whens, thens)
                                       if when(row) is True), last)(row)
    raise SqlError(f'not allowed here: {node[1] if what in ("agg", "col") else what}')


# Aggregates: one state for each (window, group), fed with values that are not NULL.

class Count:
    def __init__(self, kind):
        self.n = 0

    def add(self, value):
        self.n += 1

    def merge(self, other):
        self.n += other.n

    def value(self):
        return self.n


class Extreme:
    def __init__(self, kind, better):
        self.kind, self.better, self.best = kind, better, None

    def add(self, value):
        if self.best is None or self.better(sort_key(self.kind, value),
                                            sort_key(self.kind, self.best)):
            self.best = canonical(self.kind, value)

    def merge(self, other):
        if other.best is not None:
            self.add(other.best)

    def value(self):
        return self.best


class Sum:
    """Exact: integers as they are, doubles as whole numbers of 2^-1074."""

    def __init__(self, kind):
        self.kind, self.n, self.total, self.special = kind, 0, 0, 0.0

    def add(self, value):
        self.n += 1
        if self.kind != 'double':
            self.total += value
        elif value - value == 0:
            numerator, denominator = value.as_integer_ratio()
            self.total += numerator * (DOUBLE_UNIT // denominator)
        else:
            self.special += value  # an infinity, or NaN once there is a NaN or both infinities

    def merge(self, other):
        self.n += other.n
        self.total += other.total
        self.special += other.special

    def rounded(self, count):
        unit = DOUBLE_UNIT if self.kind == 'double' else 1
        return self.special or round_once(Fraction(self.total, unit * count))

    def value(self):
        if self.n == 0:
            return None
        if self.kind == 'double':
            return self.rounded(1)
        return checked('bigint' if self.kind == 'int' else 'numeric', self.total)


class Average(Sum):
    def value(self):
        return self.rounded(self.n) if self.n else None


def aggregate(function, kind):
    """(type of the result, a function that makes an empty state) for an argument of type `kind`."""
    if function == 'count':
        return 'bigint', lambda: Count(kind)
    if function in ('min', 'max') and kind in ('int', 'bigint', 'double', 'text', 'timestamptz'):
        better = COMPARE['<' if function == 'min' else '>']
        return kind, lambda: Extreme(kind, better)
    if function in ('sum', 'avg') and kind in ('int', 'bigint', 'double'):
        if function == 'avg':
            return 'double', lambda: Average(kind)
        return {'int': 'bigint', 'bigint': 'numeric', 'double': 'double'}[kind], lambda: Sum(kind)
    raise SqlError(f'no {function} for {kind}')
