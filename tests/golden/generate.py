#!/usr/bin/env python3
"""Writes random cases, `expected` filled in by the oracle, to compare the engine with.

    generate.py --seed N --count M --out DIR [--first F] [--without FEATURE,..]

Case number n of a seed is always the same. Features that can be left out: key-expressions,
rare-casts, item-expressions, repeat, days, start, create-time.
"""
import argparse
import collections
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'oracle'))

from minisql import parse_time  # noqa: E402
from oracle import fold  # noqa: E402
from random_log import Log  # noqa: E402
from random_sql import COLUMNS, PLAIN_CASTS, RARE_CASTS, Expressions, random_aggregate  # noqa: E402

SECOND, MINUTE, HOUR, DAY = 10**6, 60 * 10**6, 3600 * 10**6, 86_400 * 10**6
ZONES = [('America/Los_Angeles', '2021-03-14'), ('America/Los_Angeles', '2021-11-07'),
         ('America/Sao_Paulo', '2018-11-04'), ('America/Sao_Paulo', '2018-02-18'),
         ('Europe/Berlin', '2024-03-31'), ('Australia/Lord_Howe', '2020-04-05'),
         ('Pacific/Apia', '2011-12-30'), ('America/St_Johns', '2006-10-29'),
         ('Africa/Monrovia', '1972-01-07'), ('Asia/Kathmandu', '1986-01-01'),
         ('Africa/Casablanca', '2023-03-19'), ('Asia/Tokyo', '1969-12-31'),
         ('Europe/London', '1968-06-01'), ('America/New_York', '2099-11-01')]
BASES = ['2001-01-01T00:00:00Z'] * 8 + ['1970-01-01T00:00:00Z', '1969-12-31T23:59:50Z',
                                        '2024-02-29T12:00:00Z', '1900-03-01T00:00:00Z',
                                        '0001-01-03T00:00:00Z', '9999-12-30T00:00:00Z']
FILE_INTERVALS = [MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 30 * SECOND]


class Case:
    """One random definition and a log for it."""

    def __init__(self, rng, without):
        self.rng, self.without, self.rules = rng, without, []
        self.columns = dict(COLUMNS)
        if self.chance(0.25):
            self.columns['k'] = rng.choice(['int', 'bigint'])
        self.required = [name for name in 'kjx' if self.chance(0.12)]
        self.create_time = self.feature('create-time', 0.08)
        self.window()
        self.options()
        casts = PLAIN_CASTS + ([] if 'rare-casts' in without else RARE_CASTS)
        leaves = {}
        for name, kind in self.columns.items():
            leaves.setdefault(kind, []).append(name)
        self.events = Expressions(rng, leaves, casts)
        self.select(casts)
        self.log = Log(rng, self)

    def chance(self, probability):
        return self.rng.random() < probability

    def feature(self, name, probability):
        """Whether a feature that can be left out is in; it is then named in `rules`."""
        chosen = self.chance(probability) and name not in self.without
        if chosen:
            self.rules.append(name)
        return chosen

    def interval(self, micros):
        """One of the ways to write a duration."""
        units = [(unit, name) for unit, name in ((DAY, 'day'), (HOUR, 'hour'), (MINUTE, 'minute'),
                                                 (SECOND, 'second'), (1000, 'millisecond'),
                                                 (1, 'microsecond')) if micros % unit == 0]
        unit, name = units[0] if self.chance(0.7) else self.rng.choice(units[:3])
        amount = micros // unit
        if unit == MINUTE and 60 < amount < 600 and self.chance(0.5):
            return f'{amount // 60} hours {amount % 60} minutes'
        return f'{amount} {name}' + ('' if amount == 1 else 's')

    def window(self):
        rng = self.rng
        self.base = parse_time(rng.choice(BASES))
        self.offset, self.zone = None, None
        if self.feature('days', 0.12):
            self.zone, date = rng.choice(ZONES)
            self.base = parse_time(date + 'T00:00:00Z') - rng.randrange(2 * DAY)
            self.kind, self.size = 'tumble', rng.choice([1, 1, 1, 2, 3, 7]) * DAY
            self.slide = self.size
            arguments = f"INTERVAL '{self.interval(self.size)}', timezone => '{self.zone}'"
        else:
            scale = rng.choice([1, 7, 1000, SECOND, SECOND, SECOND, 10 * SECOND, MINUTE, HOUR])
            if self.base > parse_time('9999-01-01T00:00:00Z'):
                scale = rng.choice([SECOND, MINUTE])
            self.kind = rng.choice(['tumble', 'hop', 'hop'])
            self.slide = scale * rng.choice([1, 2, 3, 5, 10, 10, 60])
            ratio = rng.choice([1, 1.5, 2, 2, 2.5, 3, 4, 6, 12]) if self.kind == 'hop' else 1
            self.size = max(self.slide, int(self.slide * ratio))
            if self.chance(0.05):  # weeks begin on Monday
                self.slide = self.size = 7 * DAY
                self.rules.append('weeks')
            if self.chance(0.3) and self.base < parse_time('9000-01-01T00:00:00Z'):
                self.offset = rng.choice([1, -1, self.slide // 3 or 1, -self.slide // 2,
                                          self.slide * 3 + 1, -5 * self.size - 1, self.slide - 1])
            arguments = f"INTERVAL '{self.interval(self.size)}'"
            if self.kind == 'hop':
                arguments = f"INTERVAL '{self.interval(self.slide)}', {arguments}"
            if self.offset is not None:
                arguments += f", INTERVAL '{self.interval(self.offset)}'"
        self.rules.append(self.kind)
        self.source = f'{self.kind}(s, ts, {arguments})'

    def options(self):
        rng, size, slide = self.rng, self.size, self.slide
        self.delay = rng.choice([0, 0, 1, slide // 2, size, 2 * size, 5 * size + 1])
        self.lateness = rng.choice([0, 0, 0, 1, slide // 2, slide, size, 3 * size,
                                     10 * size])
        self.revising = self.chance(0.2)  # late events, accepted again and again
        if self.revising:
            self.delay = rng.choice([0, 1, slide // 2])
            self.lateness = rng.choice([size, 3 * size, 10 * size])
        self.max_ahead = rng.choice([HOUR] * 3 + [size, 2 * size + 1, SECOND])
        self.idle_timeout = rng.choice([30 * SECOND, 3 * SECOND, 1 * SECOND, 2_500_000])
        self.file_interval = rng.choice(FILE_INTERVALS + [HOUR] * 3)
        self.file_idle = rng.choice([300 * SECOND, 2 * SECOND, 5 * SECOND, 1_200_000])
        self.updates = self.chance(0.3)
        table = {'watermark_delay': self.interval(self.delay)}
        if self.max_ahead != HOUR or self.chance(0.1):
            table['max_ahead'] = self.interval(self.max_ahead)
        if self.idle_timeout != 30 * SECOND:
            table['idle_timeout'] = self.interval(self.idle_timeout)
        view = {}
        if self.lateness or self.chance(0.1):
            view['allowed_lateness'] = self.interval(self.lateness)
        if self.file_interval != HOUR:
            view['file_interval'] = self.interval(self.file_interval)
        if self.file_idle != 300 * SECOND:
            view['file_idle'] = self.interval(self.file_idle)
        if self.updates:
            view['emit'] = 'updates'
        self.start = None
        if self.feature('start', 0.15):
            self.start = rng.choice(['latest', 'time'])
        self.table_options, self.view_options = table, view
        self.rules += sorted(view)

    def select(self, casts):
        rng, make = self.rng, self.events.make
        self.keys = [('k', 'k', self.columns['k'])]
        for name in rng.sample('jbdfxu', 0 if self.revising else rng.choice([0, 0, 0, 1, 1, 2])):
            self.keys.append((name, name, self.columns[name]))
        if self.feature('key-expressions', 0.15):
            text, kind = rng.choice([
                ('j % 3', 'int'), ('10 / j', 'int'), ('j + 1', 'int'), ('CAST(x AS int)', 'int'),
                ("COALESCE(x, 'none')", 'text'), ('d IS NULL', 'boolean'),
                ("CASE WHEN f THEN 'yes' ELSE 'no' END", 'text'), ('d / 2', 'double precision')])
            self.keys.append(('e', text, kind))
        rng.shuffle(self.keys)
        aggregates = [random_aggregate(rng, make) for _ in range(rng.choice([1, 1, 2, 3, 4]))]
        if self.chance(0.4):
            aggregates.append(('count(*)', 'bigint'))
        leaves = {'timestamptz': ['window_start', 'window_end']}
        for text, kind in aggregates + [(text, kind) for _, text, kind in self.keys]:
            leaves.setdefault(kind, []).append(text if text.isidentifier() else f'({text})')
        self.groups = Expressions(rng, leaves, casts)
        items = [(f'a{n}', text) for n, (text, _) in enumerate(aggregates)]
        if self.feature('item-expressions', 0.3):
            kind = rng.choice(['bigint', 'double precision', 'text', 'boolean', 'int'])
            items.append(('z', rng.choice([
                self.groups.make(kind, 2), self.groups.make(kind, 2),
                '10 / (count(*) - 2)', 'sum(j) / (count(*) - 1)', 'CAST(sum(b) AS bigint)',
                'CAST(max(d) AS int)', 'CASE WHEN count(*) > 1 THEN avg(d) END'])))
        self.where = self.having = None
        if self.chance(0.4):
            self.where = rng.choice(['j > 0', 'j <> 0', "x <> 'a'", 'd < 1e300', 'f',
                                     'b IS NOT NULL', '10 / j > -20', 'CAST(x AS int) > 0 OR f', make('boolean', 1),
                                     make('boolean', 2), make('boolean', 3), 'j + 1 > 0'])
        if self.chance(0.4):
            self.having = rng.choice([
                'count(*) < 2', 'count(*) % 2 = 1', 'count(*) < 3 OR count(*) > 4', 'sum(j) > 0',
                '6 / (count(*) - 2) > 0', 'max(x) IS NOT NULL AND count(x) < 3',
                'count(*) FILTER (WHERE j > 0) <> 1', '1 / (count(*) - 3) >= 0',
                self.groups.make('boolean', 2), self.groups.make('boolean', 2)])
            self.rules.append('having')
        names = [name if name == text else f'{text} AS {name}' for name, text, _ in self.keys]
        bounds = ['window_start', 'window_end']
        self.select_list = ', '.join(names + bounds + [f'{text} AS {name}' for name, text in items])
        groups = [text for _, text, _ in self.keys] + bounds
        if self.chance(0.2):
            groups = bounds + groups[:-2]
        self.group_by = ', '.join(groups)

    def sql(self):
        columns = ', '.join(name + ' ' + kind + (' NOT NULL' if name in self.required or
                                                 name == 'ts' else '')
                            for name, kind in self.columns.items())
        table = ''.join(f", {name} = '{value}'" for name, value in self.table_options.items())
        view = ', '.join(f"{name} = '{value}'" for name, value in self.view_options.items())
        return (f'CREATE TABLE s ({columns})\n'
                f"WITH (partition_key = 'k', event_time = 'ts'{table});\n"
                f'CREATE MATERIALIZED VIEW r{f" WITH ({view})" if view else ""} AS\n'
                f'SELECT {self.select_list}\nFROM {self.source}\n'
                + (f'WHERE {self.where}\n' if self.where else '')
                + f'GROUP BY {self.group_by}'
                + (f'\nHAVING {self.having}' if self.having else '') + ';')

    def build(self, name):
        """The case without `expected`."""
        records = self.log.records()
        case = {'name': name, 'rules': self.rules}
        if self.start:
            middle = self.rng.choice(records)
            if self.start == 'latest':
                self.view_options['start'] = 'latest'
                case['defined_at'] = middle['append_time'] + self.rng.choice([0, 0, 1, -1])
                case['start_offset'] = middle['offset']
            else:
                text = self.log.time_text(middle['append_time'] + self.rng.choice([0, 0, 1, -1]))
                self.view_options['start'] = text
                at = parse_time(text)
                case['start_offset'] = next((r['offset'] for r in records
                                             if r['append_time'] >= at), self.log.offset)
        if self.create_time:
            case['create_time'] = True
        return case | {'sql': self.sql(), 'records': records}


def features(expected):
    """What the output shows, to be sure that a run of many cases shows everything."""
    for name in ('rows', 'provisional', 'file_rows', 'late', 'row_errors'):
        if expected.get(name):
            yield name
    for name in ('rows', 'provisional'):
        if any('_deleted' in row for row in expected.get(name, ())):
            yield f'deletion in {name}'
    yield from sorted({'reason ' + entry['reason'] for entry in expected['quarantine']})
    yield from (f'counter {name}' for name in expected['counters'])
    revisions = max((row['_revision'] for row in expected['rows']), default=0)
    yield from (f'revision {revision}' for revision in (2, 3, 4) if revision <= revisions)
    if len(expected['files']) > 1:
        yield 'several files'


def write_case(case, expected, path):
    members = dict(case, expected=None)
    del members['records'], members['expected']
    lines = [f' {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}'
             for name, value in members.items()]
    records = ',\n'.join('  ' + json.dumps(r, ensure_ascii=False) for r in case['records'])
    lines.append(f' "records": [\n{records}\n ]')
    lines.append(f' "expected": {json.dumps(expected, ensure_ascii=False, indent=1)}')
    with open(path, 'w', encoding='utf-8') as file:
        file.write('{\n' + ',\n'.join(lines) + '\n}\n')


def make_case(name, without):
    """(case, expected); a case that needs a date outside 0001..9999 is made again."""
    for attempt in range(100):
        definition = Case(random.Random(f'{name}/{attempt}'), without)
        try:
            case = definition.build(name)
            return case, fold(case)
        except OverflowError:
            if definition.base not in (parse_time(BASES[-1]), parse_time(BASES[-2])):
                raise
    raise RuntimeError(f'no case for {name}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('--seed', type=int, required=True)
    parser.add_argument('--count', type=int, required=True)
    parser.add_argument('--first', type=int, default=0, help='number of the first case')
    parser.add_argument('--out', metavar='DIR', required=True)
    parser.add_argument('--without', default='', metavar='FEATURE,..')
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    shown = collections.Counter()
    for number in range(options.first, options.first + options.count):
        name = f'random-{options.seed}-{number}'
        case, expected = make_case(name, options.without.split(','))
        shown.update(features(expected))
        write_case(case, expected, os.path.join(options.out, name + '.json'))
    for feature, count in sorted(shown.items()):
        print(f'{count:6} cases show {feature}')
    print(f'{options.count} cases written to {options.out}')


if __name__ == '__main__':
    main()
