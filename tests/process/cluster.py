"""Whole processes of Millrace under test: starts, kills and questions them; compares stores with the oracle."""
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ORACLE = os.path.join(ROOT, 'tests', 'oracle', 'oracle.py')
READY = re.compile(r'^ready grpc=(\S+) admin=(\S+) data_dir=(\S+)$')
PATIENCE = 120


class Dev:
    """One `millrace dev` over a data directory, on ports that stay the same when it is started again."""

    def __init__(self, binary, data_dir, config=None):
        self.binary = binary
        self.data_dir = data_dir
        self.config = ['--config', config] if config else []
        self.grpc = '127.0.0.1:0'
        self.admin = '127.0.0.1:0'
        self.process = None
        self.log = open(data_dir + '.log', 'ab')
        self.starts = 0

    def start(self, crash_at=None, throw_at=None):
        environment = dict(os.environ)
        if crash_at:
            environment['MILLRACE_CRASH_AT'] = crash_at
        if throw_at:
            environment['MILLRACE_THROW_AT'] = throw_at
        self.process = subprocess.Popen(
            [self.binary, 'dev', '--data-dir', self.data_dir, '--listen', self.grpc, '--admin', self.admin,
             *self.config],
            stdout=subprocess.PIPE, stderr=self.log, env=environment, text=True,
            # A file past its limit gives the writer an error instead of a signal, as a full disk does.
            restore_signals=False)
        self.starts += 1
        line = self.process.stdout.readline()
        match = READY.match(line.strip())
        if match:
            self.grpc, self.admin = match.group(1), match.group(2)
        return match is not None

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(timeout=PATIENCE) != 0:
            raise AssertionError(f'millrace dev ended with {self.process.returncode}; see {self.log.name}')

    def command(self, *args, check=True, **options):
        done = subprocess.run([self.binary, '--server', self.grpc, *args], capture_output=True, text=True, **options)
        if check and done.returncode != 0:
            raise AssertionError(f'millrace {" ".join(args)}: exit {done.returncode}: {done.stderr}')
        return done

    def produce(self, stream, path, *args):
        return subprocess.Popen([self.binary, '--server', self.grpc, 'produce', stream, '--input', path, *args],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


class DevCase(unittest.TestCase):
    """Each test has a `millrace dev` of its own, over an empty data directory; `binary` is the program."""
    binary = None

    def setUp(self):
        self.scratch = tempfile.mkdtemp(prefix='millrace-test-')
        self.dev = Dev(self.binary, os.path.join(self.scratch, 'data'))
        self.assertTrue(self.dev.start(), self.dev.log.name)

    def tearDown(self):
        if self.dev.running():
            self.dev.kill()
        self.dev.process.stdout.close()
        self.dev.log.close()
        shutil.rmtree(self.scratch)

    def file(self, name, content):
        """The path of a new file beside the data directory."""
        path = os.path.join(self.scratch, name)
        with open(path, 'wb') as out:
            out.write(content if isinstance(content, bytes) else content.encode())
        return path


def run():
    """Runs the tests of a script whose first argument is the program."""
    DevCase.binary = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)


class SqliteTables:
    """The serving tables of a data directory, as rows of a query."""

    def __init__(self, data_dir):
        self.path = f'file:{data_dir}/serving.db?mode=ro'

    def rows(self, sql):
        return sqlite3.connect(self.path, uri=True).execute(sql).fetchall()

    @staticmethod
    def time(column):
        return column


def oracle(logdump, data_dir, stream, partition, sql_file, scratch, *config):
    """What the oracle folds out of the log that really was written. `config`: as logdump takes it."""
    case = os.path.join(scratch, f'partition-{partition}.json')
    with open(case, 'w') as out:
        subprocess.run([logdump, data_dir, stream, str(partition), sql_file, *config], stdout=out, check=True)
    done = subprocess.run([sys.executable, ORACLE, case], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f'the oracle refuses the log: {done.stderr}')
    os.remove(case)
    return json.loads(done.stdout)


def micros(text):
    import datetime
    t = datetime.datetime.strptime(text, '%Y-%m-%dT%H:%M:%S.%fZ').replace(tzinfo=datetime.timezone.utc)
    return round(t.timestamp() * 1_000_000) if t.microsecond == 0 else int(t.timestamp()) * 1_000_000 + t.microsecond


def final_rows(expected):
    """Of each group and window the last revision, unless it is a deletion: what a table must hold in the end."""
    last = {}
    for row in expected['rows']:
        key = (row['window_start'], row['window_end'], row['origin'])
        last[key] = row
    return {key: row for key, row in last.items() if not row.get('_deleted')}


def compare_table(tables, view, columns, expected_by_partition):
    """The serving table against the oracle, row for row; returns the number of rows."""
    times = [tables.time(column) for column in ('window_start', 'window_end')]
    names = ['origin', *times, *columns, '_revision', '_seq', '_shard']
    rows = tables.rows(f'select {", ".join(names)} from {view}')
    expected = {}
    for partition, output in enumerate(expected_by_partition):
        for key, row in final_rows(output).items():
            expected[key] = (partition, row)
    seen = set()
    for origin, start, end, *rest in rows:
        key = (micros(start), micros(end), origin)
        if key in seen:
            raise AssertionError(f'{view}: {key} is there twice')
        seen.add(key)
        if key not in expected:
            raise AssertionError(f'{view}: {key} is not in the oracle\'s rows')
        partition, row = expected[key]
        *values, revision, seq, shard = rest
        want = [row[c] for c in columns] + [row['_revision'], row['_seq']]
        have = values + [revision, seq]
        if want != have or not str(shard).endswith(f'p{partition}'):
            raise AssertionError(f'{view}: {key}: expected {want} of p{partition}, got {have} of {shard}')
    if len(seen) != len(expected):
        raise AssertionError(f'{view}: {len(expected) - len(seen)} rows of the oracle are lost')
    return len(seen)


def compare_files(objects, view, columns, expected_by_partition):
    """The Parquet files below the folder of objects, read by an independent reader, against the oracle's file rows; returns the number of files."""
    import pyarrow.parquet
    base = os.path.join(objects, 'default', 'results')
    found = {}
    for folder, _, files in os.walk(base):
        for name in files:
            path = os.path.relpath(os.path.join(folder, name), base)
            match = re.match(r'(\w+)@\d+/window_date=([\d-]+)/p(\d+)-(\d+)-(\d+)-[0-9a-f]{16}\.parquet$', path)
            if not match:
                raise AssertionError(f'{path}: no result file has such a name')
            if match.group(1) == view:
                partition, first, last = map(int, match.group(3, 4, 5))
                found[(partition, first, last, match.group(2))] = os.path.join(base, path)
    wanted = {}
    for partition, output in enumerate(expected_by_partition):
        by_seq = {row['_seq']: row for row in output['rows']}
        for file in output['files']:
            if file['ended_at'] is None:
                continue
            rows = [by_seq[r['result_seq']] | {'_file_seq': r['_seq']} for r in output['file_rows']
                    if file['first_seq'] <= r['_seq'] <= file['last_seq']]
            wanted[(partition, file['first_seq'], file['last_seq'], file['date'])] = rows
    if set(found) != set(wanted):
        raise AssertionError(f'{view}: files differ: missing {sorted(set(wanted) - set(found))[:3]}, '
                             f'unexpected {sorted(set(found) - set(wanted))[:3]}')
    for name, rows in wanted.items():
        table = pyarrow.parquet.ParquetFile(found[name]).read().to_pylist()
        have = [[r['origin'], int(r['window_start'].timestamp()), *(r[c] for c in columns), r['_revision'],
                 r['_result_seq'], r['_seq']] for r in table]
        want = [[r['origin'], r['window_start'] // 1_000_000, *(r[c] for c in columns), r['_revision'], r['_seq'],
                 r['_file_seq']] for r in rows]
        if have != want:
            raise AssertionError(f'{found[name]}: rows differ from the oracle')
    return len(found)


def compare_late(tables, view, expected_by_partition):
    count, = tables.rows(f'select count(*), coalesce(sum(missed), 0) from {view}_late')
    late = [e for output in expected_by_partition for e in output['late']]
    if count != (len(late), sum(e['missed'] for e in late)):
        raise AssertionError(f'{view}: late output: expected {len(late)} events, got {count}')
    return len(late)


def metrics(dev, family):
    """(labels, value) of every metric of a family."""
    text = urllib.request.urlopen(f'http://{dev.admin}/metrics', timeout=10).read().decode()
    found = []
    for line in text.splitlines():
        match = re.match(family + r'\{(.*)\} (\S+)$', line)
        if match:
            found.append((dict(re.findall(r'(\w+)="([^"]*)"', match.group(1))), float(match.group(2))))
    return found


def troubles(dev):
    """The checks of /readyz that fail, with their messages; the status must agree."""
    try:
        with urllib.request.urlopen(f'http://{dev.admin}/readyz', timeout=30) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    failing = {check['name']: check['message'] for check in json.loads(body)['checks'] if not check['ok']}
    assert status == (503 if failing else 200), status
    return failing


def ledger(dev, pipeline):
    """The ledger of a pipeline, summed over partitions, by the names of docs/semantics.md."""
    total = {}
    for family, name in (('events', None), ('pairs', None), ('rows', None), ('events_read', 'read'),
                         ('pairs_assigned', 'assigned'), ('pairs_accepted_late', 'accepted_late'), ('rows_due', 'due')):
        for labels, value in metrics(dev, 'millrace_worker_ledger_' + family):
            if labels['pipeline'] == pipeline:
                result = name or labels['result']
                total[result] = total.get(result, 0) + int(value)
    return total


def owed(dev):
    """Rows that some sink has not applied, unfinished files included."""
    return sum(value for _, value in metrics(dev, 'millrace_worker_outbox_rows'))


def wait_until(what, condition, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f'{what}: not within {patience} s')
        time.sleep(0.05)
