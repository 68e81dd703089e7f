"""Types, casts and expressions of the oracle: NULL is None, an error is EvalError.

`compile_expression` turns a tuple of minisql into (type, function of a row). Arithmetic is Python's
exact arithmetic with the range of the type checked afterwards.
"""
import math
import re
import struct

from minisql import EPOCH, SqlError, TimeOutOfRange, parse_time
from datetime import timedelta

INTEGER_BITS = {'int': 32, 'bigint': 64}
RANK = {'int': 0, 'bigint': 1, 'numeric': 2, 'double': 3}
SPACES = ' \t\n\v\f\r'
NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?', re.ASCII)
INFINITIES = {'infinity': math.inf, '+infinity': math.inf, '-infinity': -math.inf,
              'inf': math.inf, '+inf': math.inf, '-inf': -math.inf}


RANGE, ZERO = 'value out of range', 'division by zero'
BAD_TEXT = 'text cannot be read as the type it is cast to'


class EvalError(Exception):
    """Overflow, division by zero, failed cast: what rule 2 calls EVALUATION_ERROR."""

    def __init__(self, what):
        super().__init__(what)
        self.what, self.clause, self.text = what, None, None

    def detail(self):
        text = self.text
        if len(text.encode()) > 200:
            text = text.encode()[:200].decode(errors='ignore') + '...'
        return f'{self.what} in {self.clause}: {text}'


def checked(kind, value):
    """`value`, if an integer type of this name holds it."""
    limit = 10**38 if kind == 'numeric' else 2**(INTEGER_BITS[kind] - 1)
    if not -limit <= value < limit or value == -10**38:
        raise EvalError(RANGE)
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
        raise EvalError(RANGE) from None
    return moment.replace(tzinfo=None).isoformat(timespec='microseconds') + 'Z'


def from_text(kind, text):
    text = text.strip(SPACES)
    if kind in ('int', 'bigint', 'numeric'):
        if not re.fullmatch(r'[+-]?\d+', text, re.ASCII):
            raise EvalError(BAD_TEXT)
        return checked(kind, int(text))
    if kind == 'double':
        if text.lower() in INFINITIES:
            return INFINITIES[text.lower()]
        if text.lower() != 'nan' and not NUMBER.fullmatch(text):
            raise EvalError(BAD_TEXT)
        if math.isinf(float(text)):
            raise EvalError(RANGE)
        return float(text)
    if kind == 'boolean':
        word = text.lower()
        for value, words in ((True, ('true', 'yes', 'on', '1')),
                             (False, ('false', 'no', 'off', '0'))):
            if any(full.startswith(word) for full in words) and word not in ('', 'o'):
                return value
        raise EvalError(BAD_TEXT)
    try:
        return parse_time(text)
    except TimeOutOfRange:
        raise EvalError(RANGE) from None
    except ValueError:
        raise EvalError(BAD_TEXT) from None


def double_to_integer(kind):
    def cast(value):
        if value != value or math.isinf(value):
            raise EvalError(RANGE)
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
            raise EvalError(ZERO)
        return -(abs(a) // abs(b)) if (a < 0) != (b < 0) else abs(a) // abs(b)

    def remainder(a, b):
        return a - b * divide(a, b)
    exact = {'+': lambda a, b: a + b, '-': lambda a, b: a - b, '*': lambda a, b: a * b,
             '/': divide, '%': remainder}[op]
    return lambda a, b: checked(kind, exact(a, b))


def double_arithmetic(op):
    def divide(a, b):
        if b == 0:
            raise EvalError(ZERO)
        return a / b
    rounded = {'+': lambda a, b: a + b, '-': lambda a, b: a - b, '*': lambda a, b: a * b,
               '/': divide}[op]

    def calculate(a, b):
        result = rounded(a, b)
        if math.isinf(result) and not math.isinf(a) and not math.isinf(b):
            raise EvalError(RANGE)
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


class Term:
    """A function of a row, and its SQL (semantics, "The detail of EVALUATION_ERROR")."""

    def __init__(self, function, text, compound=False):
        self.function, self.text = function, text
        self.operand = f'({text})' if compound else text

    def __call__(self, row):
        try:
            return self.function(row)
        except EvalError as error:
            error.text = error.text or self.text  # the innermost term is the one that failed
            raise


def name_text(name):
    return name if re.fullmatch('[a-z_][a-z0-9_]*', name) else '"' + name.replace('"', '""') + '"'


class Literal(Term):
    def __init__(self, kind, value):
        if value is None:
            text = 'NULL'
        elif kind == 'timestamptz':
            text = f"TIMESTAMPTZ '{time_text(value)}'"
        elif kind in ('text', 'unknown'):
            text = "'" + value.replace("'", "''") + "'"
        else:
            text = cast_function(kind, 'text')(value)
        super().__init__(lambda row: value, text)


def cast_term(source, target, inner):
    if source == target:
        return inner
    if (source, target) == ('numeric', 'int'):
        source, inner = 'bigint', cast_term('numeric', 'bigint', inner)
    name = 'double precision' if target == 'double' else target
    return Term(strict(cast_function(source, target), inner), f'CAST({inner.text} AS {name})')


def coerce(typed, target):
    """The term of `typed` = (type, term) with its values in the type `target`."""
    kind, term = typed
    if kind == target:
        return term
    if kind == 'unknown':
        text = term(None)
        try:
            return Literal(target, None if text is None else cast_function('text', target)(text))
        except EvalError as error:
            raise SqlError(f'literal {text!r}: {error}') from None
    if kind in RANK and target in RANK and RANK[kind] < RANK[target]:
        if isinstance(term, Literal) and target != 'numeric':
            return Literal(target, cast_function(kind, target)(term(None)))
        return cast_term(kind, target, term)
    raise SqlError(f'{kind} where {target} is needed')


def compile_expression(node, leaf):
    """(type, term). `leaf(node)` knows what a row offers: (type, term) or None."""
    def typed(inner):
        return compile_expression(inner, leaf)

    def truth(inner):
        return coerce(typed(inner), 'boolean')

    def compare(op, left, right):
        left, right = typed(left), typed(right)
        kind = common_type([left[0], right[0]])
        relation = COMPARE[op]
        a, b = coerce(left, kind), coerce(right, kind)
        return Term(strict(lambda a, b: relation(sort_key(kind, a), sort_key(kind, b)), a, b),
                    f'{a.operand} {op} {b.operand}', True)

    def connect(parts, decisive):
        def evaluate(row):
            result = not decisive
            for part in parts:
                value = part(row)
                if value is decisive:
                    return decisive
                result = None if value is None else result
            return result
        word = ' OR ' if decisive else ' AND '
        return Term(evaluate, word.join(part.operand for part in parts), True)

    def flat(what, inner):
        """The parts of a AND b AND c."""
        if inner[0] != what:
            return [truth(inner)]
        return flat(what, inner[1]) + [truth(inner[2])]

    def choose(kind, whens, thens, last):
        cases = ''.join(f' WHEN {when.text} THEN {then.text}' for when, then in zip(whens, thens))
        return kind, Term(lambda row: next((then for when, then in zip(whens, thens)
                                            if when(row) is True), last)(row),
                          f'CASE{cases} ELSE {last.text} END')

    found = leaf(node)
    if found:
        return found
    what = node[0]
    if what == 'lit':
        if node[1] == 'huge' or node[1] == 'double' and math.isinf(node[2]):
            raise SqlError('literal out of range')
        return node[1], Literal(node[1], node[2])
    if what == 'neg':
        inner = typed(node[1])
        kind = common_type([inner[0]])
        if kind not in RANK:
            raise SqlError(f'no minus for {kind}')
        inner = coerce(inner, kind)
        return kind, Term(strict((lambda a: -a) if kind == 'double' else
                                 lambda a: checked(kind, -a), inner), f'-{inner.operand}', True)
    if what == 'bin' and node[1] in COMPARE:
        return 'boolean', compare(*node[1:])
    if what == 'bin':
        left, right = typed(node[2]), typed(node[3])
        kind = common_type([left[0], right[0]])
        if kind not in RANK or (kind, node[1]) in (('double', '%'), ('numeric', '/'),
                                                   ('numeric', '%')):
            raise SqlError(f'no {node[1]} for {kind}')
        left, right = coerce(left, kind), coerce(right, kind)
        function = (double_arithmetic(node[1]) if kind == 'double' else
                    integer_arithmetic(node[1], kind))
        return kind, Term(strict(function, left, right),
                          f'{left.operand} {node[1]} {right.operand}', True)
    if what in ('and', 'or'):
        return 'boolean', connect(flat(what, node), what == 'or')
    if what == 'between':
        return 'boolean', connect([truth(node[1]), truth(node[2])], False)
    if what == 'not':
        inner = truth(node[1])
        return 'boolean', Term(strict(lambda a: not a, inner), f'NOT {inner.operand}', True)
    if what == 'isnull':
        inner, negated = typed(node[1])[1], node[2]
        return 'boolean', Term(lambda row: (inner(row) is None) is not negated,
                               f"{inner.operand} IS {'NOT ' if negated else ''}NULL", True)
    if what == 'istrue':
        inner = truth(node[1])
        return 'boolean', Term(lambda row: inner(row) is node[2], '', True)
    if what == 'distinct':
        left, right = typed(node[1])[1], typed(node[2])[1]
        differ = compare('<>', node[1], node[2])

        def distinct(row):
            first, second = left(row), right(row)
            return first is not second if None in (first, second) else differ(row)
        return 'boolean', Term(distinct, '', True)
    if what == 'in':
        tests = [compare('=', node[1], element) for element in node[2]]
        return 'boolean', tests[0] if len(tests) == 1 else connect(tests, True)
    if what == 'cast':
        kind, inner = typed(node[1])
        if kind != 'unknown':
            return node[2], cast_term(kind, node[2], inner)
        whole = coerce((kind, inner), node[2])
        if node[2] in ('text', 'timestamptz') or inner(None) is None:
            return node[2], whole
        name = 'double precision' if node[2] == 'double' else node[2]
        return node[2], Term(whole, f'CAST({inner.text} AS {name})')
    if what == 'nullif':
        first, second = typed(node[1]), typed(node[2])
        kind, common = common_type([first[0]]), common_type([first[0], second[0]])
        value, equal = coerce(first, kind), compare('=', node[1], node[2])
        if first[0] not in ('unknown', common):
            return choose(kind, [equal], [Literal(kind, None)], value)
        return kind, Term(lambda row: None if equal(row) is True else value(row),
                          f'nullif({coerce(first, common).text}, {coerce(second, common).text})')
    if what == 'coalesce':
        inner = [typed(argument) for argument in node[1]]
        kind = common_type([argument[0] for argument in inner])
        terms = [coerce(argument, kind) for argument in inner]
        return kind, Term(lambda row: next((value for value in (f(row) for f in terms)
                                            if value is not None), None),
                          f"coalesce({', '.join(term.text for term in terms)})")
    if what == 'case':
        _, operand, branches, otherwise = node
        results = [typed(then) for _, then in branches]
        results.append(typed(otherwise or ('lit', 'unknown', None)))
        kind = common_type([result[0] for result in results])
        *thens, last = [coerce(result, kind) for result in results]
        whens = [compare('=', operand, when) if operand else truth(when) for when, _ in branches]
        return choose(kind, whens, thens, last)
    raise SqlError(f'not allowed here: {node[1] if what in ("agg", "col") else what}')
