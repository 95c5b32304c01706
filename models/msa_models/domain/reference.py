# SPDX-License-Identifier: Apache-2.0
"""What every operator of `ai.msa` computes, in PyTorch.

Written to be read, and used as the oracle of all other forms: half and single precision compute in float32, float64
computes in float64. A result has the type of the first input unless the signature fixes it.
"""
import torch


def _wide(x):
    return x if x.dtype == torch.float64 else x.float()


def _unit(x, epsilon):
    return x / x.norm(dim=-1, keepdim=True).clamp_min(epsilon)


def _chunks(doc, pos, chunk_length):
    """(chunk of every token, document of every chunk); a chunk starts where pos is a multiple of its length."""
    start = pos % chunk_length == 0
    return start.long().cumsum(0) - 1, doc[start]


def _largest(index, x, count):
    """The elementwise maximum of the rows of x that share an index, for indices 0 to count - 1."""
    out = x.new_full((count,) + x.shape[1:], float("-inf"))
    return out.scatter_reduce_(0, index.reshape(-1, *[1] * (x.dim() - 1)).expand_as(x), x, "amax")


def compress(x, doc, pos, chunk_length=64, reduce="mean", normalize=0, epsilon=1e-12):
    """Pools each chunk's tokens: over its real length where the last one of a document is shorter."""
    index, chunk_doc = _chunks(doc, pos, chunk_length)
    shape = (len(chunk_doc),) + x.shape[1:]
    wide = _wide(x)
    if reduce == "max":
        z = _largest(index, wide, len(chunk_doc))
    else:
        count = torch.bincount(index, minlength=len(chunk_doc)).to(wide.dtype)
        z = wide.new_zeros(shape).index_add_(0, index, wide) / count.reshape(-1, *[1] * (x.dim() - 1))
    if normalize:
        z = _unit(z, epsilon)
    return z.to(x.dtype), chunk_doc


def compress_latent(q, k, v, doc, pos, chunk_length=64, scale=1.0):
    """Cross-attention of learned queries to each chunk's tokens."""
    index, chunk_doc = _chunks(doc, pos, chunk_length)
    z = _wide(v).new_zeros((len(chunk_doc), q.shape[0]) + v.shape[1:])
    for c in range(len(chunk_doc)):
        inside = index == c
        s = torch.einsum("mhd,thd->hmt", _wide(q), _wide(k)[inside]) * scale
        z[c] = torch.einsum("hmt,the->mhe", s.softmax(-1), _wide(v)[inside])
    return z.to(q.dtype), chunk_doc


def document_scores(q, keys, chunk_doc, query_mask, head_reduce="mean", query_reduce="max", chunk_reduce="max",
                    normalize=1, scale=1.0, epsilon=1e-12):
    """(document numbers ascending, the score of each): all of routing but the choice."""
    wide = _wide(q)
    if normalize:
        wide = _unit(wide, epsilon)
    m, h, d = wide.shape
    g = keys.shape[1]
    s = torch.einsum("mgrd,cgd->mgrc", wide.reshape(m, g, h // g, d), keys.to(wide.dtype)).flatten(1, 2) * scale
    a = s.amax(1) if head_reduce == "max" else s.mean(1)
    a = a[query_mask]
    b = {"max": lambda: a.amax(0), "mean": lambda: a.mean(0), "last": lambda: a[-1]}[query_reduce]()
    numbers, index = torch.unique_consecutive(chunk_doc, return_inverse=True)
    if chunk_reduce == "max":
        return numbers, _largest(index, b, len(numbers))
    total = b.new_zeros(len(numbers)).index_add_(0, index, b)
    return numbers, total / torch.bincount(index, minlength=len(numbers)).to(b.dtype)


def route(q, keys, chunk_doc, query_mask, k=16, head_reduce="mean", query_reduce="max", chunk_reduce="max",
          normalize=1, scale=1.0, epsilon=1e-12):
    """The k best documents (of equal ones the lower number), their scores and the rows of their chunks."""
    numbers, scores = document_scores(q, keys, chunk_doc, query_mask, head_reduce, query_reduce, chunk_reduce,
                                      normalize, scale, epsilon)
    best = torch.sort(scores, descending=True, stable=True).indices[:k].sort().values
    docs = numbers[best]
    chunks = torch.isin(chunk_doc, docs).nonzero().flatten()
    wide = scores if q.dtype == torch.float64 else scores.float()
    return docs, wide[best], chunks


def _attend(q, k, v, see, scale):
    m, h, d = q.shape
    g = k.shape[1]
    s = torch.einsum("mgrd,ngd->grmn", _wide(q).reshape(m, g, h // g, d), _wide(k)) * scale
    w = s.masked_fill(~see, float("-inf")).softmax(-1)
    return torch.einsum("grmn,nge->mgre", w, _wide(v)).reshape(m, h, v.shape[2]).to(q.dtype)


def attention(q, k, v, past_k, past_v, scale=1.0, causal=1):
    """Attention over [past ; k]; causal aligns the last query with the last key. The joined keys and values too."""
    ctx_k, ctx_v = torch.cat([past_k, k]), torch.cat([past_v, v])
    m, n = len(q), len(ctx_k)
    see = torch.ones(m, n, dtype=torch.bool, device=q.device)
    if causal:
        see = see.tril(n - m)
    return _attend(q, ctx_k, ctx_v, see, scale), ctx_k, ctx_v


def document_attention(q, k, v, doc, scale=1.0, causal=1):
    """Attention of every token to tokens of its own document alone."""
    see = doc[:, None] == doc[None, :]
    if causal:
        see = see.tril()
    return _attend(q, k, v, see, scale)


def read(q, k, v, mem_k, mem_v, chunks, prefix_k, prefix_v, scale=1.0):
    """Attention over [prefix ; chosen rows of the bank ; k], causal in the last part alone."""
    past_k = torch.cat([prefix_k, mem_k[chunks].to(prefix_k.dtype)])
    past_v = torch.cat([prefix_v, mem_v[chunks].to(prefix_v.dtype)])
    return attention(q, k, v, past_k, past_v, scale, 1)


def write(bank, bank_doc, rows, rows_doc):
    """Appends rows to a bank."""
    return torch.cat([bank, rows.to(bank.dtype)]), torch.cat([bank_doc, rows_doc])


def erase(bank, bank_doc, docs):
    """Removes every row of the given documents."""
    keep = ~torch.isin(bank_doc, docs)
    return bank[keep], bank_doc[keep]


def update(memory, x, scores, gate):
    """Moves each slot towards a mix of the new rows, as far as its gate is open."""
    g = _wide(gate).sigmoid()[:, None]
    old = _wide(memory)
    return (old + g * (_wide(scores).softmax(-1) @ _wide(x) - old)).to(memory.dtype)


def replace(memory, usage, x):
    """Overwrites the least used slots (of equally used ones the lower), which it also returns."""
    slots = torch.sort(usage, stable=True).indices[:len(x)]
    out = memory.clone()
    out[slots] = x.to(memory.dtype)
    return out, slots
