# SPDX-License-Identifier: Apache-2.0
"""
Files that somebody made to do harm: each is refused in one line, within bounded memory.

All are opened in one other process, whose memory above what it had before each is measured by
the kernel: 64 MiB and four times the file are allowed.
"""

from collections.abc import Callable, Iterator
import io
import json
import os
from pathlib import Path
import sqlite3
import struct
import subprocess
import sys
import zipfile

from mcap.writer import CompressionType, Writer
import onnx
from training import exported
import zstandard

from rl_control.common.files import digest
from rl_control.policies.onnx_policy import digest_path

CHILD = '''
import ctypes, gc, json, sys
from pathlib import Path
from rl_control.common.errors import InvalidInput

def opened(reader, path):
    if reader == 'policy':
        from rl_control.policies.onnx_policy import load
        return lambda: load(path)
    if reader == 'checkpoint':
        from rl_control.learning import checkpoint
        return lambda: checkpoint.load(path)
    if reader == 'dataset':
        from rl_control.bags.dataset import Dataset
        return lambda: Dataset.load(path)
    if reader == 'bag':
        from rl_control.bags.bag_reader import Bag
        def read():
            bag = Bag(path)
            for raw in bag.messages(): pass
            raise InvalidInput(str(bag.losses.notes))
        return read
    if reader == 'parameters':
        from rl_control.config.files import read_parameter_file
        return lambda: read_parameter_file(path, 'a')
    from rl_control.robots.kinematics import Kinematics
    return lambda: Kinematics(path, ('a',), 'b')

def memory(field):
    text = Path('/proc/self/status').read_text()
    return int(text.split(field + ':')[1].split()[0]) * 1024

for line in sys.stdin:
    name, reader, path = json.loads(line)
    read = opened(reader, Path(path))
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path('/proc/self/clear_refs').write_text('5')  # the peak begins anew
    before = memory('VmRSS')
    try:
        read()
        said = None
    except InvalidInput as refused:
        said = str(refused)[:1000]
    print(json.dumps([name, said, memory('VmHWM') - before]), flush=True)
'''


def size(path: Path) -> int:
    files = [path] if path.is_file() else [one for one in path.rglob('*') if one.is_file()]
    return sum(one.stat().st_size for one in files)


# What Python's own serialisation would run when it is read; its name is kept out of this tree.
CALL = b"cos\nsystem\n(S'touch mark'\ntR."


def zip_bomb() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('data', bytes(2**24))
    return data.getvalue()


def policy(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    digest_path(path).write_text(f'{digest(data)}  {path.name}\n')
    return path


def model(change: Callable[[onnx.ModelProto], None]) -> bytes:
    changed = onnx.ModelProto.FromString(exported())
    change(changed)
    return changed.SerializeToString()


def external(changed: onnx.ModelProto) -> None:
    tensor = changed.graph.initializer[0]
    tensor.ClearField('raw_data')
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value='../../../../etc/passwd')


def strange(changed: onnx.ModelProto) -> None:
    changed.graph.node[0].op_type, changed.graph.node[0].domain = 'Run', 'com.example'


def looping(changed: onnx.ModelProto) -> None:
    changed.graph.node[0].op_type = 'Loop'


def huge(changed: onnx.ModelProto) -> None:
    """A value of 2**40 numbers, from a shape of three."""
    changed.graph.initializer.append(onnx.numpy_helper.from_array(
        __import__('numpy').array([2**20, 2**20]), 'shape'))
    changed.graph.node.insert(0, onnx.helper.make_node(
        'Expand', ['observation', 'shape'], ['big']))


def chained(operator: str, number: int, of: list[int], **attributes: object) -> bytes:
    """Integers joined with themselves, or axes added, again and again."""
    integers = onnx.numpy_helper.from_array(__import__('numpy').array(of), 'v')
    second = 'v{}' if operator == 'Concat' else 'v'
    return onnx.helper.make_model(onnx.helper.make_graph(
        [onnx.helper.make_node(operator, [f'v{k or ""}', second.format(k or '')], [f'v{k + 1}'],
                               **attributes) for k in range(number)],
        'chain', [], [], [integers])).SerializeToString()


def varint(value: int) -> bytes:
    data = b''
    while value > 127:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])


def field(tag: int, content: bytes) -> bytes:
    """Return a protobuf field of bytes."""
    return bytes([tag]) + varint(len(content)) + content


POLICIES = {
    'many nodes': (lambda: field(0x3a, b'\x0a\x00' * 10**6), 'fields'),
    'many properties': (lambda: exported() + b'\x72\x00' * 2 * 10**6, 'fields'),
    'packed numbers': (lambda: field(0x3a, field(0x0a, field(0x2a, field(
        0x42, bytes(4 * 10**6))))), 'packed numbers in ints'),
    'external data': (lambda: model(external), 'in another file'),
    'unknown operator': (lambda: model(strange), 'com.example'),
    'loop': (lambda: model(looping), 'Loop'),
    'huge value': (lambda: model(huge), ''),
    'doubling integers': (lambda: chained('Concat', 21, [2, 2], axis=0), 'computes values of'),
    'growing shapes': (lambda: chained('Unsqueeze', 1500, list(range(14))), 'Unsqueeze whose'),
    'zip bomb': (zip_bomb, ''),
}


def checkpoint(path: Path, tensors: bytes = b'', state: bytes = b'{}') -> Path:
    path.mkdir()
    files = {'tensors.safetensors': tensors, 'state.json': state}
    for name, data in files.items():
        (path / name).write_bytes(data)
    (path / 'manifest.json').write_text(json.dumps(
        {name: digest(data) for name, data in files.items()}))
    return path


def header(size: int, content: bytes = b'') -> bytes:
    return struct.pack('<Q', size) + content


TENSORS = {
    '100 MB header': (header(10**8, b'{' + b' ' * 10**7), 'header has 100000000 bytes'),
    'header beyond the end': (header(2**63), 'header has'),
    'many tensors': (header(2**21, (b'{' + b','.join(
        b'"%d":{"dtype":"F32","shape":[],"data_offsets":[0,0]}' % k for k in range(38000))
        + b'}').ljust(2**21)), ''),
    'offsets': (header(
        64, b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36000]}}'.ljust(64)), ''),
    'zip bomb': (zip_bomb(), ''),
}


def chunk(packed: bytes, size: int) -> bytes:
    """Return a bag of one chunk that unpacks to `size` zeros."""
    data = io.BytesIO()
    writer = Writer(data, use_chunking=False, compression=CompressionType.NONE)
    writer.start()
    content = struct.pack('<QQQIL', 0, 0, size, 0, 0)[:28] + struct.pack('<I', 4) + b'zstd'
    content += struct.pack('<Q', len(packed)) + packed
    data.write(b'\x06' + struct.pack('<Q', len(content)) + content)
    return data.getvalue()


YAML = {
    'object': '/**: !!python/object/apply:os.system ["touch mark"]',
    'tag': '/**: {ros__parameters: {a: {x: !!python/name:os.system }}}',
    'aliases': 'a: &a [x, x]\nb: &b [*a, *a]\n/**: [*b, *b]',
    'deep': '[' * 50_000,
    'long': 'a: ' + 'b' * 2**20,
}
URDF = {
    'entities': '<!DOCTYPE r [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><robot>&c;</robot>',
    'outside': '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><robot>&a;</robot>',
    'deep': '<robot>' + '<link>' * 200_000,
    'long': '<robot name="' + 'a' * 2**24 + '"/>',
}

TOPICS = '''
    CREATE TABLE topics (id, name, type, serialization_format, offered_qos_profiles);
    INSERT INTO topics VALUES (1, '/a', 'std_msgs/msg/String', 'cdr', '');
'''
NUMBERS = 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c{})'
DATABASES = {  # (what makes it, what is said)
    'view': (f'''{TOPICS} CREATE VIEW messages AS {NUMBERS.format('')}
        SELECT x AS id, 1 AS topic_id, x AS timestamp, zeroblob(500000000) AS data FROM c''',
        'computes the content of messages, as no bag does'),
    'computed messages': (f'''{TOPICS} CREATE TABLE messages (
        id, topic_id AS (1), timestamp AS (id), data AS (zeroblob(900000)));
        INSERT INTO messages (id) {NUMBERS.format(' LIMIT 200')} SELECT x FROM c''',
        'computes the content of messages, as no bag does'),
    'computed topics': (f'''CREATE TABLE topics (
        id, name AS (hex(zeroblob(400000)) || id), type, serialization_format);
        INSERT INTO topics (id) {NUMBERS.format(' LIMIT 200')} SELECT x FROM c''',
        'computes the content of topics, as no bag does'),
    'virtual messages': (f'''{TOPICS} CREATE VIRTUAL TABLE messages USING fts5(data)''',
        'computes the content of messages, as no bag does'),
    'sorted messages': (f'''{TOPICS} CREATE TABLE messages (_ROWID_, topic_id, timestamp, data)''',
        'computes the content of messages, as no bag does'),
}


def cases(out: Path) -> Iterator[tuple[str, str, Path, str]]:
    """Make every file; yield (name, reader, path, what the refusal says)."""
    def file(name: str, data: bytes | str) -> Path:
        path = out / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    for name, (make, words) in POLICIES.items():
        yield f'policy: {name}', 'policy', policy(file(f'{name}.onnx', b''), make()), words
    for name, (data, words) in TENSORS.items():
        yield f'tensors: {name}', 'checkpoint', checkpoint(out / f'{len(name)}', data), words
    for number, state in enumerate((b'[' * 10**6, b'[' + b'{},' * 10**6 + b'0]', b'\xff')):
        yield (f'state: {number}', 'checkpoint',
               checkpoint(out / f'{100 + number}', header(2, b'{}'), state), '')
    described = {name: [] for name in ('streams', 'source', 'report')} | {
        'format': 1, 'contract': '{}', 'digest': '', 'shards': [
            {'file': '../secret', 'sha256': digest(header(2, b'{}'))}]}
    file('secret', header(2, b'{}'))
    yield ('dataset: beside it', 'dataset',
           file('d1/dataset.json', json.dumps(described)).parent, 'No such file')
    yield ('dataset: deep', 'dataset', file('d2/dataset.json', '[' * 10**5).parent,
           'is no dataset')
    packed = zstandard.ZstdCompressor(level=1).compress(bytes(2**28))
    for said in (2**30, 10, 2**63 - 1):
        yield f'bag: chunk of {said}', 'bag', file(f'b{said}_0.mcap', chunk(packed, said)), ''
    repeated = sqlite3.connect(out / 'repeated_0.db3')
    repeated.executescript(f'''{TOPICS} CREATE TABLE messages (
        id INTEGER PRIMARY KEY, topic_id, timestamp, data);
        INSERT INTO messages VALUES (1, 1, 1, zeroblob(3000))''')
    page = 4096 * (repeated.execute('PRAGMA page_count').fetchone()[0] - 1)
    repeated.close()
    content = bytearray((out / 'repeated_0.db3').read_bytes())
    content[page + 3:page + 5] = (500).to_bytes(2, 'big')  # cells, all of them at one place
    content[page + 8:page + 1008] = content[page + 8:page + 10] * 500
    yield ('bag: repeated', 'bag', file('repeated_0.db3', bytes(content)),
           'has rows of more bytes than the file; rows after 1 are not read')
    for name, (script, words) in DATABASES.items():
        database = sqlite3.connect(out / f'{name}_0.db3')
        database.executescript(script)
        database.close()
        yield f'bag: {name}', 'bag', out / f'{name}_0.db3', words
    for name in ('object', 'deep'):
        file(f'bag {name}/bag_0.mcap', chunk(b'', 0))
        yield (f'bag: {name}', 'bag', file(f'bag {name}/metadata.yaml', YAML[name]).parent,
               'metadata.yaml: cannot be read')
    for name, text in YAML.items():
        yield f'parameters: {name}', 'parameters', file(f'{name}.yaml', text), ''
    for name, text in URDF.items():
        yield f'urdf: {name}', 'urdf', file(f'{name}.urdf', text), ''
    yield 'call: policy', 'policy', policy(out / 'call.onnx', CALL), ''
    yield 'call: checkpoint', 'checkpoint', checkpoint(out / '200', CALL), ''
    for reader, name in (('parameters', 'a.yaml'), ('bag', 'a.mcap'), ('urdf', 'a.urdf')):
        yield f'call: {reader}', reader, file(name, CALL), ''
    link = out / 'link.onnx'
    link.symlink_to('/dev/zero')
    digest_path(link).write_text('0' * 64)
    yield 'policy: link to what never ends', 'policy', link, 'digest'


def test_files_that_somebody_made_to_do_harm(tmp_path):
    made = list(cases(tmp_path))
    ended = subprocess.run(
        [sys.executable, '-c', CHILD], capture_output=True, text=True, timeout=120, check=False,
        input=''.join(json.dumps([name, reader, str(path)]) + '\n'
                      for name, reader, path, _ in made),
        cwd=tmp_path, env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[2])})
    told = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith('["')]
    assert [name for name, *_ in told] == [name for name, *_ in made], ended.stderr[-2000:]
    for (name, sentence, memory), (_, _, path, words) in zip(told, made, strict=True):
        assert sentence and words in sentence and '\n' not in sentence, (name, sentence)
        allowed = 64 * 2**20 + 4 * (2**26 if path.is_symlink() else size(path))
        assert memory < allowed, f'{name}: {memory / 2**20:.0f} MiB'
    assert not list(tmp_path.rglob('mark')), 'something was run'
