"""What bounds memory, with a limit that the kernel keeps: the process dies where a bound is missing."""
import resource
import sqlite3
import time

import cluster

MIB = 1 << 20


class Memory(cluster.DevCase):
    def data_bytes(self):
        """What the kernel counts for RLIMIT_DATA."""
        with open(f'/proc/{self.dev.process.pid}/status', encoding='utf-8') as status:
            line = next(line for line in status if line.startswith('VmData:'))
        return int(line.split()[1]) * 1024

    def limit(self, size):
        resource.prlimit(self.dev.process.pid, resource.RLIMIT_DATA, (size, size))

    def count(self, view):
        database = sqlite3.connect(f'file:{self.dev.data_dir}/serving.db?mode=ro', uri=True)
        try:
            return database.execute(f'select count(*) from {view}').fetchone()[0]
        finally:
            database.close()

    def wait_for(self, what, condition):
        deadline = time.monotonic() + cluster.PATIENCE
        while not condition():
            self.assertTrue(self.dev.running(), f'the process died before {what}; see {self.dev.log.name}')
            self.assertLess(time.monotonic(), deadline, f'not in time: {what}')
            time.sleep(0.05)

    def test_one_record_that_closes_sixty_windows_of_many_groups(self):
        """Their rows take two gigabytes. After a kill in the middle the record is folded again."""
        self.dev.command('apply', self.file('views.sql', '''
            CREATE TABLE e (ts timestamptz NOT NULL, k text NOT NULL)
              WITH (event_time = 'ts', partition_key = 'k', watermark_delay = '1 second', partitions = 1);
            CREATE MATERIALIZED VIEW v AS
            SELECT k, window_start, window_end, count(*) AS n
            FROM hop(e, ts, INTERVAL '1 minute', INTERVAL '1 hour') GROUP BY k, window_start, window_end;'''))
        groups = 20_000
        rows = ''.join(f'2026-01-01T00:00:30Z,{n:06}{"x" * 1_600}\n' for n in range(groups))
        path = self.file('events.csv', 'ts,k\n' + rows)
        allowed = self.data_bytes() + 1000 * MIB
        self.limit(allowed)
        sent = self.dev.produce('e', path, '--end')
        self.assertEqual(sent.wait(timeout=cluster.PATIENCE), 0, sent.stderr.read())
        sent.stderr.close()
        self.wait_for('the first rows', lambda: self.count('v') >= 30_000)
        self.dev.kill()
        self.dev.process.stdout.close()
        before = self.count('v')
        self.assertLess(before, 60 * groups)
        self.assertTrue(self.dev.start())
        self.limit(allowed)
        self.wait_for('more rows', lambda: self.count('v') >= before + 10_000)

    def test_a_start_holds_what_waits_once(self):
        """Four shards owe 50 MB of rows each, which three checkpoints name."""
        idle = self.data_bytes()
        views = ''.join(f"""
            CREATE MATERIALIZED VIEW v{n} WITH (file_interval = '1 day') AS
            SELECT k, window_start, window_end, count(*) AS n
            FROM tumble(e, ts, INTERVAL '1 minute') GROUP BY k, window_start, window_end;""" for n in range(4))
        self.dev.command('apply', self.file('views.sql', """
            CREATE TABLE e (ts timestamptz NOT NULL, k text NOT NULL)
              WITH (event_time = 'ts', partition_key = 'k', watermark_delay = '1 second', partitions = 1);""" + views))
        groups = 30_000

        def send(name, lines):
            path = self.file(name, 'ts,k\n' + ''.join(lines))
            sent = self.dev.produce('e', path, '--producer-id', name)
            self.assertEqual(sent.wait(timeout=cluster.PATIENCE), 0, sent.stderr.read())
            sent.stderr.close()

        send('all', [f'2026-01-01T00:00:30Z,{n:06}{"x" * 1_600}\n' for n in range(groups)])
        for cut in range(1, 4):
            send(f'later-{cut}', [f'2026-01-01T00:{10 * cut}:00Z,later\n'])
            self.wait_for('all rows', lambda rows=groups + cut - 1: all(self.count(f'v{n}') == rows for n in range(4)))
            self.dev.stop()
            self.dev.process.stdout.close()
            if cut < 3:
                self.assertTrue(self.dev.start())
        unlimited = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (idle + 900 * MIB, unlimited[1]))
        try:
            self.assertTrue(self.dev.start(), self.dev.log.name)
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, unlimited)
        send('end', ['2026-01-01T01:00:00Z,later\n'])
        self.wait_for('the next window', lambda: all(self.count(f'v{n}') == groups + 3 for n in range(4)))


if __name__ == '__main__':
    cluster.run()
