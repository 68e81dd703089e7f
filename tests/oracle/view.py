"""The compiled view of a case: what an event adds to a group, and what a group shows."""
import math
import re

from aggregates import aggregate
from expressions import (EvalError, Literal, Term, canonical, coerce, common_type,
                         compile_expression, key_bytes, name_text)
from minisql import SqlError


class BadValue(Exception):
    """A value of another JSON type than its column's, or out of its range."""


def column_value(kind, value):
    """The value of a column of type `kind` that a case writes as `value`, which is not null."""
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if kind == 'bigint' and isinstance(value, str) and re.fullmatch('-?[0-9]+', value):
        value, is_integer = int(value), True
    if kind == 'double' and value in ('NaN', 'Infinity', '-Infinity'):
        return float(value)
    if kind == 'double' and (is_integer or isinstance(value, float)):
        if is_integer and abs(value) >= 2**1024 or not math.isfinite(value):
            raise BadValue
        return float(value)
    bits = {'int': 32, 'bigint': 64, 'timestamptz': 64}.get(kind)
    if bits and is_integer and -2**(bits - 1) <= value < 2**(bits - 1):
        return value
    if isinstance(value, {'text': str, 'boolean': bool}.get(kind, ())):
        return value
    raise BadValue


def shown(kind, value):
    """`value` as a case writes it."""
    if kind == 'double' and value is not None and not math.isfinite(value):
        return 'NaN' if value != value else 'Infinity' if value > 0 else '-Infinity'
    return str(value) if kind in ('bigint', 'numeric') and abs(value or 0) > 2**53 else value


def within(clause, term, row):
    """The value; an error then names the clause."""
    try:
        return term(row)
    except EvalError as error:
        error.clause = clause
        raise


class View:
    """The compiled expressions of the view: of an event, and of a finished group."""

    def __init__(self, spec):
        self.spec = spec
        self.columns = spec.columns.items()
        self.aggregates = []  # (filter, argument or None, make a state)
        self.known = {}       # aggregate expression -> (type, its number)
        self.where = self.truth(spec.where, self.event_leaf)
        keys = [(name, *self.value(node, self.event_leaf)) for name, node in spec.keys]
        self.keys = keys  # (name, type, function of an event)
        if any(kind == 'numeric' for _, kind, _ in keys):
            raise SqlError('a group key cannot be numeric')
        self.items = [(name, *self.value(node, self.group_leaf)) for name, node in spec.items]
        self.having = self.truth(spec.having, self.group_leaf)

    @staticmethod
    def truth(node, leaf):
        return None if node is None else coerce(compile_expression(node, leaf), 'boolean')

    @staticmethod
    def value(node, leaf):
        typed = compile_expression(node, leaf)
        kind = common_type([typed[0]])
        return kind, coerce(typed, kind)

    def event_leaf(self, node):
        if node[0] == 'col' and node[1] in self.spec.columns:
            return (self.spec.columns[node[1]][0],
                    Term(lambda row: row[node[1]], name_text(node[1])))
        return None

    def group_leaf(self, node):
        """What HAVING and SELECT see: group columns, the window's bounds, aggregates."""
        for number, (_, key) in enumerate(self.spec.keys):
            if node == key:
                _, kind, term = self.keys[number]
                return kind, Term(lambda group: group.key[number], term.text,
                                  term.operand != term.text)
        if node in (('col', 'window_start'), ('col', 'window_end')):
            bound = node[1].removeprefix('window_')
            return 'timestamptz', Term(lambda group: getattr(group, bound), node[1])
        if node[0] != 'agg':
            return None
        if node not in self.known:
            _, function, argument, condition = node
            kind, value = (None, None) if argument is None else self.value(argument,
                                                                           self.event_leaf)
            result, make = aggregate(function, kind)
            condition = self.truth(condition, self.event_leaf)
            every = value is None or function == 'count' and value.text != 'NULL' and isinstance(
                value, Literal)
            text = f"{function}({'*' if every else value.text})"
            if condition is not None:
                text += f' FILTER (WHERE {condition.text})'
            self.known[node] = result, len(self.aggregates), text
            self.aggregates.append((condition, value, make))
        result, number, text = self.known[node]
        return result, Term(lambda group: group.states[number].value(), text)

    def accepts(self, row):
        return self.where is None or within('WHERE', self.where, row) is True

    def key(self, row):
        return tuple(canonical(kind, within('GROUP BY', value, row))
                     for _, kind, value in self.keys)

    def key_bytes(self, key):
        return b''.join(key_bytes(kind, value) for (_, kind, _), value in zip(self.keys, key))

    def additions(self, row):
        """What the event adds: (number of the aggregate, value), FILTER before the argument."""
        result = []
        for number, (condition, argument, _) in enumerate(self.aggregates):
            if condition is None or within('FILTER', condition, row) is True:
                value = True if argument is None else within('an argument', argument, row)
                if value is not None:
                    result.append((number, value))
        return result

    def result(self, group):
        """The SELECT list of a group as a case writes it; None if HAVING is not true."""
        if self.having is not None and within('HAVING', self.having, group) is not True:
            return None
        return {name: shown(kind, within('SELECT', value, group))
                for name, kind, value in self.items}


class Group:
    """One group of one window, and what was said about it so far."""

    def __init__(self, view, start, end, key, order):
        self.start, self.end, self.key = start, end, key
        self.order = (end, start, order)  # rule 9
        self.states = [make() for _, _, make in view.aggregates]
        self.revision = 0                 # emissions so far, deletions included
        self.stands = False               # the last emission was not a deletion
        self.file_result = None           # _seq of the result that the files repeat
        self.provisional_stands = False
        self.column = {name: shown(kind, value)
                       for (name, kind, _), value in zip(view.keys, key)}

    def add(self, additions):
        for number, value in additions:
            self.states[number].add(value)

    def merge(self, other):
        for mine, its in zip(self.states, other.states):
            mine.merge(its)

    def named(self):
        return {'window_start': self.start, 'window_end': self.end, **self.column}
