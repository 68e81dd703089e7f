#!/usr/bin/env python3
"""The configurations of Prometheus are valid, each alert fires when it should, and a page says what to do about it."""
import os
import re
import subprocess
import unittest

import promtool

HERE = os.path.dirname(os.path.abspath(__file__))
RUNBOOKS = 'docs/runbooks'
SECTIONS = ['What it means', 'What users see', 'What to look at', 'What to do']


def check(*arguments):
    done = subprocess.run(['promtool', *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f'promtool {" ".join(arguments)}:\n{done.stdout}{done.stderr}')


class Alerts(unittest.TestCase):
    def test_configurations_are_valid(self):
        for name in ('prometheus.yml', 'dev.yml'):
            check('check', 'config', os.path.join(promtool.CONFIGURATIONS, name))

    def test_each_alert_fires_when_it_should(self):
        check('test', 'rules', os.path.join(HERE, 'alerts_test.yml'))

    def test_each_alert_has_a_test_in_which_it_fires(self):
        with open(os.path.join(HERE, 'alerts_test.yml')) as file:
            stories = re.split(r'^  - name: ', file.read(), flags=re.MULTILINE)[1:]
        fires = {name for story in stories for name in [re.match(r'\w+', story).group()] if 'value: 1' in story}
        self.assertEqual(fires, set(promtool.alerts()))

    def test_each_alert_says_how_bad_it_is_and_names_a_page(self):
        named = set()
        for alert, text in promtool.alerts().items():
            self.assertRegex(text, r'severity: (critical|warning)\}', alert)
            self.assertRegex(text, r'summary: ".+\."', alert)
            named.add(re.search(r'runbook: (\S+)', text).group(1))
            with open(os.path.join(promtool.ROOT, re.search(r'runbook: (\S+)', text).group(1))) as page:
                title, *_ = lines = page.read().splitlines()
            self.assertEqual(title, '# ' + alert)
            self.assertEqual([line[3:] for line in lines if line.startswith('## ')], SECTIONS, alert)
        pages = {f'{RUNBOOKS}/{name}' for name in os.listdir(os.path.join(promtool.ROOT, RUNBOOKS))}
        self.assertEqual(pages, named)


if __name__ == '__main__':
    promtool.skip_without_prometheus()
    unittest.main(verbosity=2)
