"""A gRPC call without a gRPC library: HTTP/2 through curl, messages encoded by hand. Sends what the client never would."""
import base64
import collections
import os
import subprocess
import urllib.parse

INVALID_ARGUMENT, NOT_FOUND = 3, 5
Answer = collections.namedtuple('Answer', 'status message details body')


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, value):
    """One protobuf field: text and bytes with a length, numbers as varint."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def publish(server, stream, events, key=None, producer='', first=0, scratch='/tmp'):
    """Ingest.Publish of JSON events; the status with its details, and the bytes of the reply."""
    message = field(2, stream) + field(3, producer) + field(4, first)
    head = field(1, key) if key is not None else b''
    message += b''.join(field(6, head + field(2, event)) for event in events)
    return call(server, 'millrace.ingest.v1.Ingest/Publish', message, scratch)


def call(server, method, message, scratch='/tmp'):
    """Any call with one request, whatever its bytes are."""
    request = os.path.join(scratch, 'publish.request')
    with open(request, 'wb') as out:
        out.write(b'\0' + len(message).to_bytes(4, 'big') + message)
    headers = os.path.join(scratch, 'publish.headers')
    done = subprocess.run(['curl', '-sS', '--http2-prior-knowledge', '--max-time', '60', '-D', headers, '-H', 'te: trailers',
                           '-H', 'content-type: application/grpc', '-H', 'expect:', '--data-binary', '@' + request,
                           f'http://{server}/{method}'], capture_output=True, check=True)
    fields = {}
    with open(headers) as lines:
        for line in lines:
            name, colon, value = line.strip().partition(': ')
            if colon:
                fields[name.lower()] = value
    details = fields.get('grpc-status-details-bin', '')
    return Answer(int(fields['grpc-status']), urllib.parse.unquote(fields.get('grpc-message', '')),
                  base64.b64decode(details + '=' * (-len(details) % 4)), done.stdout)
