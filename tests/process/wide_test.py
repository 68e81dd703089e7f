#!/usr/bin/env python3
"""Small requests that could become large: a stream of a thousand columns, under a memory limit.

    wide_test.py MILLRACE [unittest arguments]
"""
import concurrent.futures
import json
import os
import resource

import cluster
import grpc_by_hand

COLUMNS = 1_000
EVENTS = 10_000
REQUESTS = 60
LIMIT = 1_500 << 20
OK, RESOURCE_EXHAUSTED = 0, 8
SCRIPT = f'''CREATE TABLE wide (ts timestamptz NOT NULL, {", ".join(f"c{i} bigint" for i in range(1, COLUMNS))})
WITH (event_time = 'ts', watermark_delay = '1 minute', partitions = 1);
CREATE TABLE narrow (ts timestamptz NOT NULL, v bigint) WITH (event_time = 'ts', watermark_delay = '1 minute', partitions = 1);
'''


class Wide(cluster.DevCase):
    def setUp(self):
        super().setUp()
        self.dev.command('apply', self.file('streams.sql', SCRIPT))
        # Data that is written to; stacks and reserved address space do not count.
        resource.prlimit(self.dev.process.pid, resource.RLIMIT_DATA, (LIMIT, LIMIT))

    def request(self, number, column):
        """One member an event beside its time, `column(event)`; sent again while the gateway says that it is full."""
        events = [json.dumps({'ts': '2001-01-01T00:00:00Z', f'c{column(i)}': 1}, separators=(',', ':')) for i in range(EVENTS)]
        folder = os.path.join(self.scratch, f'request-{number}')
        os.mkdir(folder)
        answers = []

        def taken():
            answers.append(grpc_by_hand.publish(self.dev.grpc, 'wide', events, producer=f'p{number}', scratch=folder))
            return answers[-1].status != RESOURCE_EXHAUSTED

        cluster.wait_until('the gateway takes the request', taken)
        return answers[-1]

    def test_requests_to_a_wide_stream_fit_into_memory_and_hold_up_nobody(self):
        with concurrent.futures.ThreadPoolExecutor(REQUESTS) as pool:
            sent = [pool.submit(self.request, n, lambda i, n=n: 1 + (i if n % 2 else n) % (COLUMNS - 1)) for n in range(REQUESTS)]
            other = self.file('narrow.jsonl', ''.join(json.dumps({'ts': '2001-01-01T00:00:00Z', 'v': v}) + '\n'
                                                      for v in range(1_000)))
            done = self.dev.command('produce', 'narrow', '--input', other, timeout=cluster.PATIENCE)
            self.assertIn('acknowledged=1000', done.stderr)
            for future in sent:
                answer = future.result()
                self.assertEqual(answer.status, OK, answer.message)
        self.assertTrue(self.dev.running())
        acknowledged = cluster.metrics(self.dev, 'millrace_gateway_events_total')
        self.assertEqual(sum(v for labels, v in acknowledged
                             if labels['stream'] == 'wide' and labels['result'] == 'acknowledged'), EVENTS * REQUESTS)


if __name__ == '__main__':
    cluster.run()
