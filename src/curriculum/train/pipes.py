"""Values over a pipe between two processes, their arrays beside them without a copy

    length of body, lengths of arrays | body (pickle) | array | array ...

Both ends are this program: what comes out of a pickle here was put in by it.
"""

import pickle
import struct
from typing import IO, Any

_NUMBER = struct.Struct("<Q")


def send(pipe: IO[bytes], value: object) -> None:
    """Write a value; OSError where nobody reads any more."""
    arrays: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=arrays.append)
    parts = [memoryview(body), *(array.raw() for array in arrays)]
    sizes = [part.nbytes for part in parts]
    pipe.write(b"".join(map(_NUMBER.pack, (len(sizes), *sizes))))
    for part in parts:
        pipe.write(part)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    """Read the next value; EOFError where the other end is gone."""
    (count,) = _NUMBER.unpack(_exactly(pipe, _NUMBER.size))
    sizes = [size for (size,) in _NUMBER.iter_unpack(_exactly(pipe, count * _NUMBER.size))]
    body, *arrays = (_exactly(pipe, size) for size in sizes)
    return pickle.loads(body, buffers=arrays)


def _exactly(pipe: IO[bytes], size: int) -> bytearray:
    found = bytearray(size)
    view, done = memoryview(found), 0
    while done < size:
        read = pipe.readinto(view[done:])  # type: ignore[attr-defined]
        if not read:
            raise EOFError
        done += read
    return found
