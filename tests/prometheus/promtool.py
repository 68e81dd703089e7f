"""What the tests need Prometheus for: whether it is there, and the alerts as it reads them."""
import os
import re
import shutil
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONFIGURATIONS = os.path.join(ROOT, 'deploy', 'prometheus')


def skip_without_prometheus():
    """Ends the program where Prometheus is not installed: as skipped, or as failed where it must be there."""
    if shutil.which('prometheus') and shutil.which('promtool'):
        return
    print('SKIPPED: the tests of alerts and dashboards need Prometheus: run deploy/setup.sh --servers')
    sys.exit(1 if os.environ.get('MILLRACE_REQUIRE_SERVERS') == '1' else 0)


def alerts():
    """The text of each alert of alerts.yml, by its name."""
    with open(os.path.join(CONFIGURATIONS, 'alerts.yml')) as file:
        parts = re.split(r'^ *- alert: (\w+)$', file.read(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))
