#!/usr/bin/env python3
"""Mistakes of users: each is refused with an exact code or reason and a message that says what to do.

    bad_input_test.py MILLRACE [unittest arguments]

Every test talks to a real `millrace dev` on free ports over a data directory of its own.
"""
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

import cluster
import grpc_by_hand

BINARY = None
FAILED, USAGE, NOT_FOUND, CONFLICT, UNAVAILABLE, CONFIG = 1, 2, 3, 4, 5, 78
COMMAND_PATIENCE = 60
EVENT_LIMIT = 1_000_000
REQUEST_EVENTS = 10_000
SEQUENCES_IN_FLIGHT = 65_536

STREAM = '''CREATE TABLE orders (placed timestamptz NOT NULL, shop text NOT NULL, amount int)
WITH (event_time = 'placed', watermark_delay = '1 minute', partition_key = 'shop', partitions = 2);
'''
VIEW = '''CREATE MATERIALIZED VIEW per_minute AS
SELECT shop, window_start, window_end, count(*) AS orders, sum(amount) AS amount
FROM tumble(orders, placed, INTERVAL '1 minute')
GROUP BY shop, window_start, window_end;
'''


class ServerCase(unittest.TestCase):
    """One server for all tests of a class."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.mkdtemp(prefix='millrace-bad-input-')
        cls.dev = cluster.Dev(BINARY, os.path.join(cls.scratch, 'data'))
        if not cls.dev.start():
            raise AssertionError('millrace dev does not start')
        cls.command('apply', cls.file('base.sql', STREAM + VIEW))

    @classmethod
    def tearDownClass(cls):
        if cls.dev.running():
            cls.dev.stop()
        cls.dev.process.stdout.close()
        cls.dev.log.close()
        shutil.rmtree(cls.scratch)

    @classmethod
    def file(cls, name, content):
        path = os.path.join(cls.scratch, name)
        with open(path, 'wb') as out:
            out.write(content if isinstance(content, bytes) else content.encode())
        return path

    @classmethod
    def command(cls, *args, check=True):
        return cls.dev.command(*args, check=check, timeout=COMMAND_PATIENCE)

    def refused(self, done, code, *fragments):
        self.assertEqual(done.returncode, code, done.stderr)
        for fragment in fragments:
            self.assertIn(fragment, done.stderr)
        return done.stderr


class BadEvents(ServerCase):
    def event_is_refused(self, line, reason, *fragments):
        done = self.command('produce', 'orders', '--format', 'json', '--input', self.file('one.jsonl', line), check=False)
        self.refused(done, FAILED, f'one.jsonl line 1: {reason}: ', 'acknowledged=0 refused=1', *fragments)

    def test_broken_json_is_unreadable(self):
        self.event_is_refused('{"placed": "2001-01-01T00:00:00Z", "shop": "a"', 'UNREADABLE', 'expected one JSON object')
        self.event_is_refused('{"placed": "2001-01-01T00:00:00Z", "shop": "a",}', 'UNREADABLE', 'its structure is broken')
        self.event_is_refused('{"placed": "2001-01-01T00:00:00Z", "shop": "a"} {}', 'UNREADABLE', 'something follows')
        self.event_is_refused('[1]', 'UNREADABLE', 'expected one JSON object', 'one event for each of its objects')
        self.event_is_refused('{', 'UNREADABLE', 'expected one JSON object', 'an object that spans lines')
        self.event_is_refused(b'{"placed": "2001-01-01T00:00:00Z", "shop": "\xff"}', 'UNREADABLE')

    def test_a_column_that_may_not_be_null_is_named(self):
        self.event_is_refused('{"placed": "2001-01-01T00:00:00Z"}', 'MISSING_COLUMN', 'column shop: is NOT NULL, but is absent')
        self.event_is_refused('{"placed": "2001-01-01T00:00:00Z", "shop": null}', 'MISSING_COLUMN',
                              'column shop: is NOT NULL, but is null')

    def test_a_wrong_type_names_column_expectation_and_value(self):
        head = '{"placed": "2001-01-01T00:00:00Z", "shop": "a", "amount": '
        for value in ('"1"', '1.0', 'true', '99999999999'):
            self.event_is_refused(head + value + '}', 'WRONG_TYPE',
                                  f'column amount: expected an integer from -2147483648 to 2147483647, found {value}')
        self.event_is_refused('{"placed": "2001-01-01T00:00:00Z", "shop": 5}', 'WRONG_TYPE', 'column shop: expected a string')

    def test_an_event_time_that_is_none_is_refused(self):
        self.event_is_refused('{"shop": "a"}', 'NULL_EVENT_TIME', 'column placed: the event time is absent')
        self.event_is_refused('{"placed": null, "shop": "a"}', 'NULL_EVENT_TIME', 'column placed: the event time is null')
        for time in ('"2001-01-01"', '"2001-01-01T00:00:00"', '978307200', '"2001-02-30T00:00:00Z"'):
            self.event_is_refused(f'{{"placed": {time}, "shop": "a"}}', 'WRONG_TYPE', 'column placed:', f'found {time}')
        for time in ('0000-12-31T00:00:00Z', '10000-01-01T00:00:00Z', '0001-01-01T00:00:00+00:01'):
            self.event_is_refused(f'{{"placed": "{time}", "shop": "a"}}', 'EVENT_TIME_OUT_OF_RANGE', 'column placed:', time)

    def test_an_event_over_the_limit_is_refused_and_one_at_the_limit_is_taken(self):
        frame = '{"placed": "2001-01-01T00:00:00Z", "shop": "big", "note": "%s"}'
        fill = EVENT_LIMIT - len(frame % '')
        self.event_is_refused(frame % ('x' * (fill + 1)), 'EVENT_TOO_LARGE', f'bytes={EVENT_LIMIT + 1} limit={EVENT_LIMIT}')
        done = self.command('produce', 'orders', '--input', self.file('limit.jsonl', frame % ('x' * fill)))
        self.assertIn('acknowledged=1 refused=0', done.stderr)

    def test_a_bad_event_holds_up_no_good_one(self):
        lines = ['{"placed": "2001-01-01T00:00:00Z", "shop": "a"}', '{', '{"placed": "2001-01-01T00:00:01Z", "shop": "a"}']
        done = self.command('produce', 'orders', '--input', self.file('three.jsonl', '\n'.join(lines)), check=False)
        self.refused(done, FAILED, 'three.jsonl line 2: UNREADABLE', 'acknowledged=2 refused=1')

    def test_an_event_from_the_future_is_quarantined_by_the_shard(self):
        done = self.command('produce', 'orders', '--input',
                            self.file('future.jsonl', '{"placed": "2101-01-01T00:00:00Z", "shop": "future"}'))
        self.assertIn('acknowledged=1', done.stderr)
        rows = [json.loads(line) for line in
                self.command('quarantine', 'per_minute', '--wait', '--format', 'json').stdout.splitlines()]
        rows = [row for row in rows if json.loads(row['payload'])['shop'] == 'future']
        self.assertEqual([(row['kind'], row['reason']) for row in rows], [('event', 'TOO_FAR_AHEAD')])
        self.assertIn('max_ahead', rows[0]['detail'])

    def test_a_batch_over_the_limit_is_refused_as_a_whole(self):
        event = '{"placed": "2001-01-01T00:00:00Z", "shop": "batch"}'
        answer = grpc_by_hand.publish(self.dev.grpc, 'orders', [event] * (REQUEST_EVENTS + 1), scratch=self.scratch)
        self.assertEqual(answer.status, grpc_by_hand.INVALID_ARGUMENT, answer)
        self.assertIn(f'{REQUEST_EVENTS}', answer.message.replace(',', ''))
        self.assertIn(b'BATCH_TOO_LARGE', answer.details)
        answer = grpc_by_hand.publish(self.dev.grpc, 'orders', ['x' * 900_000] * 10, scratch=self.scratch)
        self.assertEqual(answer.status, grpc_by_hand.INVALID_ARGUMENT, answer)
        self.assertIn(b'BATCH_TOO_LARGE', answer.details)

    def test_bytes_that_are_no_message_are_refused_with_a_text_by_every_call(self):
        calls = []
        for path in glob.glob(os.path.join(cluster.ROOT, 'proto', 'millrace', '**', '*.proto'), recursive=True):
            with open(path) as lines:
                text = lines.read()
            package = re.search(r'^package (\S+);', text, re.M).group(1)
            for service in re.findall(r'^service (\w+)', text, re.M):
                calls += [f'{package}.{service}/{name}' for name in re.findall(r'^  rpc (\w+)\(', text, re.M)]
        self.assertGreater(len(calls), 12)
        not_utf8 = grpc_by_hand.field(2, b'\xff\xfe')
        for name in calls:
            for message in [b'no protobuf'] + [not_utf8] * name.endswith(('/Publish', '/PublishStream')):
                with self.subTest(name, message=message):
                    answer = grpc_by_hand.call(self.dev.grpc, name, message, scratch=self.scratch)
                    self.assertEqual(answer.status, grpc_by_hand.INVALID_ARGUMENT, answer)
                    self.assertIn('the bytes are not the message that this call takes', answer.message)
                    self.assertIn(b'UNREADABLE_MESSAGE', answer.details)
        with open(self.dev.log.name) as log:
            for line in log:
                self.assertRegex(line, r'^\d{4}-\d\d-\d\dT\S+Z (info|warning|error) ')

    def test_sequences_that_cannot_be_remembered_are_refused(self):
        event = '{"placed": "2001-01-01T00:00:00Z", "shop": "seq"}'
        for first, taken in ((SEQUENCES_IN_FLIGHT - 1, True), (SEQUENCES_IN_FLIGHT, False), (-1, False)):
            answer = grpc_by_hand.publish(self.dev.grpc, 'orders', [event], producer=f'p{first}', first=first,
                                          scratch=self.scratch)
            self.assertEqual(answer.status, 0, answer)
            self.assertEqual(b'SEQUENCE_SPAN' in answer.body, not taken, answer)

    def test_a_key_that_is_not_the_partition_key_is_refused(self):
        event = '{"placed": "2001-01-01T00:00:00Z", "shop": "north"}'
        answer = grpc_by_hand.publish(self.dev.grpc, 'orders', [event], key='south', scratch=self.scratch)
        self.assertIn(b'KEY_MISMATCH', answer.body)

    def test_names_that_do_not_exist_are_not_found(self):
        path = self.file('any.jsonl', '{"placed": "2001-01-01T00:00:00Z", "shop": "a"}')
        self.refused(self.command('produce', 'ordres', '--input', path, check=False), NOT_FOUND, 'ordres', 'stream list')
        self.refused(self.command('stream', 'describe', 'ordres', check=False), NOT_FOUND, 'ordres', 'stream list')
        self.refused(self.command('stream', 'advance', 'ordres', '--to', 'end', check=False), NOT_FOUND, 'ordres')
        for verb in (('results',), ('late',), ('quarantine',), ('pipeline', 'describe'), ('pipeline', 'drop')):
            self.refused(self.command(*verb, 'nowhere', check=False), NOT_FOUND, 'pipeline', 'nowhere')
        answer = grpc_by_hand.publish(self.dev.grpc, 'ordres', ['{}'], scratch=self.scratch)
        self.assertEqual(answer.status, grpc_by_hand.NOT_FOUND, answer)
        self.assertIn('did you mean "orders"? `millrace stream list` shows what there is', answer.message)
        self.assertIn(b'UNKNOWN_STREAM', answer.details)


class BadFiles(ServerCase):
    def produce(self, name, content):
        return self.command('produce', 'orders', '--input', self.file(name, content), check=False)

    def test_a_header_must_name_what_an_event_needs(self):
        self.refused(self.produce('a.csv', 'shop,amount\na,5\n'), FAILED, 'the first line must name the columns',
                     'placed; it names: shop, amount', 'acknowledged=0')
        self.refused(self.produce('b.csv', 'placed,placed,shop\n'), FAILED, 'names a column twice', 'column=placed')
        self.refused(self.produce('c.csv', ''), FAILED, 'the input is empty', 'names the columns')
        done = self.produce('d.csv', 'placed,shop,colour\n2001-01-01T00:00:00Z,a,red\n')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('warning: the stream has no such columns, they are left out: colour', done.stderr)

    def test_broken_csv_lines_are_refused_one_by_one(self):
        rows = ['2001-01-01T00:00:00Z,a,1', '2001-01-01T00:00:00Z,"a"b,1', '2001-01-01T00:00:00Z,a',
                '2001-01-01T00:00:00Z,a,one', '2001-01-01T00:00:00Z,"a,1']
        done = self.produce('e.csv', 'placed,shop,amount\n' + '\n'.join(rows))
        self.refused(done, FAILED, 'e.csv line 3: UNREADABLE: text behind the closing quote',
                     'e.csv line 4: UNREADABLE: ', 'fields=2 header_fields=3',
                     'e.csv line 5: WRONG_TYPE: ', 'expected int (-2147483648 to 2147483647), got "one": column=amount',
                     'e.csv line 6: UNREADABLE: the quote that opens a field is never closed', 'acknowledged=1 refused=4')

    def test_damaged_archives_are_named(self):
        text = ''.join(f'{{"placed": "2001-01-01T00:00:{i % 60:02}Z", "shop": "{i * 7919}"}}\n' for i in range(5000))
        plain = self.file('whole.jsonl', text)
        packed = subprocess.run(['zstd', '-q', '-c', plain], stdout=subprocess.PIPE, check=True).stdout
        self.refused(self.produce('cut.jsonl.zst', packed[:len(packed) // 2]), FAILED, 'it ends too early',
                     'is the file complete', 'cut.jsonl.zst')
        self.refused(self.produce('not.jsonl.zst', text), FAILED, 'cannot decompress', 'not.jsonl.zst')
        self.refused(self.produce('not.jsonl.gz', text), FAILED, 'cannot decompress', 'not.jsonl.gz')

    def test_a_file_that_is_none_is_named(self):
        self.refused(self.command('produce', 'orders', '--input', '/nowhere/f.csv', check=False), FAILED, 'cannot open',
                     'file=/nowhere/f.csv')
        self.refused(self.command('produce', 'orders', '--input', self.scratch, check=False), FAILED, 'Is a directory')
        self.refused(self.command('apply', '/nowhere/f.sql', check=False), FAILED, 'cannot open', 'file=/nowhere/f.sql')


class BadSql(ServerCase):
    def script_is_refused(self, sql, code, line, column, *fragments):
        done = self.command('apply', self.file('bad.sql', sql), check=False)
        text = self.refused(done, code, f'{self.scratch}/bad.sql:{line}:{column}: ', *fragments)
        lines = text.splitlines()
        shown = next(i for i, shown in enumerate(lines) if shown == sql.splitlines()[line - 1])
        self.assertEqual(lines[shown + 1].strip(' \t'), '^')
        self.assertEqual(lines[shown + 1].index('^'), column - 1)
        return text

    def view(self, select='shop, window_start, window_end, count(*) AS n', source="tumble(orders, placed, INTERVAL '1 minute')",
             group='shop, window_start, window_end', tail=''):
        return f'CREATE MATERIALIZED VIEW other AS\nSELECT {select}\nFROM {source}\nGROUP BY {group}{tail};\n'

    def test_a_syntax_error_has_a_place(self):
        self.script_is_refused('CREATE TABEL x (a int);', FAILED, 1, 8, 'syntax error at or near "TABEL"')

    def test_an_unknown_name_gets_a_suggestion(self):
        self.script_is_refused(self.view(select='shopp, window_start, window_end, count(*) AS n'), FAILED, 2, 8,
                               'unknown column "shopp"', 'hint: did you mean "shop"?')
        self.script_is_refused(self.view(source="tumbel(orders, placed, INTERVAL '1 minute')"), FAILED, 3, 6,
                               'hint: did you mean "tumble"?')
        self.script_is_refused(self.view(source="tumble(ordres, placed, INTERVAL '1 minute')"), FAILED, 3, 13,
                               'unknown stream "default.ordres"', 'hint: did you mean "orders"?')
        self.script_is_refused("CREATE TABLE t (at timestamptz)\nWITH (event_time = 'at', watermrk_delay = '1 minute');",
                               FAILED, 2, 26, 'hint: did you mean "watermark_delay"?')

    def test_window_kinds_that_are_not_built_are_named(self):
        for source in ("session(orders, placed, INTERVAL '1 minute')",
                       "cumulate(orders, placed, INTERVAL '1 minute', INTERVAL '1 hour')"):
            self.script_is_refused(self.view(source=source), CONFLICT, 3, 6, 'is not available yet',
                                   'hint: windows are tumble(stream, time, size)')

    def test_forms_of_other_systems_are_recognised(self):
        self.script_is_refused(self.view(source="TABLE(TUMBLE(TABLE orders, DESCRIPTOR(placed), INTERVAL '1' MINUTE))"),
                               FAILED, 3, 6, "hint: write FROM tumble(stream, time, INTERVAL '1 hour')")
        self.script_is_refused("CREATE TABLE t (at timestamptz,\nWATERMARK FOR at AS at - INTERVAL '5' SECOND);", FAILED, 2, 1,
                               'WATERMARK FOR', "watermark_delay = '5 seconds'")
        self.script_is_refused('CREATE TABLE v AS\nSELECT shop, count(*) FROM orders\nWINDOW TUMBLING (SIZE 1 HOUR) GROUP BY shop;',
                               FAILED, 3, 1, 'WINDOW TUMBLING', 'hint: write FROM tumble(')
        self.script_is_refused(self.view(tail='\nEMIT CHANGES'), FAILED, 5, 1, "hint: leave it out", "emit = 'updates'")
        self.script_is_refused(self.view(tail='\nEMIT ON WINDOW CLOSE'), FAILED, 5, 1, 'hint: leave it out')
        for statement, hint in (('CREATE SOURCE x (a int);', 'hint: write CREATE TABLE'),
                                ('CREATE STREAM x (a int);', 'hint: write CREATE TABLE'),
                                ('CREATE SINK x FROM y;', 'hint: leave it out'),
                                ('SELECT 1;', 'hint: write CREATE MATERIALIZED VIEW'),
                                ('DROP INDEX orders;', 'hint: write DROP TABLE'),
                                ('INSERT INTO orders VALUES (1);', 'hint: send them over gRPC')):
            self.script_is_refused(statement, FAILED, 1, 1, hint)

    def test_group_by_must_have_the_window(self):
        self.script_is_refused(self.view(select='shop, count(*) AS n', group='shop'), FAILED, 4, 10,
                               'GROUP BY must have window_start', 'hint: write GROUP BY ..., window_start, window_end')

    def test_groups_that_span_partitions_are_refused_for_now(self):
        self.script_is_refused(self.view(select='amount, window_start, window_end, count(*) AS n',
                                         group='amount, window_start, window_end'), CONFLICT, 4, 10,
                               'two stages is not available yet', 'hint: add shop to GROUP BY', 'partitions = 1')

    def test_a_changed_definition_is_a_conflict(self):
        changed = self.file('changed.sql', STREAM.replace('1 minute', '2 minutes'))
        self.refused(self.command('apply', changed, check=False), CONFLICT, 'another definition', 'under another name',
                     'stream=orders')
        changed = self.file('changed.sql', VIEW.replace('1 minute', '2 minutes'))
        self.refused(self.command('apply', changed, check=False), CONFLICT, 'millrace pipeline drop per_minute',
                     'pipeline=per_minute')
        same = self.command('apply', self.file('same.sql', STREAM + VIEW))
        self.assertEqual(same.stdout.splitlines(), ['unchanged stream orders', 'unchanged pipeline per_minute'])

    def test_a_script_with_an_error_creates_nothing(self):
        fine = "CREATE TABLE fine (at timestamptz) WITH (event_time = 'at', watermark_delay = '1 minute');\n"
        self.script_is_refused(fine + 'CREATE TABLE bad (at timestampz);', FAILED, 2, 22, 'unknown type "timestampz"',
                               'hint: did you mean "timestamptz"?')
        self.refused(self.command('stream', 'describe', 'fine', check=False), NOT_FOUND, 'fine')

    def test_an_empty_script_is_an_error(self):
        self.refused(self.command('apply', self.file('empty.sql', '-- nothing\n'), check=False), FAILED, 'no statement')


class WrongConfiguration(unittest.TestCase):
    def check(self, *arguments, environment=()):
        return subprocess.run([BINARY, 'dev', '--check-config', '--data-dir', '/nowhere', *arguments], capture_output=True,
                              text=True, timeout=COMMAND_PATIENCE, env=os.environ | dict(environment))

    def is_refused(self, done, *fragments):
        self.assertEqual((done.returncode, done.stdout), (CONFIG, ''), done.stderr)
        for fragment in fragments:
            self.assertIn(fragment, done.stderr)

    def test_what_does_not_fit_together_is_named(self):
        self.is_refused(self.check('--set', 'log.kind=kafka'), 'log.kafka: no brokers are given: name some as host:port')
        self.is_refused(self.check('--set', 'log.kafka.login=plain', '--set', 'log.kind=kafka', '--set',
                                   'log.kafka.brokers=b:1'), 'a login needs a user')
        self.is_refused(self.check('--set', 'serving.kind=postgres'), 'serving.postgres.connection: no connection is given')
        self.is_refused(self.check('--set', 'listen.grpc=here'), 'listen.grpc: not an address: it has no port')
        self.is_refused(self.check('--set', 'serving.kind=mysql'), 'it is one of sqlite, postgres')

    def test_a_secret_that_cannot_be_used_is_not_shown(self):
        done = self.check('--set', 'serving.kind=postgres', environment={
            'MILLRACE_SERVING__POSTGRES__CONNECTION': 'host=db password=hush hush=hush'}.items())
        self.is_refused(done, 'no connection string or URI of libpq')
        self.assertNotIn('hush', done.stderr)

    def test_without_a_data_directory_it_says_what_to_give(self):
        done = subprocess.run([BINARY, 'dev'], capture_output=True, text=True, timeout=COMMAND_PATIENCE)
        self.is_refused(done, 'no data directory is given: add --data-dir DIR')

    def test_a_right_one_runs_nothing(self):
        done = self.check('--set', 'log.kind=kafka', '--set', 'log.kafka.brokers=b:1')
        self.assertEqual((done.returncode, done.stdout), (0, 'the configuration is right\n'), done.stderr)
        self.assertFalse(os.path.exists('/nowhere'))


class BadAddresses(ServerCase):
    def dev_is_refused(self, data_dir, *fragments, listen='127.0.0.1:0', admin='127.0.0.1:0', code=CONFIG):
        done = subprocess.run([BINARY, 'dev', '--data-dir', data_dir, '--listen', listen, '--admin', admin],
                              capture_output=True, text=True, timeout=COMMAND_PATIENCE)
        self.assertEqual(done.stdout, '')
        self.refused(done, code, *fragments)

    def test_a_grpc_port_in_use_is_a_wrong_configuration(self):
        self.dev_is_refused(os.path.join(self.scratch, 'second'), 'another process listens there', '--listen',
                            self.dev.grpc, listen=self.dev.grpc)

    def test_an_admin_port_in_use_is_a_wrong_configuration(self):
        self.dev_is_refused(os.path.join(self.scratch, 'third'), 'the port is in use by another process',
                            'choose another port', f'admin={self.dev.admin}', admin=self.dev.admin)

    def test_a_data_directory_in_use_is_left_alone(self):
        self.dev_is_refused(self.dev.data_dir, 'is in use by another millrace process', 'name another directory',
                            f'data_dir={self.dev.data_dir}')
        self.assertIn('orders', self.command('stream', 'list').stdout)

    def test_a_data_directory_that_cannot_be_written_is_named(self):
        below_a_file = self.file('a-file', '') + '/data'
        self.dev_is_refused(below_a_file, 'name a directory that this user may write', f'data_dir={below_a_file}')
        # proc takes no new files, not even from root.
        self.dev_is_refused('/proc/millrace', 'name a directory that this user may write', 'data_dir=/proc/millrace')
        self.dev_is_refused('/proc', 'name a directory that this user may write', 'data_dir=/proc')

    def test_a_server_that_does_not_answer_is_unavailable(self):
        with socket.socket() as taken:
            # Bound and not listening: nobody else gets the port meanwhile.
            taken.bind(('127.0.0.1', 0))
            server = f'127.0.0.1:{taken.getsockname()[1]}'
            for verb in (['stream', 'list'], ['results', 'x', '--wait'], ['apply', self.file('s.sql', STREAM)]):
                done = subprocess.run([BINARY, '--server', server, *verb], capture_output=True, text=True,
                                      timeout=COMMAND_PATIENCE)
                self.refused(done, UNAVAILABLE, 'the server cannot be reached', f'server={server}')

    def test_addresses_and_values_that_are_none_are_usage_errors(self):
        self.dev_is_refused('/nowhere', 'it has no port; write HOST:PORT', listen='localhost', code=USAGE)
        self.refused(self.command('results', 'per_minute', '--from', 'yesterday', check=False), USAGE, '--from: not a time',
                     '2001-01-31T12:00:00Z')
        self.refused(self.command('results', 'per_minute', '--key', 'shop', check=False), USAGE, 'column=value')
        self.refused(self.command('results', 'per_minute', '--key', 'x=1', check=False), USAGE, 'column=x',
                     'which are: shop, window_start, window_end')
        self.refused(self.command('resluts', check=False), USAGE, 'no such verb')

    def test_only_a_halted_shard_is_skipped(self):
        shards = self.command('shard', 'list', '--format', 'csv').stdout.splitlines()[1:]
        shard = shards[0].split(',')[0]
        self.refused(self.command('shard', 'skip', shard, '--to', '5', '--reason', 'test', check=False), CONFLICT,
                     'only a halted shard is skipped or tried again', f'shard={shard}')
        self.refused(self.command('shard', 'retry', shard, check=False), CONFLICT,
                     'only a halted shard is skipped or tried again', f'shard={shard}')
        self.refused(self.command('shard', 'skip', 'default/nowhere@1/p0', '--to', '5', '--reason', 'test', check=False),
                     NOT_FOUND, 'millrace shard list', 'default/nowhere@1/p0')
        self.refused(self.command('shard', 'skip', 'nonsense', '--to', '5', '--reason', 'test', check=False), USAGE,
                     'millrace shard list')


if __name__ == '__main__':
    BINARY = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
