"""Real servers for `millrace dev` to stand on: a Kafka broker, an S3 store and PostgreSQL, each in a folder of its own."""
import csv
import glob
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import cluster

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
JARS = os.path.join(ROOT, '.deps', 'kafka')
S3_JARS = os.path.join(ROOT, '.deps', 's3proxy')
START_PATIENCE = 120
# How the S3 server names a file that it has not finished.
UNFINISHED = re.compile(r'-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
KAFKA = '''process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,CLIENT:{protocol}
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.client.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
 username="millrace" password="{password}" user_millrace="{password}";
log.dirs={folder}/log
num.network.threads=2
num.io.threads=2
background.threads=2
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608
log.segment.bytes=16777216
log.index.size.max.bytes=1048576
'''
S3PROXY = '''s3proxy.endpoint={address}
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity=millrace-tests
s3proxy.credential=no/secret+at=all
s3proxy.v4-max-non-chunked-request-size=134217728
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir={folder}/data
'''
LOGBACK = '''<configuration><appender name='out' class='ch.qos.logback.core.ConsoleAppender'>
<encoder><pattern>%level %msg%n</pattern></encoder></appender><root level='info'><appender-ref ref='out'/></root>
</configuration>
'''
LOG4J = '''status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=info
rootLogger.appenderRefs=out
rootLogger.appenderRef.out.ref=out
'''


def missing():
    """Why servers cannot be started here; empty: they can."""
    if not os.path.exists(os.path.join(JARS, 'stamp')):
        return 'no Kafka broker in .deps/kafka'
    if not os.path.exists(os.path.join(S3_JARS, 'stamp')):
        return 'no S3 server in .deps/s3proxy'
    if shutil.which('java') is None:
        return 'no Java runtime'
    if not programs():
        return 'no PostgreSQL server'
    return ''


def require():
    """Ends the program where servers cannot be started: as skipped, or as failed where they must be there."""
    if missing():
        print(f'SKIPPED: 1 test case needs a server: run deploy/setup.sh --servers: {missing()}')
        sys.exit(1 if os.environ.get('MILLRACE_REQUIRE_SERVERS') == '1' else 0)


def programs():
    return max(glob.glob('/usr/lib/postgresql/*/bin'), default='')


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(('127.0.0.1', 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Server:
    """A process that is ready when its log says so; its data stays over kill and start."""

    def __init__(self, folder, ready):
        os.makedirs(folder)
        self.folder = folder
        self.ready = ready
        self.process = None
        self.log = folder + '.log'

    def launch(self, command, **options):
        with open(self.log, 'ab') as log:
            begin = log.tell()
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, **options)
        deadline = time.monotonic() + START_PATIENCE
        while True:
            with open(self.log, 'rb') as log:
                log.seek(begin)
                if self.ready in log.read():
                    return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f'a server does not start: see {self.log}')
            time.sleep(0.05)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Kafka(Server):
    """A broker to which clients log in if it is given a password."""

    def __init__(self, folder, password=''):
        super().__init__(folder, b'Kafka Server started')
        self.password = password
        port, controller = free_ports(2)
        self.address = f'127.0.0.1:{port}'
        self.properties = os.path.join(folder, 'server.properties')
        with open(self.properties, 'w') as out:
            out.write(KAFKA.format(port=port, controller=controller, folder=folder, password=password,
                                   protocol='SASL_PLAINTEXT' if password else 'PLAINTEXT'))
        with open(os.path.join(folder, 'log4j2.properties'), 'w') as out:
            out.write(LOG4J)
        subprocess.run(self.java('kafka.tools.StorageTool', 'format', '--standalone', '-t', 'bWlsbHJhY2UtdGVzdHMtMQ',
                                 '-c', self.properties), check=True, capture_output=True)
        self.start()

    def java(self, *arguments):
        return ['java', '-Xmx384m', '-Xms64m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
                f'-Dlog4j2.configurationFile={self.folder}/log4j2.properties', '-cp', JARS + '/*', *arguments]

    def start(self):
        self.launch(self.java('kafka.Kafka', self.properties))

    def tool(self, name, *arguments, said=None):
        """One of Kafka's own tools, which is told something; what it prints."""
        login = os.path.join(self.folder, 'client.properties')
        with open(login, 'w') as out:
            if self.password:
                out.write('security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.kafka.common.'
                          'security.plain.PlainLoginModule required username="millrace" '
                          f'password="{self.password}";\n')
        done = subprocess.run(self.java('org.apache.kafka.tools.' + name, '--bootstrap-server', self.address,
                                        '--command-config', login, *arguments), capture_output=True, text=True, input=said)
        if done.returncode != 0:
            raise AssertionError(f'{name}: {done.stdout}{done.stderr}')
        return done.stdout

    def settings(self):
        login = {'log.kafka.login': 'plain', 'log.kafka.user': 'millrace', 'log.kafka.password': self.password,
                 'log.kafka.insecure': True}
        return {'log.kind': 'kafka', 'log.kafka.brokers': self.address, 'log.kafka.replication': 1,
                'log.kafka.min_insync_replicas': 1} | (login if self.password else {})


class S3(Server):
    BUCKET = 'bucket'

    def __init__(self, folder):
        super().__init__(folder, b'Started ogsoejs.Server@')
        port, = free_ports(1)
        self.address = f'http://127.0.0.1:{port}'
        self.bucket = os.path.join(folder, 'data', self.BUCKET)
        os.makedirs(self.bucket)
        with open(os.path.join(folder, 's3proxy.properties'), 'w') as out:
            out.write(S3PROXY.format(address=self.address, folder=folder))
        with open(os.path.join(folder, 'logback.xml'), 'w') as out:
            out.write(LOGBACK)
        self.start()

    def start(self):
        # What a put left that was under way when the server was killed is no object.
        for folder, _, names in os.walk(self.bucket):
            for name in names:
                if UNFINISHED.search(name):
                    os.remove(os.path.join(folder, name))
        self.launch(['java', '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
                     f'-Dlogback.configurationFile={self.folder}/logback.xml', '-cp', S3_JARS + '/*',
                     'org.gaul.s3proxy.Main', '--properties', os.path.join(self.folder, 's3proxy.properties')])

    def settings(self):
        return {'objects.kind': 's3', 'objects.s3.endpoint': self.address, 'objects.s3.bucket': self.BUCKET,
                'objects.s3.credentials': 'values', 'objects.s3.access_key': 'millrace-tests',
                'objects.s3.secret_key': 'no/secret+at=all'}


class PostgresTables:
    """The serving tables behind `connection()`, as rows of a query."""

    def rows(self, sql):
        """The answer with numbers as numbers; an empty text is NULL."""
        schema = {'PGOPTIONS': '-c search_path="default"'}  # of the namespace with this name
        done = subprocess.run([programs() + '/psql', '-X', '--csv', '-t', self.connection(), '-c', sql],
                              capture_output=True, text=True, env=os.environ | schema)
        if done.returncode != 0:
            raise AssertionError(f'{sql}: {done.stderr}')
        return [tuple(typed(cell) for cell in row) for row in csv.reader(done.stdout.splitlines())]

    @staticmethod
    def time(column):
        return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


class Postgres(Server, PostgresTables):
    def __init__(self, folder):
        super().__init__(folder, b'ready to accept connections')
        self.port, = free_ports(1)
        self.data = os.path.join(folder, 'data')
        self.user = pwd.getpwnam('postgres') if os.geteuid() == 0 else None
        if self.user:
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)
        subprocess.run(self.own([programs() + '/initdb', '-D', self.data, '-U', 'millrace', '-A', 'trust', '-E', 'UTF8',
                                 '--locale=C', '--no-sync']), check=True, capture_output=True)
        self.start()

    def own(self, command):
        """PostgreSQL does not run as root."""
        if not self.user:
            return command
        return ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups', *command]

    def start(self):
        deadline = time.monotonic() + START_PATIENCE
        while True:
            begin = os.path.getsize(self.log) if os.path.exists(self.log) else 0
            try:
                return self.launch(self.own([
                    programs() + '/postgres', '-D', self.data, '-h', '127.0.0.1', '-p', str(self.port), '-c',
                    'unix_socket_directories=', '-c', 'shared_buffers=32MB']))
            except AssertionError:
                # Processes of a server that was killed end a little later, and hold its memory until then.
                with open(self.log, 'rb') as log:
                    log.seek(begin)
                    if b'in use' not in log.read() or time.monotonic() > deadline:
                        raise

    def connection(self):
        return f'host=127.0.0.1 port={self.port} user=millrace dbname=postgres'

    def settings(self):
        return {'serving.kind': 'postgres', 'serving.postgres.connection': self.connection()}


class ServersCase(unittest.TestCase):
    """Tests on a Kafka broker with a login, an S3 store and PostgreSQL, all of which they share."""
    PASSWORD = 'right'

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='millrace-servers-')
        os.chmod(cls.folder, 0o755)  # PostgreSQL runs as another user
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.kafka = cls.kept(Kafka(os.path.join(cls.folder, 'kafka'), cls.PASSWORD))
        cls.s3 = cls.kept(S3(os.path.join(cls.folder, 's3')))
        cls.postgres = cls.kept(Postgres(os.path.join(cls.folder, 'postgres')))

    @classmethod
    def kept(cls, server):
        """Until the tests have ended."""
        cls.addClassCleanup(server.kill)
        return server

    def config(self, *on, **changed):
        return write_config(os.path.join(self.folder, self.id() + '.json'), *on, **changed)

    def data_dir(self):
        return tempfile.mkdtemp(dir=self.folder)


def run():
    """As cluster.run, where servers can be started."""
    require()
    cluster.run()


def typed(cell):
    if cell == '':
        return None
    for number in (int, float):
        try:
            return number(cell)
        except ValueError:
            pass
    return cell


def write_config(path, *servers, **changed):
    """A configuration under which a process stands on these servers. JSON is YAML too. Settings that are changed have
    two underscores for each dot of their keys."""
    settings = {}
    for server in servers:
        settings |= server.settings()
    tree = {}
    for key, value in (settings | {key.replace('__', '.'): value for key, value in changed.items()}).items():
        *sections, name = key.split('.')
        at = tree
        for section in sections:
            at = at.setdefault(section, {})
        at[name] = value
    with open(path, 'w') as out:
        json.dump(tree, out, indent=1)
    return path
