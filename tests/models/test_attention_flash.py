"""flash-attn-3 and -4 are called as their sources say, on a pretended H100; nothing is computed

The schemas and signatures below are those that both packages publish (hopper/flash_api.cpp and
flash_attn/cute/interface.py at 0251105a, arguments that nobody gives left out of the second).
"""

from models.pretended import run_pretended

FA3 = """
library = torch.library.Library("flash_attn_3", "DEF")
library.define(
    "fwd(Tensor q, Tensor k, Tensor v, Tensor(k_new!)? k_new=None, Tensor(v_new!)? v_new=None, "
    "Tensor? q_v=None, Tensor(out!)? out=None, Tensor? cu_seqlens_q=None, "
    "Tensor? cu_seqlens_k=None, Tensor? cu_seqlens_k_new=None, Tensor? seqused_q=None, "
    "Tensor? seqused_k=None, int? max_seqlen_q=None, int? max_seqlen_k=None, "
    "Tensor? page_table=None, Tensor? kv_batch_idx=None, Tensor? leftpad_k=None, "
    "Tensor? rotary_cos=None, Tensor? rotary_sin=None, Tensor? seqlens_rotary=None, "
    "Tensor? q_descale=None, Tensor? k_descale=None, Tensor? v_descale=None, "
    "float? softmax_scale=None, bool is_causal=False, int window_size_left=-1, "
    "int window_size_right=-1, int attention_chunk=0, float softcap=0.0, "
    "bool is_rotary_interleaved=False, Tensor? scheduler_metadata=None, int num_splits=0, "
    "bool? pack_gqa=None, int sm_margin=0) -> (Tensor(out!), Tensor, Tensor, Tensor)"
)
library.define(
    "bwd(Tensor dout, Tensor q, Tensor k, Tensor v, Tensor out, Tensor softmax_lse, "
    "Tensor(dq!)? dq=None, Tensor(dk!)? dk=None, Tensor(dv!)? dv=None, "
    "Tensor? cu_seqlens_q=None, Tensor? cu_seqlens_k=None, Tensor? seqused_q=None, "
    "Tensor? seqused_k=None, int? max_seqlen_q=None, int? max_seqlen_k=None, "
    "float? softmax_scale=None, bool is_causal=False, int window_size_left=-1, "
    "int window_size_right=-1, float softcap=0.0, bool deterministic=False, int sm_margin=0) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)

def fwd(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, softmax_scale, is_causal,
        num_splits, **rest):
    assert all(value in (None, -1, 0) for value in rest.values()), rest
    print("fwd", sizes(q, k, v), max_seqlen_q, max_seqlen_k, softmax_scale, is_causal, num_splits)
    return q.new_empty((*q.shape[:2], v.shape[-1])), q.new_empty(
        (q.shape[1], q.shape[0]), dtype=FP32), q.new_empty(0), q.new_empty(0)

def bwd(dout, q, k, v, out, softmax_lse, dq, dk, dv, deterministic=False, **rest):
    print("bwd", sizes(dout, q, k, v, out, softmax_lse, dq, dk, dv), deterministic)
    return tuple(q.new_empty(0) for _ in range(5))

def by_name(schema, kernel):
    names = [argument.name for argument in schema.arguments]
    return lambda *args, **kw: kernel(**{**dict(zip(names, args)), **kw})

for name, kernel in (("fwd", fwd), ("bwd", bwd)):
    schema = getattr(torch.ops.flash_attn_3, name).default._schema
    library._register_fake(name, by_name(schema, kernel))
sys.modules["flash_attn_3"] = types.ModuleType("flash_attn_3")
sys.modules["flash_attn_3._C"] = types.ModuleType("flash_attn_3._C")
attention_found._version = lambda package: "3.0.0"

def run():
    with FakeTensorMode():
        for qk, dim in [(192, 128), (72, 72), (32, 32)]:
            q, k, v, packing = rows(BF16, qk, dim)
            print(describe_backend(CUDA, BF16, qk, dim))
            out, lse = attention_kernels.forward(q, k, v, packing)
            assert tuple(lse.shape) == attention_kernels.lse_size(q, dim, 5, 40)
            grads = attention_kernels.backward(out, q, k, v, out, lse, packing)
            assert sizes(*grads) == sizes(q, k, v)
            traced = packed_attention(q, k, v, packing.cu_q, 40, causal=True, scale=0.1)
            assert traced.shape == out.shape == (100, 4, dim)

run()
torch.use_deterministic_algorithms(True)
run()
"""


def test_flash_attn_3_by_its_schema() -> None:
    said = run_pretended(FA3)
    assert said[:3] == [
        "cuda: fa3, flash-attn-3",
        "fwd [(100, 4, 192), (100, 4, 192), (100, 4, 128)] 40 40 0.1 True 1",
        "bwd [(100, 4, 128), (100, 4, 192), (100, 4, 192), (100, 4, 128), (100, 4, 128), (4, 100), "
        "(100, 4, 192), (100, 4, 192), (100, 4, 128)] False",
    ]
    assert said[6].endswith("queries and keys padded 32 -> 64; values padded 32 -> 64")
    assert said[9] == "cuda: fa3, flash-attn-3 (deterministic)"
    assert [line.split()[-1] for line in said if line.startswith("bwd")] == ["False"] * 3 + [
        "True"
    ] * 3


FA4_AND_FLEX = """
def _flash_attn_fwd(q, k, v, qv=None, cu_seqlens_q=None, cu_seqlens_k=None, seqused_q=None,
        seqused_k=None, max_seqlen_q=None, max_seqlen_k=None, softmax_scale=None, causal=False,
        return_lse=False):
    print("fwd", sizes(q, k, v), sizes(cu_seqlens_q, cu_seqlens_k), max_seqlen_q, max_seqlen_k,
          softmax_scale, causal, return_lse)
    lse = q.new_empty((q.shape[1], q.shape[0]), dtype=FP32)
    return q.new_empty((*q.shape[:2], v.shape[-1])), lse, None, None

def _flash_attn_bwd(q, k, v, out, dout, lse, softmax_scale=None, causal=False, softcap=0.0,
        cu_seqlens_q=None, cu_seqlens_k=None, max_seqlen_q=None, max_seqlen_k=None,
        deterministic=False):
    print("bwd", sizes(q, k, v, out, dout, lse), softmax_scale, causal, deterministic)
    return tuple(map(torch.empty_like, (q, k, v)))

cute = types.ModuleType("flash_attn.cute")
cute.interface = types.ModuleType("flash_attn.cute.interface")
cute.interface._flash_attn_fwd, cute.interface._flash_attn_bwd = _flash_attn_fwd, _flash_attn_bwd
sys.modules["flash_attn"] = types.ModuleType("flash_attn")
sys.modules["flash_attn.cute"] = cute
sys.modules["flash_attn.cute.interface"] = cute.interface
attention_found._version = lambda package: "4.0.0" if package == "flash-attn-4" else None

torch.use_deterministic_algorithms(True)
with FakeTensorMode():
    for qk, dim in [(192, 128), (20, 12)]:
        q, k, v, packing = rows(BF16, qk, dim)
        print(describe_backend(CUDA, BF16, qk, dim))
        out, lse = attention_kernels.forward(q, k, v, packing)
        assert tuple(lse.shape) == attention_kernels.lse_size(q, dim, 5, 40)
        assert sizes(*attention_kernels.backward(out, q, k, v, out, lse, packing)) == sizes(q, k, v)
        traced = packed_attention(q, k, v, packing.cu_q, 40, causal=True, scale=0.1)
        assert traced.shape == out.shape == (100, 4, dim)

torch.use_deterministic_algorithms(False)
print("asked for")
import curriculum.models.attention_flex as flex
sys.modules["triton"] = types.ModuleType("triton")
attention_found._version = lambda package: "3.6"
flex._compiled = lambda: lambda q, k, v, *, block_mask, scale: (
    print(sizes(q, k, v), block_mask, scale), q.new_empty((*q.shape[:-1], v.shape[-1])))[1]
flex.block_mask = lambda packing, rows, columns: (packing.max_q, rows, columns)
with FakeTensorMode(), asking("flex"):
    q, k, v, packing = rows(BF16, 192, 128)
    print(describe_backend(CUDA, BF16, 192, 128))
    out = packed_attention(q, k, v, packing.cu_q, 40, causal=True, scale=0.1)
    print(tuple(out.shape))
"""


def test_flash_attn_4_by_its_signature_and_flex_where_it_is_asked_for() -> None:
    said = run_pretended(FA4_AND_FLEX)
    flex = said.index("asked for")
    assert said[:flex] == [
        "cuda: fa4, flash-attn-4 (fa3: not here; deterministic)",
        "fwd [(100, 4, 192), (100, 4, 192), (100, 4, 128)] [(6,), (6,)] 40 40 0.1 True True",
        "bwd [(100, 4, 192), (100, 4, 192), (100, 4, 128), (100, 4, 128), (100, 4, 128), (4, 100)] "
        "0.1 True True",
        "cuda: fa4, flash-attn-4 (fa3: not here; deterministic); queries and keys padded 20 -> 24; "
        "values padded 12 -> 16",
        "fwd [(100, 4, 24), (100, 4, 24), (100, 4, 16)] [(6,), (6,)] 40 40 0.1 True True",
        "bwd [(100, 4, 24), (100, 4, 24), (100, 4, 16), (100, 4, 16), (100, 4, 16), (4, 100)] "
        "0.1 True True",
    ]
    assert said[flex + 1 :] == [
        "cuda: flex, torch's FlexAttention (asked for by CURRICULUM_ATTENTION)",
        "[(1, 4, 100, 192), (1, 4, 100, 192), (1, 4, 100, 128)] (40, 100, 100) 0.1",
        "(100, 4, 128)",
    ]
