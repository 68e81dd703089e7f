"""Random expressions that are well typed and often on the edge of failing."""

COLUMNS = {'ts': 'timestamptz', 'k': 'text', 'j': 'int', 'b': 'bigint', 'd': 'double precision',
           'f': 'boolean', 'x': 'text', 'u': 'timestamptz'}
LITERALS = {
    'int': ['0', '1', '2', '3', '7', '10', '-1', '-3', '2147483647', '-2147483648', '65536'],
    'bigint': ['3000000000', '9223372036854775807', '-9223372036854775808', '-4000000000'],
    'double precision': ['0.5', '1.5', '-2.5', '0.1', '1e308', '1e-308', '0.0', '2.0', '1e15'],
    'text': ["''", "'a'", "'b'", "'é'", "'12'", "' 7 '", "'it''s'", "'Z'", "'2.5'"],
    'boolean': ['true', 'false'],
    'timestamptz': ["TIMESTAMPTZ '2001-01-01T00:00:00Z'", "TIMESTAMPTZ '1970-01-01T01:00:00+01:00'",
                    "TIMESTAMPTZ '2018-11-04T03:00:00.000001Z'"]}
NUMBERS = ('int', 'bigint', 'double precision')
PLAIN_CASTS = [('int', 'bigint'), ('int', 'double precision'), ('bigint', 'int'), ('int', 'text'),
               ('bigint', 'double precision'), ('double precision', 'int'), ('text', 'int'),
               ('double precision', 'bigint'), ('text', 'bigint'), ('text', 'double precision'),
               ('bigint', 'text'), ('double precision', 'text'), ('boolean', 'text'),
               ('numeric', 'bigint'), ('numeric', 'double precision'), ('numeric', 'text')]
RARE_CASTS = [('int', 'boolean'), ('boolean', 'int'), ('text', 'boolean'), ('timestamptz', 'text'),
              ('text', 'timestamptz'), ('numeric', 'int')]
COMPARABLE = [*NUMBERS, 'text', 'timestamptz', 'boolean']


class Expressions:
    """Makes expressions over leaves: `leaves` lists for each type the SQL of what has it."""

    def __init__(self, rng, leaves, casts):
        self.rng, self.leaves, self.casts = rng, leaves, casts

    def leaf(self, kind):
        known = self.leaves.get(kind, [])
        if known and (kind not in LITERALS or self.rng.random() < 0.75):
            return self.rng.choice(known)
        return self.rng.choice(LITERALS[kind])

    def has(self, kind):
        return kind in LITERALS or bool(self.leaves.get(kind))

    def number_kind(self, up_to):
        """A type that widens to `up_to`."""
        return self.rng.choice(NUMBERS[:NUMBERS.index(up_to) + 1]) if up_to in NUMBERS else up_to

    def make(self, kind, depth):
        if depth <= 0 or self.rng.random() < 0.2:
            return self.leaf(kind)
        depth -= 1
        choices = [self.case, self.simple_case, self.coalesce, self.nullif, self.cast]
        if kind == 'boolean':
            choices += [self.comparison] * 5 + [self.connective] * 3 + [
                self.negation, self.null_test, self.membership, self.between]
        if kind in NUMBERS or kind == 'numeric':
            choices += [self.arithmetic] * 6 + [self.minus]
        return self.rng.choice(choices)(kind, depth)

    def wrapped(self, text):
        return f'({text})'

    def arithmetic(self, kind, depth):
        operators = {'numeric': '+-*', 'double precision': '+-*/'}.get(kind, '+-*/%')
        left = self.make(kind, depth)
        right = self.make(self.number_kind(kind), depth) if kind in NUMBERS else self.make(
            self.rng.choice([kind, 'int', 'bigint']), depth)
        if self.rng.random() < 0.5 and kind in NUMBERS:
            left, right = right, left
        if kind in ('numeric', 'double precision'):  # they have no %, so keep that of integers apart
            left, right = self.wrapped(left), self.wrapped(right)
        text = f'{left} {self.rng.choice(operators)} {right}'
        return text if self.rng.random() < 0.15 and kind in ('int', 'bigint') else f'({text})'

    def minus(self, kind, depth):
        inner = self.make(kind, depth)
        return f'(- {inner})' if inner[0].isalpha() else inner  # a literal would change its type

    def comparable(self):
        kinds = COMPARABLE + (['numeric'] * 2 if self.leaves.get('numeric') else [])
        kind = self.rng.choice(kinds)
        if kind in NUMBERS:
            return self.rng.choice(NUMBERS), self.rng.choice(NUMBERS)
        if kind == 'numeric':
            return kind, self.rng.choice(['int', 'bigint', 'numeric', 'double precision'])
        return kind, kind

    def comparison(self, kind, depth):
        left, right = self.comparable()
        right = 'NULL' if self.rng.random() < 0.03 else self.make(right, depth)
        operator = self.rng.choice(['=', '<>', '!=', '<', '<=', '>', '>='])
        return f'({self.make(left, depth)} {operator} {right})'

    def connective(self, kind, depth):
        words = [self.make('boolean', depth) for _ in range(self.rng.choice([2, 2, 3]))]
        text = words[0]
        for word in words[1:]:
            text += f" {self.rng.choice(['AND', 'OR'])} {word}"
        return text if self.rng.random() < 0.2 else f'({text})'

    def negation(self, kind, depth):
        return f"(NOT {self.make('boolean', depth)})"

    def null_test(self, kind, depth):
        return (f"({self.make(self.comparable()[0], depth)} IS "
                f"{self.rng.choice(['', 'NOT '])}NULL)")

    def membership(self, kind, depth):
        left, right = self.comparable()
        elements = ', '.join('NULL' if self.rng.random() < 0.1 else self.make(right, depth - 1)
                             for _ in range(self.rng.choice([1, 2, 3])))
        return f"({self.make(left, depth)} {self.rng.choice(['', 'NOT '])}IN ({elements}))"

    def between(self, kind, depth):
        left, right = self.comparable()
        return (f"({self.make(left, depth)} {self.rng.choice(['', 'NOT '])}BETWEEN "
                f"{self.wrapped(self.make(right, depth))} AND "
                f"{self.wrapped(self.make(right, depth))})")

    def case(self, kind, depth):
        branches = ' '.join(f"WHEN {self.make('boolean', depth)} THEN "
                            f"{self.make(self.number_kind(kind), depth)}"
                            for _ in range(self.rng.choice([1, 1, 2])))
        last = self.rng.choice(['', ' ELSE NULL', f' ELSE {self.make(kind, depth)}'])
        return self.typed(kind, f'CASE {branches}{last} END')

    def simple_case(self, kind, depth):
        left, right = self.comparable()
        branches = ' '.join(f'WHEN {self.make(right, depth)} THEN {self.make(kind, depth)}'
                            for _ in range(self.rng.choice([1, 2])))
        return f'CASE {self.make(left, depth)} {branches} ELSE {self.make(kind, depth)} END'

    def coalesce(self, kind, depth):
        parts = ', '.join(self.make(self.number_kind(kind), depth)
                          for _ in range(self.rng.choice([1, 2])))
        return f'COALESCE({parts}, {self.make(kind, depth)})'

    def nullif(self, kind, depth):
        other = self.number_kind(kind) if kind in NUMBERS else kind
        return f'NULLIF({self.make(kind, depth)}, {self.make(other, depth)})'

    def cast(self, kind, depth):
        sources = [source for source, target in self.casts if target == kind and self.has(source)]
        if not sources:
            return self.leaf(kind)
        inner = self.make(self.rng.choice(sources), depth)
        if inner[0] == "'":  # a bad literal would be an error of the statement
            return self.leaf(kind)
        return self.typed(kind, self.wrapped(inner))

    def typed(self, kind, text):
        """`text` in exactly the type `kind`, whatever its parts have widened it to."""
        if kind == 'numeric':  # no type of a CAST; its parts are not widened either
            return self.wrapped(text)
        return f'CAST({text} AS {kind})' if self.rng.random() < 0.5 else f'({text})::{kind}'


def random_aggregate(rng, make):
    """(SQL, type) of one aggregate; `make(type, depth)` makes its argument and filter."""
    function = rng.choice(['count', 'count', 'sum', 'sum', 'min', 'max', 'avg'])
    if function == 'count' and rng.random() < 0.6:
        text, kind = 'count(*)', 'bigint'
    else:
        kinds = {'count': COMPARABLE, 'sum': NUMBERS, 'avg': NUMBERS}.get(
            function, [*NUMBERS, 'text', 'timestamptz'])
        argument = rng.choice(kinds)
        text = f'{function}({make(argument, rng.choice([0, 0, 0, 0, 1, 2]))})'
        kind = {'count': 'bigint', 'avg': 'double precision'}.get(function, argument)
        if function == 'sum':
            kind = {'int': 'bigint', 'bigint': 'numeric'}.get(argument, argument)
    if rng.random() < 0.25:
        text += f" FILTER (WHERE {make('boolean', rng.choice([1, 1, 2]))})"
    return text, kind
