# SPDX-License-Identifier: Apache-2.0
"""Times what PyTorch offers for the same work, on the GPU: cuBLAS, scaled_dot_product_attention, matmul and topk. One JSON object a line.

A line's "key" is that of our row (table.py, key_of). What cannot be measured is said in a line of its own: {"peer": ..., "key": ..., "skipped": why}.
"""
import json
import statistics
import sys

SMOKE = "--smoke" in sys.argv[1:]


def peers():
    """(name, key, shape, what makes the work): the work is made when its turn comes, for its arrays are large."""
    size = 128 if SMOKE else 4096
    yield "cuBLAS, bf16", f"gemm {size}", f"{size} x {size} x {size}", lambda t: product(t, size, size, size)
    yield "cuBLAS, bf16", f"gemm 16 {size}", f"16 x {size} x {size}", lambda t: product(t, 16, size, size)
    for chunks, name in ((1000, "64,000 tokens"),) if SMOKE else ((156250, "10M tokens"), (1562500, "100M tokens")):
        for tokens in (1, 64):
            yield ("matmul, maximum over tokens, topk 16", f"route {chunks} {tokens}", f"{name}, M = {tokens}", lambda t, c=chunks, m=tokens: route(t, c, m))
    long = 4096 if SMOKE else 1 << 20
    for queries, keys in ((256, 256), (64, long)) if SMOKE else ((4096, 4096), (1024, long)):
        causal = queries == keys
        yield ("SDPA, bf16, 32 heads on 8", f"attend {queries} {keys}", f"{queries} queries, {keys} keys{', causal' if causal else ''}",
               lambda t, q=queries, k=keys, c=causal: attention(t, q, k, c))


def random(torch, *shape):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


def product(torch, m, n, k):
    a, b = random(torch, m, k), random(torch, k, n)
    return lambda: a @ b


def route(torch, chunks, tokens):
    keys, query = random(torch, chunks, 1024), random(torch, tokens, 1024)
    return lambda: torch.topk((keys @ query.T).amax(1), 16)


def attention(torch, queries, keys, causal):
    q, k, v = random(torch, 1, 32, queries, 128), random(torch, 1, 8, keys, 128), random(torch, 1, 8, keys, 128)
    return lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)


def seconds(torch, work, rounds):
    times = []
    for i in range(rounds + 2):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        if i >= 2:
            times.append(begin.elapsed_time(end) * 1e-3)
    return statistics.median(times)


def missing():
    """(torch, None), or why there is nothing to compare with."""
    try:
        import torch
    except ImportError:
        return None, "this Python has no PyTorch"
    if not torch.cuda.is_available():
        return None, f"PyTorch {torch.__version__} finds no CUDA device"
    return torch, None


def main():
    torch, why = missing()
    for peer, key, shape, make in peers():
        line = {"peer": peer, "key": key, "shape": shape}
        if why:
            line["skipped"] = why
        else:
            try:
                line["seconds"] = seconds(torch, make(torch), 1 if SMOKE else 5 if "1048576" in key else 20)
            except RuntimeError as e:  # out of memory, no kernel for this device
                line["skipped"] = str(e).split("\n")[0]
            torch.cuda.empty_cache()
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
