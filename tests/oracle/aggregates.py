"""The aggregates of the oracle: one state for each (window, group), fed with what is not NULL."""
import math
from fractions import Fraction

from expressions import COMPARE, canonical, checked, sort_key
from minisql import SqlError

DOUBLE_UNIT = 2**1074  # every finite double is a whole number of 2^-1074


def round_once(exact):
    """The double nearest to a fraction, ties to even; an infinity beyond the range."""
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


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
