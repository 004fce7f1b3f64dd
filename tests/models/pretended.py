"""A CUDA torch and a Hopper GPU pretended in a process of its own: shapes and calls, no numbers

xformers reads at import what torch was built with, so a test hands its program to `run_pretended`.
"""

import subprocess
import sys

PRETENDED = '''
import sys, types
import torch
torch.version.cuda = "13.0"
torch.backends.cuda.is_flash_attention_available = lambda: True
torch.cuda.get_device_capability = lambda *device: (9, 0)
from torch._subclasses import FakeTensorMode
from curriculum.models import attention_found, attention_kernels, attention_xformers
from curriculum.models.attention import describe_backend, packed_attention
from curriculum.models.attention_choice import asking
from curriculum.models.packing import Packing

indexed = torch.Tensor.__getitem__

def select(x, at):
    """Indexing takes a device guard that a build without CUDA lacks; these do not."""
    if isinstance(at, int):
        return x.select(0, at)
    return indexed(x, at)

torch.Tensor.__getitem__ = select

BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32
CUDA = torch.device("cuda")

def let_xformers_load():
    from xformers.ops import fmha
    fmha.common._built_with_cuda = True  # what a library that loads says
    attention_xformers.missing.cache_clear()
    attention_found.missing.cache_clear()
    return fmha

def rows(dtype, qk, dim, num=100):
    q, k, v = (torch.empty(num, 4, n, device="cuda", dtype=dtype) for n in (qk, qk, dim))
    cu = torch.empty(6, device="cuda", dtype=torch.int32)
    return q, k, v, Packing(cu, cu, 40, 40, True, 0.1)

def sizes(*tensors):
    return [tuple(x.shape) for x in tensors]
'''


def run_pretended(program: str) -> list[str]:
    """Run a program behind `PRETENDED`, and return what it printed, line by line."""
    command = [sys.executable, "-c", PRETENDED + program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
