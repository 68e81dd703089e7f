#!/usr/bin/env python3
"""What was said to a server must hold after kill -9: definitions, drops, times, identities, late and quarantined events.

    restart_test.py MILLRACE [unittest arguments]
"""
import json
import os
import resource
import shutil
import signal
import time
import urllib.request

import cluster

PATIENCE = 60
NOT_FOUND = 3
MOST_APPENDS = 20
SCRIPT = '''CREATE TABLE orders (placed timestamptz NOT NULL, shop text, amount bigint)
WITH (event_time = 'placed', watermark_delay = '1 minute', partition_key = 'shop', partitions = 1, ticks = off);
CREATE MATERIALIZED VIEW per_minute AS SELECT shop, window_start, window_end, count(*) AS orders
FROM tumble(orders, placed, INTERVAL '1 minute') GROUP BY shop, window_start, window_end;
'''
CASE = '''CREATE TABLE mixed ("At" timestamptz NOT NULL, "Partition" text, "Row" bigint, "Offset" bigint,
"Missed" bigint) WITH (event_time = 'At', watermark_delay = '1 minute', partition_key = 'Partition', partitions = 1);
CREATE MATERIALIZED VIEW per_case AS SELECT "Partition", window_start, window_end, count(*) AS "Rows"
FROM tumble(mixed, "At", INTERVAL '1 minute') GROUP BY "Partition", window_start, window_end;
'''


class Restart(cluster.DevCase):
    def setUp(self):
        super().setUp()
        self.script = self.file('base.sql', SCRIPT)
        self.dev.command('apply', self.script)

    def restart(self, crash_at=None, throw_at=None):
        if self.dev.running():
            self.dev.kill()
        self.dev.process.stdout.close()
        return self.dev.start(crash_at, throw_at)

    def send(self, *times):
        lines = [json.dumps({'placed': time, 'shop': 'a', 'amount': 1}) for time in times]
        self.dev.command('produce', 'orders', '--input', self.file('events.jsonl', '\n'.join(lines)), timeout=PATIENCE)

    def rows(self, verb, *options):
        text = self.dev.command(verb, 'per_minute', '--wait', '--format', 'json', *options, timeout=PATIENCE).stdout
        return [json.loads(line) for line in text.splitlines()]

    def test_everything_shown_is_shown_again(self):
        self.send('2001-01-01T10:00:00Z', '2001-01-01T10:00:30Z', '2001-01-01T10:05:00Z')
        self.send('2001-01-01T10:00:10Z', '2101-01-01T00:00:00Z')

        def shown():
            # They wait for the shards; a list shows those that still open as they are.
            rows = [self.rows(verb, '--meta') for verb in ('results', 'late', 'quarantine')]
            return rows + [self.dev.command(*words, '--format', 'json').stdout
                           for words in (('stream', 'list'), ('pipeline', 'list'), ('stream', 'describe', 'orders'))]

        before = shown()
        self.assertEqual([len(rows) for rows in before[:3]], [1, 1, 1])
        for _ in range(2):
            self.assertTrue(self.restart())
            self.assertEqual(shown(), before)
            self.assertEqual(self.dev.command('apply', self.script).stdout.splitlines(),
                             ['unchanged stream orders', 'unchanged pipeline per_minute'])

    def test_the_lock_file_names_the_instance_that_has_the_directory(self):
        def named():
            with open(os.path.join(self.dev.data_dir, 'LOCK')) as file:
                return file.read()

        first = named()
        self.assertRegex(first, r'\A[0-9a-f]{16}\n\Z')
        self.assertTrue(self.restart())
        second = named()
        self.assertRegex(second, r'\A[0-9a-f]{16}\n\Z')
        self.assertNotEqual(second, first)
        # A file of another kind names nobody, and is no reason not to start.
        self.dev.kill()
        with open(os.path.join(self.dev.data_dir, 'LOCK'), 'w') as file:
            file.write('not an instance, and longer than one')
        self.assertTrue(self.restart())
        self.assertRegex(named(), r'\A[0-9a-f]{16}\n\Z')

    def test_a_stream_at_its_end_stays_there(self):
        self.send('2001-01-01T10:00:00Z')
        self.dev.command('stream', 'advance', 'orders', '--to', 'end')
        self.assertTrue(self.restart())
        self.send('2001-01-01T11:00:00Z', '2001-01-01T12:00:00Z')
        self.assertEqual([row['window_start'] for row in self.rows('results')], ['2001-01-01T10:00:00.000000Z'])
        self.assertEqual(len(self.rows('late')), 2)

    def test_events_sent_again_after_a_crash_count_once(self):
        times = ['2001-01-01T10:00:00Z', '2001-01-01T10:00:01Z']
        for _ in range(3):
            self.send(*times)
            self.assertTrue(self.restart())
        self.dev.command('stream', 'advance', 'orders', '--to', 'end')
        self.assertEqual([row['orders'] for row in self.rows('results')], [2])

    def test_a_state_folder_removed_under_a_running_server_is_made_again(self):
        def cuts():
            url = f'http://{self.dev.admin}/metrics'
            with urllib.request.urlopen(url, timeout=PATIENCE) as page:
                lines = page.read().decode().splitlines()
            return sum(float(line.split()[-1]) for line in lines if line.startswith('millrace_worker_last_cut_number{'))

        self.rows('results')  # it is open
        before = cuts()
        shutil.rmtree(os.path.join(self.dev.data_dir, 'state'))
        self.send('2001-01-01T10:00:00Z')
        deadline = time.monotonic() + PATIENCE
        while cuts() == before:
            self.assertLess(time.monotonic(), deadline, 'no cut succeeds')
            time.sleep(0.5)
        self.assertTrue(self.restart())
        self.dev.command('stream', 'advance', 'orders', '--to', 'end')
        self.assertEqual([row['orders'] for row in self.rows('results')], [1])

    def test_as_many_files_may_be_open_as_the_system_allows(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(200, hard), hard))
        try:
            self.assertTrue(self.restart())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual(resource.prlimit(self.dev.process.pid, resource.RLIMIT_NOFILE), (hard, hard))

    def test_a_task_that_ends_by_an_exception_ends_the_process_which_says_so_and_a_restart_goes_on(self):
        self.assertTrue(self.restart(throw_at='sink.serving.before_apply:1'))
        self.send('2001-01-01T10:00:00Z')
        self.dev.command('stream', 'advance', 'orders', '--to', 'end', check=False)
        self.assertEqual(self.dev.process.wait(timeout=PATIENCE), -signal.SIGABRT)
        with open(self.dev.log.name) as log:
            said = [line for line in log if 'so the process ends; start it again' in line]
        self.assertEqual(len(said), 1)
        self.assertIn('thrown at sink.serving.before_apply', said[0])
        self.assertTrue(self.restart())
        self.dev.command('stream', 'advance', 'orders', '--to', 'end')
        self.assertEqual([row['orders'] for row in self.rows('results')], [1])

    def test_names_that_differ_in_case_from_the_system_s_keep_nothing_from_starting(self):
        self.dev.command('apply', self.file('case.sql', CASE))
        self.dev.command('apply', self.file('more.sql', SCRIPT.replace('per_minute', 'more')))
        line = '{"At": "2001-01-01T10:00:00Z", "Partition": "a", "Row": 1, "Offset": 2, "Missed": 3}\n'
        events = self.file('case.jsonl', line)
        self.dev.command('produce', 'mixed', '--input', events, '--end', timeout=PATIENCE)
        for _ in range(2):
            self.assertTrue(self.restart())
            self.dev.command('results', 'more', '--wait', timeout=PATIENCE)
            done = self.dev.command('results', 'per_case', '--wait', '--format', 'csv', timeout=PATIENCE)
            self.assertEqual(len(done.stdout.splitlines()), 2)
        later = self.file('later.jsonl', line.replace('"Row": 1', '"Row": 9'))
        self.dev.command('produce', 'mixed', '--input', later, timeout=PATIENCE)
        late = self.dev.command('late', 'per_case', '--wait', '--format', 'json', timeout=PATIENCE).stdout
        row = json.loads(late.splitlines()[0])
        self.assertEqual([row[name] for name in ('Partition_', 'Row_', 'Missed_')], ['a', 9, 3])

    def test_a_view_that_no_table_can_hold_is_refused_and_nothing_is_left_of_it(self):
        script = self.file('own.sql', SCRIPT.replace('per_minute', 'sqlite_x'))
        for _ in range(2):
            done = self.dev.command('apply', script, check=False)
            self.assertIn('choose another name for the view: view=sqlite_x', done.stderr)
            self.assertTrue(self.restart())
        self.assertNotIn('sqlite_x', self.dev.command('pipeline', 'list').stdout)
        self.dev.command('apply', self.file('more.sql', SCRIPT.replace('per_minute', 'more')))
        self.dev.command('results', 'more', '--wait', timeout=PATIENCE)

    def test_a_stream_whose_declaration_a_crash_interrupts_is_declared_again(self):
        script = self.file('more.sql', SCRIPT.replace('orders', 'sales').replace('per_minute', 'more'))
        self.assertTrue(self.restart('log_embedded.topic.durable:1'))
        self.assertNotEqual(self.dev.command('apply', script, check=False).returncode, 0)
        self.dev.process.wait()
        self.assertTrue(self.restart())
        self.assertEqual(self.dev.command('apply', script).stdout.splitlines(),
                         ['created stream sales', 'created pipeline more'])
        self.send('2001-01-01T10:00:00Z')
        for stream, ends in (('orders', 1), ('sales', 0)):
            described = self.dev.command('stream', 'describe', stream, '--format', 'json').stdout
            self.assertEqual([int(end) for end in json.loads(described)['end_offsets']], [ends])

    def test_a_pipeline_made_again_is_the_one_shown(self):
        self.send('2001-01-01T10:00:00Z')
        self.dev.command('stream', 'advance', 'orders', '--to', 'end')
        self.assertEqual(len(self.rows('results')), 1)
        self.dev.command('pipeline', 'drop', 'per_minute')
        self.dev.command('apply', self.file('again.sql', SCRIPT.replace('count(*)', 'sum(amount)')))
        self.assertTrue(self.restart())
        self.assertEqual([row['orders'] for row in self.rows('results')], ['1'])

    def test_local_state_goes_with_its_pipeline_and_at_a_start(self):
        self.send('2001-01-01T10:00:00Z')
        state = os.path.join(self.dev.data_dir, 'state')

        def folders():
            return os.listdir(state) if os.path.isdir(state) else []

        def wait_for(count):
            cluster.wait_until(f'{count} folders of state', lambda: len(folders()) == count, PATIENCE)

        wait_for(1)
        os.mkdir(os.path.join(state, 'left-behind'))
        self.assertTrue(self.restart())
        wait_for(1)
        self.dev.command('pipeline', 'drop', 'per_minute')
        wait_for(0)

    def test_a_drop_that_a_crash_interrupts_is_finished_after_it(self):
        self.send('2001-01-01T10:00:00Z')
        self.dev.command('stream', 'advance', 'orders', '--to', 'end')
        self.assertEqual(len(self.rows('results')), 1)
        self.dev.stop()
        whole = self.dev.data_dir + '-whole'
        shutil.copytree(self.dev.data_dir, whole)
        interrupted = 0
        # The appends of a start come first, then the one of the drop.
        for append in range(1, MOST_APPENDS):
            shutil.rmtree(self.dev.data_dir)
            shutil.copytree(whole, self.dev.data_dir)
            if not self.restart(f'log_embedded.append.durable:{append}'):
                self.dev.process.wait()
                continue
            done = self.dev.command('pipeline', 'drop', 'per_minute', check=False)
            if done.returncode == 0:
                break
            interrupted += 1
            self.dev.process.wait()
            self.assertTrue(self.restart())
            self.assertEqual(self.dev.command('pipeline', 'list', '--format', 'csv').stdout.count('\n'), 1)
            for verb in ('results', 'late', 'quarantine'):
                self.assertEqual(self.dev.command(verb, 'per_minute', check=False).returncode, NOT_FOUND, verb)
            state = os.path.join(self.dev.data_dir, 'objects', 'default', 'state')
            cluster.wait_until('the state is gone', lambda: not any(files for _, _, files in os.walk(state)), PATIENCE)
        self.assertGreater(interrupted, 0)


if __name__ == '__main__':
    cluster.run()
