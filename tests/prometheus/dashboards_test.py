#!/usr/bin/env python3
"""Every query of every dashboard and alert, asked of a real Prometheus that watches a real `millrace dev`.

    dashboards_test.py MILLRACE [unittest arguments]
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request

import cluster
import promtool
import servers

PATIENCE = 120
GRAFANA = os.path.join(promtool.ROOT, 'deploy', 'grafana')
DASHBOARDS = os.path.join(GRAFANA, 'dashboards')
QUICKSTART = os.path.join(promtool.ROOT, 'deploy', 'quickstart')
KINDS = {'timeseries', 'stat', 'piechart'}
COLUMNS = 24
# Slow enough that events come during several scrapes.
EVENTS, RATE = 20_000, 1_000
SELECTOR = re.compile(r'\b((?:millrace|process)_\w+|up)\b(\{[^}]*\})?')
VARIABLE = re.compile(r'^label_values\((.+), (\w+)\)$')


def dashboards():
    found = {}
    for name in sorted(os.listdir(DASHBOARDS)):
        with open(os.path.join(DASHBOARDS, name)) as file:
            found[name] = json.load(file)
    return found


def filled(query):
    """A query as Grafana asks it, with all values of its variables."""
    return re.sub(r'\$\w+', '.*', query.replace('$__rate_interval', '10s'))


class Structure(unittest.TestCase):
    """What Grafana would not say before somebody looks at the page."""

    def test_dashboards_are_whole(self):
        with open(os.path.join(GRAFANA, 'provisioning', 'datasources', 'prometheus.yml')) as file:
            source = re.search(r'uid: (\w+)', file.read()).group(1)
        identities = [dashboard['uid'] for dashboard in dashboards().values()]
        self.assertEqual(len(set(identities)), len(identities))
        for name, dashboard in dashboards().items():
            panels = dashboard['panels']
            self.assertEqual([panel['id'] for panel in panels], list(range(1, len(panels) + 1)), name)
            titles = [panel['title'] for panel in panels]
            self.assertEqual(len(set(titles)), len(titles), name)
            taken = set()
            for panel in panels:
                self.assertIn(panel['type'], KINDS, panel['title'])
                self.assertEqual(panel['datasource'], {'type': 'prometheus', 'uid': source}, panel['title'])
                at = panel['gridPos']
                self.assertLessEqual(at['x'] + at['w'], COLUMNS, panel['title'])
                cells = {(x, y) for x in range(at['x'], at['x'] + at['w']) for y in range(at['y'], at['y'] + at['h'])}
                self.assertFalse(cells & taken, f'{panel["title"]} lies over another panel of {name}')
                taken |= cells
                letters = [target['refId'] for target in panel['targets']]
                self.assertEqual(letters, ['A', 'B', 'C'][:len(letters)], panel['title'])
            variables = {variable['name'] for variable in dashboard['templating']['list']}
            used = set(re.findall(r'\$(\w+)', json.dumps([panels, dashboard['templating']]))) - {'__rate_interval', '__all'}
            self.assertEqual(used, variables, name)


class Queries(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.mkdtemp(prefix='millrace-prometheus-')
        cls.dev = cluster.Dev(cls.binary, os.path.join(cls.scratch, 'data'))
        assert cls.dev.start(), cls.dev.log.name
        cls.dev.command('apply', os.path.join(QUICKSTART, 'flights.sql'))
        flights = os.path.join(cls.scratch, 'flights.csv')
        with open(flights, 'wb') as out, subprocess.Popen(
                ['zstd', '-dc', os.path.join(QUICKSTART, 'flights-2001-01.csv.zst')], stdout=subprocess.PIPE) as source:
            for _ in range(1 + EVENTS):
                out.write(source.stdout.readline())
            source.kill()
        cls.producer = cls.dev.produce('flights', flights, '--rate', str(RATE))
        cls.start_prometheus()

    @classmethod
    def start_prometheus(cls):
        """With the configuration that is shipped, but for the port that it asks and how often."""
        with open(os.path.join(promtool.CONFIGURATIONS, 'dev.yml')) as file:
            text = file.read()
        for there, here in (('127.0.0.1:7172', cls.dev.admin), (' 10s', ' 1s'),
                            ('[alerts.yml]', f'[{promtool.CONFIGURATIONS}/alerts.yml]')):
            assert there in text, there
            text = text.replace(there, here)
        configuration = os.path.join(cls.scratch, 'prometheus.yml')
        with open(configuration, 'w') as out:
            out.write(text)
        port, = servers.free_ports(1)
        cls.address = f'http://127.0.0.1:{port}'
        cls.log = open(os.path.join(cls.scratch, 'prometheus.log'), 'wb')
        cls.prometheus = subprocess.Popen(
            ['prometheus', '--config.file', configuration, '--web.listen-address', f'127.0.0.1:{port}',
             '--storage.tsdb.path', os.path.join(cls.scratch, 'series')], stdout=cls.log, stderr=cls.log)

    @classmethod
    def tearDownClass(cls):
        for process in (cls.prometheus, cls.producer, cls.dev.process):
            process.kill()
            process.wait()
        cls.producer.stderr.close()
        cls.dev.process.stdout.close()
        cls.dev.log.close()
        cls.log.close()
        shutil.rmtree(cls.scratch)

    def get(self, path, **parameters):
        """An answer of Prometheus; None while it starts. A query that it does not understand fails the test."""
        try:
            url = f'{self.address}{path}?{urllib.parse.urlencode(parameters)}'
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)['data']
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 503:
                    return None
                raise AssertionError(f'{parameters}: {error.read().decode()}') from None
        except OSError:
            self.assertIsNone(self.prometheus.poll(), f'Prometheus ended: {self.log.name}')
            return None

    def result(self, query):
        data = self.get('/api/v1/query', query=query)
        return data['result'] if data else []

    def has_series(self, query):
        """Waits until each selector of the query finds series: its metric is there, with these labels and values."""
        for metric, labels in SELECTOR.findall(query):
            if metric == 'up':
                labels = ''  # its services are those of a cluster
            cluster.wait_until(f'{metric}{labels} of {query} has series',
                               lambda: self.result(f'count({metric}{labels})'), PATIENCE)

    def test_each_panel_shows_something(self):
        for name, dashboard in dashboards().items():
            for panel in dashboard['panels']:
                for target in panel['targets']:
                    query = filled(target['expr'])
                    with self.subTest(dashboard=name, panel=panel['title'], query=query):
                        self.has_series(query)
                        cluster.wait_until(f'{query} gives something', lambda: self.result(query), PATIENCE)
                        wanted = set(re.findall(r'{{(\w+)}}', target['legendFormat']))
                        for series in self.result(query):
                            self.assertLessEqual(wanted, set(series['metric']))

    def test_each_variable_has_values(self):
        for name, dashboard in dashboards().items():
            for variable in dashboard['templating']['list']:
                selector, label = VARIABLE.match(variable['query']['query']).groups()
                with self.subTest(dashboard=name, variable=variable['name']):
                    cluster.wait_until(f'{variable["name"]} has values', lambda: self.get(
                        f'/api/v1/label/{label}/values', **{'match[]': filled(selector)}), PATIENCE)

    def rules(self):
        data = self.get('/api/v1/rules')
        return [rule for group in data['groups'] for rule in group['rules']] if data else []

    def test_each_alert_asks_for_what_is_there_and_none_fires(self):
        def evaluated():
            return self.rules() and all(rule['health'] != 'unknown' for rule in self.rules())
        cluster.wait_until('all alerts are evaluated', evaluated, PATIENCE)
        self.assertEqual({rule['name'] for rule in self.rules()}, set(promtool.alerts()))
        for rule in self.rules():
            with self.subTest(alert=rule['name']):
                self.assertEqual(rule['health'], 'ok', rule.get('lastError'))
                self.has_series(rule['query'])
        self.assertEqual([rule['name'] for rule in self.rules() if rule['state'] == 'firing'], [])


if __name__ == '__main__':
    promtool.skip_without_prometheus()
    Queries.binary = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
