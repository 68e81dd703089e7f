#!/usr/bin/env python3
"""What other programs read: result files through DuckDB, pyarrow and polars.

    readers_test.py MILLRACE [unittest arguments]

Every test talks to a real `millrace dev` on free ports over a data directory of its own.
"""
import glob
import json
import os
import sqlite3

import duckdb
import polars
import pyarrow.dataset
import pyarrow.parquet

import cluster

# Names of folders of a path, words of SQL, and whatever else a reader may have a meaning of its own for.
NAMES = ['v', 'date', 'results', 'default', 'objects', 'filename', 'file_row_number', 'file_index', 'path', 'partition',
         'part', 'year', 'month', 'hour', 'offset', 'row', 'key', 'count(*)', 'select', 'from', 'NULL', 'true', 'index',
         'window', 'window date', 'window_date=', 'window_dates', 'v=1', 'a=b=c', 'a.b', '.', '..', 'a/b', '/', '\\',
         "it's", 'say "so"', '``', '[0]', 'a[0]', '*', '?', '%', '%20', '{x}', '$1', ':v', '@', '#', '-', '+', ' ',
         ' v', 'v ', '0', '1e3', 'é', 'É', 'ß', 'дата', '日付', '🙂', 'Date2', 'x' * 62]
EVENT = '{"at":"%s","shop":%s,"n":%d}\n'


def files_of(dev, view):
    return json.loads(dev.command('pipeline', 'describe', view, '--format', 'json').stdout)['result_files']


class Readers(cluster.DevCase):
    def view(self, name, columns, option=''):
        self.dev.command('apply', self.file(f'{name}.sql', f'''
CREATE TABLE {name}_events (at timestamptz NOT NULL, shop text, n bigint)
WITH (event_time = 'at', watermark_delay = '1 minute', partition_key = 'shop', partitions = 2);
CREATE MATERIALIZED VIEW {name}{option} AS SELECT shop, window_start, window_end, {columns}
FROM tumble({name}_events, at, INTERVAL '1 hour') GROUP BY shop, window_start, window_end;'''))

    def send(self, name, events, *args):
        lines = ''.join(EVENT % (at, json.dumps(shop), n) for at, shop, n in events)
        self.dev.command('produce', f'{name}_events', '--input', self.file(f'{name}.jsonl', lines), *args)

    def wait(self, name, rows):
        """Until every row is in a file: files come a moment after the table, metrics after both."""
        self.dev.command('results', name, '--wait')
        pattern = files_of(self.dev, name)
        cluster.wait_until('every row is in a file', lambda: rows == sum(
            pyarrow.parquet.read_metadata(path).num_rows for path in glob.glob(pattern)))

    def test_a_column_of_any_name_is_read_as_it_is(self):
        quoted = [name.replace('"', '""') for name in NAMES]
        self.view('awkward', ', '.join(f'sum(n) + {i} AS "{q}"' for i, q in enumerate(quoted)))
        self.send('awkward', [('2001-01-01T00:30:00Z', 'north', 100), ('2001-01-02T00:30:00Z', 'south', 1000),
                              ('2001-01-02T01:30:00Z', None, -1000)], '--end')
        self.wait('awkward', 3)
        pattern = files_of(self.dev, 'awkward')
        folder = os.path.dirname(os.path.dirname(pattern))
        want = sorted([n + i for i in range(len(NAMES))] for n in (100, 1000, -1000))
        columns = ', '.join(f'"{q}"' for q in quoted)
        for hive in ('', ', hive_partitioning = true'):
            source = f"read_parquet('{pattern}'{hive})"
            self.assertEqual(sorted(map(list, duckdb.sql(f'SELECT {columns} FROM {source}').fetchall())), want)
            everything = duckdb.sql(f'SELECT * FROM {source}')
            self.assertEqual(everything.columns[3:3 + len(NAMES)], NAMES)
        dates = duckdb.sql(f"SELECT DISTINCT window_date::text FROM '{pattern}' ORDER BY 1").fetchall()
        self.assertEqual(dates, [('2001-01-01',), ('2001-01-02',)])
        # The table's reader and SQLite itself have them too. SQLite's view has true_ for true.
        results = json.loads('[' + ','.join(
            self.dev.command('results', 'awkward', '--format', 'json').stdout.splitlines()) + ']')
        self.assertEqual(sorted([int(row[name]) for name in NAMES] for row in results), want)
        database = sqlite3.connect(f'file:{self.dev.data_dir}/serving.db?mode=ro', uri=True)
        in_view = columns.replace('"true"', '"true_"')
        self.assertEqual(sorted(map(list, database.execute(f'SELECT {in_view} FROM awkward'))), want)
        database.close()
        tables = {
            'pyarrow, a table of the folder': pyarrow.parquet.read_table(folder),
            'pyarrow, a data set': pyarrow.dataset.dataset(folder, partitioning='hive').to_table(),
            'pyarrow, files': pyarrow.parquet.read_table(sorted(glob.glob(pattern))),
            'polars, files': polars.scan_parquet(pattern).collect(),
            'polars, files with folders': polars.scan_parquet(pattern, hive_partitioning=True).collect(),
            'polars, the folder': polars.scan_parquet(folder + '/').collect(),
        }
        for reader, table in tables.items():
            with self.subTest(reader):
                rows = table.to_pylist() if hasattr(table, 'to_pylist') else table.to_dicts()
                self.assertEqual(sorted([row[name] for name in NAMES] for row in rows), want)

    def test_a_column_called_as_the_folders_is_refused(self):
        for name in ('window_date', '"Window_Date"', '"WINDOW_DATE"'):
            with self.assertRaises(AssertionError) as refused:
                self.view('dated', f'count(*) AS {name}')
            self.assertIn('column of that name', str(refused.exception))
        # A stream may have such a column.
        self.dev.command('apply', self.file('ok.sql', '''
CREATE TABLE dated (at timestamptz NOT NULL, window_date text) WITH (event_time = 'at', watermark_delay = '0 seconds', partitions = 1);
CREATE MATERIALIZED VIEW per_date AS SELECT window_date AS d, window_start, window_end, count(*) AS n
FROM tumble(dated, at, INTERVAL '1 day') GROUP BY window_date, window_start, window_end;'''))

    def test_a_view_that_was_dropped_and_created_again_has_files_of_its_own(self):
        self.view('again', 'sum(n) AS n')
        self.send('again', [('2001-01-01T00:30:00Z', 'north', 1), ('2001-01-02T00:30:00Z', 'south', 2)], '--end')
        self.wait('again', 2)
        first = files_of(self.dev, 'again')
        self.dev.command('pipeline', 'drop', 'again')
        self.view('again', 'sum(n) AS n', " WITH (allowed_lateness = '1 second')")
        self.wait('again', 2)
        second = files_of(self.dev, 'again')
        self.assertNotEqual(first, second)
        for pattern in (first, second):
            rows = duckdb.sql(f"SELECT shop, n FROM '{pattern}' ORDER BY shop").fetchall()
            self.assertEqual(rows, [('north', 1), ('south', 2)])

    def test_files_of_several_days_and_partitions_are_all_found(self):
        self.view('days', 'sum(n) AS n')
        events = [(f'2001-{month:02}-{day:02}T12:00:00Z', f'shop {day}', day) for month in (1, 2) for day in range(1, 28)]
        self.send('days', events, '--end')
        self.wait('days', len(events))
        pattern = files_of(self.dev, 'days')
        sql = f"SELECT window_date::text, count(*), sum(n) FROM '{pattern}' GROUP BY 1 ORDER BY 1"
        self.assertEqual(duckdb.sql(sql).fetchall(), [(at[:10], 1, n) for at, _, n in events])
        self.assertEqual(polars.scan_parquet(pattern).select('n').sum().collect().item(), sum(n for _, _, n in events))


if __name__ == '__main__':
    cluster.run()
