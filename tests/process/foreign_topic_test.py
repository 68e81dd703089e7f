#!/usr/bin/env python3
"""A topic that Kafka's own tools made and wrote is a stream: results equal to the oracle, and the tools show the lag.

    foreign_topic_test.py MILLRACE LOGDUMP [unittest arguments]

On a real Kafka broker, with results in PostgreSQL and in an S3 store.
"""
import json
import os
import random
import sys
import tempfile

import cluster
import servers

EVENTS = 20_000
PARTITIONS = 4
STREAM = f'''CREATE TABLE flights (
  scheduled_at timestamptz NOT NULL, origin text NOT NULL, delay_minutes int, distance_miles int
) WITH (event_time = 'scheduled_at', watermark_delay = '1 hour', partition_key = 'origin', partitioned_by_key = 'on',
  foreign = 'on', topic = 'theirs', partitions = {PARTITIONS});
'''
VIEW = '''CREATE MATERIALIZED VIEW hourly WITH (allowed_lateness = '30 minutes') AS
SELECT origin, window_start, window_end, count(*) AS flights, sum(distance_miles) AS miles,
       avg(delay_minutes) AS mean_delay, max(delay_minutes) AS worst_delay
FROM tumble(flights, scheduled_at, INTERVAL '1 hour') GROUP BY origin, window_start, window_end;
'''
COLUMNS = ['flights', 'miles', 'mean_delay', 'worst_delay']


def lines(seed, count, first_minute):
    """Keyed JSON values over a day from `first_minute` on, some out of order, some late, some broken."""
    chance = random.Random(seed)
    for i in range(count):
        minute = max(0, first_minute + i * 720 // count - chance.choice([0, 0, 0, 1, 20, 80, 200]))
        origin = chance.choice(['ATL', 'BOS', 'DEN', 'MIA', 'ORD', 'SEA', 'ZRH'])
        value = json.dumps({'scheduled_at': f'2001-01-{1 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:00Z',
                            'origin': origin, 'delay_minutes': chance.choice([None, -3, 0, 17]),
                            'distance_miles': chance.randint(50, 3000), 'carrier': 'their business'})
        if i % 997 == 0:
            value = chance.choice(['no JSON at all', '{"origin": 5}', '{}', value.replace('2001-01', '2001-13')])
        yield f'{origin}|{value}\n'


class ForeignTopic(servers.ServersCase):
    logdump = None

    def setUp(self):
        self.dev = cluster.Dev(cluster.DevCase.binary, self.data_dir(), self.config(self.kafka, self.s3, self.postgres))
        self.assertTrue(self.dev.start(), self.dev.log.name)
        self.addCleanup(self.dev.kill)

    def topic(self, name, partitions):
        self.kafka.tool('TopicCommand', '--create', '--topic', name, '--partitions', str(partitions))

    def produce(self, topic, text, *options):
        self.kafka.tool('ConsoleProducer', '--topic', topic, *options, said=text)

    def keyed(self, *args):
        self.produce('theirs', ''.join(lines(*args)), '--reader-property', 'parse.key=true', '--reader-property',
                     'key.separator=|')

    def script(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, 'w') as out:
            out.write(text)
        return path

    def test_results_equal_the_oracle_and_the_tools_show_the_lag(self):
        script = self.script('hourly.sql', STREAM + VIEW)
        refused = self.dev.command('apply', script, check=False)
        self.assertIn('nobody has made its topic: make it, or name another: topic=theirs', refused.stderr)
        self.topic('theirs', PARTITIONS)
        self.keyed(1, EVENTS // 2, 0)
        self.dev.command('apply', script)
        self.keyed(2, EVENTS // 2, 720)
        self.assertIn('unchanged', self.dev.command('apply', script).stdout)
        self.dev.command('stream', 'advance', 'flights', '--to', 'end')
        self.dev.command('results', 'hourly', '--wait', '--format', 'csv')
        cluster.wait_until('the tools show that nothing is left to read', lambda: self.lags() == [0] * PARTITIONS)
        cluster.wait_until('every result file is put', lambda: cluster.owed(self.dev) == 0)
        # A leader that starts again finds the topic as it is.
        self.dev.stop()
        self.assertTrue(self.dev.start(), self.dev.log.name)
        self.dev.command('results', 'hourly', '--wait', '--format', 'csv')
        self.dev.stop()

        scratch = tempfile.mkdtemp(dir=self.folder)
        outputs = [cluster.oracle(self.logdump, self.dev.data_dir, 'flights', partition, script, scratch, self.dev.config[1])
                   for partition in range(PARTITIONS)]
        self.assertGreater(cluster.compare_table(self.postgres, 'hourly', COLUMNS, outputs), 100)
        self.assertGreater(cluster.compare_files(self.s3.bucket, 'hourly', COLUMNS, outputs), 0)
        self.assertGreater(cluster.compare_late(self.postgres, 'hourly', outputs), 0)
        read = sum(output['counters'].get('read', 0) for output in outputs)
        self.assertEqual(read, EVENTS)
        quarantined, = self.postgres.rows('select count(*) from hourly_quarantine')
        self.assertEqual(quarantined, (len(range(0, EVENTS // 2, 997)) * 2,))
        self.assertTrue(self.dev.start(), self.dev.log.name)
        self.dev.command('pipeline', 'drop', 'hourly')
        self.dev.command('apply', self.script('drop.sql', 'DROP TABLE flights;'), '--yes')
        self.assertIn('theirs', self.kafka.tool('TopicCommand', '--list'))

    def lags(self):
        """Of the view's consumer group, as Kafka's own tool shows them."""
        try:
            shown = self.kafka.tool('consumer.group.ConsumerGroupCommand', '--describe', '--group', 'millrace-default-hourly')
        except AssertionError:
            return None
        rows = [line.split() for line in shown.splitlines() if ' theirs ' in line]
        return [int(row[5]) for row in rows if row[5].isdigit()]

    def test_an_event_in_another_partition_than_its_keys_is_told(self):
        self.topic('unkeyed', 2)
        stream = STREAM.replace('theirs', 'unkeyed').replace(f'partitions = {PARTITIONS}', 'partitions = 2')
        stream = stream.replace('TABLE flights', 'TABLE others')
        view = VIEW.replace('tumble(flights', 'tumble(others').replace('hourly', 'checked')
        self.dev.command('apply', self.script('checked.sql', stream + view))
        values = ''.join(line.split('|', 1)[1] for line in lines(3, 900, 0))
        self.produce('unkeyed', values)
        self.dev.command('stream', 'advance', 'others', '--to', 'end')
        self.dev.command('results', 'checked', '--wait', '--format', 'csv')
        reasons = dict(self.postgres.rows('select reason, count(*) from checked_quarantine group by 1'))
        self.assertGreater(reasons['WRONG_PARTITION'], 0)
        ledger = {}
        cluster.wait_until('metrics have it', lambda: ledger.update(cluster.ledger(self.dev, 'checked'))
                           or ledger.get('read') == 900)
        self.assertEqual(ledger['aggregated'] + ledger.get('late', 0) + sum(reasons.values()), 900)


if __name__ == '__main__':
    ForeignTopic.logdump = os.path.abspath(sys.argv.pop(2))
    servers.run()
