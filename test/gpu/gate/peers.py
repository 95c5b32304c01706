# SPDX-License-Identifier: Apache-2.0
"""Times what PyTorch offers for the same work, on the GPU: cuBLAS, scaled_dot_product_attention, matmul and topk. One JSON object a line."""
import json
import statistics
import sys

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit("expected PyTorch, found none")
if not torch.cuda.is_available():
    sys.exit("expected PyTorch with a GPU, found none")


def seconds(work, rounds=20):
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


def report(peer, shape, work, rounds=20):
    print(json.dumps({"peer": peer, "shape": shape, "seconds": seconds(work, rounds)}), flush=True)


def random(*shape):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


def main():
    a, b = random(4096, 4096), random(4096, 4096)
    report("cuBLAS, bf16", "4096 x 4096 x 4096", lambda: a @ b)
    for chunks, name in ((156250, "10M tokens"), (1562500, "100M tokens")):
        keys = random(chunks, 1024)
        for tokens in (1, 64):
            query = random(tokens, 1024)
            report("matmul, maximum over tokens, topk 16", f"{name}, M = {tokens}", lambda: torch.topk((keys @ query.T).amax(1), 16))
        del keys
    for queries, keys, causal in ((4096, 4096, True), (1024, 1 << 20, False)):
        q, k, v = random(1, 8, queries, 128), random(1, 2, keys, 128), random(1, 2, keys, 128)
        report("SDPA, bf16, 8 heads on 2", f"{queries} queries, {keys} keys{', causal' if causal else ''}",
               lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True), 5 if keys > 100000 else 20)


if __name__ == "__main__":
    main()
