# SPDX-License-Identifier: Apache-2.0
"""The operators of `ai.msa` as ONNX functions in standard operators, for any opset from 18 on.

A body is built for one choice of the operator's string attributes: no body compares strings, which few runtimes can.
Numbers stay attribute references. Rules that the bodies keep, each for a runtime that would go wrong otherwise:
  - no Reshape with -1 and every one with allowzero, because any dimension may be 0;
  - shapes come from Shape alone, and no input is optional;
  - floating sums run in float32 and scattered additions never meet in one place unless their order cannot matter;
  - node names are unique.
"""
import onnx
from onnx import TensorProto, helper

from .signatures import DOMAIN, OPERATORS, VERSION

MIN_OPSET = 18
_LOWEST = -(2**63) + 1


class _Body:
    """Collects nodes: `b.Add(x, y)` appends an Add and returns the name of its result."""

    def __init__(self):
        self.nodes = []
        self.constants = {}

    def __getattr__(self, op_type):
        if not op_type[0].isupper():
            raise AttributeError(op_type)

        def emit(*inputs, results=1, domain="", **attributes):
            names = [f"v{len(self.nodes)}" if results == 1 else f"v{len(self.nodes)}_{i}" for i in range(results)]
            node = helper.make_node(op_type, list(inputs), names, name=f"n{len(self.nodes)}", domain=domain)
            node.attribute.extend(a if isinstance(a, onnx.AttributeProto) else helper.make_attribute(n, a)
                                  for n, a in attributes.items())
            self.nodes.append(node)
            return names[0] if results == 1 else names

        return emit

    def constant(self, kind, value):
        key = (kind, str(value))
        if key not in self.constants:
            self.constants[key] = self.Constant(**{kind: value})
        return self.constants[key]

    def int(self, value):
        return self.constant("value_int", value)

    def ints(self, *values):
        return self.constant("value_ints", list(values))

    def float(self, value):
        return self.constant("value_float", float(value))

    def reference(self, name, kind, target):
        """An AttributeProto `target` that takes the value of the function's own attribute `name`."""
        return onnx.AttributeProto(name=target, ref_attr_name=name, type=kind)

    def int_attribute(self, name):
        key = ("ref", name)
        if key not in self.constants:
            self.constants[key] = self.Constant(
                value_int=self.reference(name, onnx.AttributeProto.INT, "value_int"))
        return self.constants[key]

    def float_attribute(self, name):
        key = ("ref", name)
        if key not in self.constants:
            self.constants[key] = self.Constant(
                value_float=self.reference(name, onnx.AttributeProto.FLOAT, "value_float"))
        return self.constants[key]

    # Small phrases that several bodies use.

    def wide(self, x):
        return self.Cast(x, to=TensorProto.FLOAT)

    def dim(self, x, axis):
        return self.Shape(x, start=axis, end=axis + 1)

    def scalar(self, one_element):
        return self.Squeeze(one_element, self.ints(0))

    def join(self, *parts):
        return self.Concat(*parts, axis=0)

    def reshape(self, x, *dims):
        return self.Reshape(x, dims[0] if len(dims) == 1 else self.join(*dims), allowzero=1)

    def filled(self, value, shape):
        return self.Expand(self.float(value), shape)

    def is_set(self, attribute):
        return self.Equal(self.int_attribute(attribute), self.int(1))

    def unit(self, x):
        """x, or x over its norm (at least epsilon) where the attribute `normalize` is 1."""
        norm = self.Max(self.ReduceL2(x, self.ints(-1), keepdims=1), self.float_attribute("epsilon"))
        return self.Div(x, self.Where(self.is_set("normalize"), norm, self.float(1)))

    def running_index(self, starts):
        """bool [n] -> i64 [n]: how many starts lie at or before each place, less one."""
        return self.Sub(self.CumSum(self.Cast(starts, to=TensorProto.INT64), self.int(0)), self.int(1))


def _grid(b, doc, pos):
    """The layout of a chunk grid [C, chunk_length]: (C, chunk_length as dims, rows of the tokens [T,1], chunk_doc)."""
    length = b.int_attribute("chunk_length")
    lane = b.Mod(pos, length)
    start = b.Equal(lane, b.int(0))
    chunk_doc = b.Compress(doc, start, axis=0)
    row = b.Add(b.Mul(b.running_index(start), length), lane)
    return b.Shape(chunk_doc), b.Reshape(length, b.ints(1)), b.Unsqueeze(row, b.ints(1)), chunk_doc


def _scattered(b, x, background, chunks, length, row, tail):
    """x [T,tail...] laid out as [C, chunk_length, tail...]; each token owns its row, so nothing is added up."""
    flat = b.join(b.Mul(chunks, length), tail) if tail else b.Mul(chunks, length)
    full = b.join(chunks, length, tail) if tail else b.join(chunks, length)
    return b.reshape(b.ScatterND(b.filled(background, flat), row, x), full)


def _compress(b, x, doc, pos, reduce):
    chunks, length, row, chunk_doc = _grid(b, doc, pos)
    tail = b.Shape(x, start=1)
    if reduce == "max":
        z = b.ReduceMax(_scattered(b, b.wide(x), "-inf", chunks, length, row, tail), b.ints(1), keepdims=0)
    else:
        total = b.ReduceSum(_scattered(b, b.wide(x), 0, chunks, length, row, tail), b.ints(1), keepdims=0)
        ones = b.filled(1, b.Shape(doc))
        count = b.ReduceSum(_scattered(b, ones, 0, chunks, length, row, None), b.ints(1), keepdims=0)
        z = b.Div(total, b.Unsqueeze(count, b.ints(1, 2)))
    return b.CastLike(b.unit(z), x), chunk_doc


def _compress_latent(b, q, k, v, doc, pos):
    chunks, length, row, chunk_doc = _grid(b, doc, pos)
    keys = _scattered(b, b.wide(k), 0, chunks, length, row, b.Shape(k, start=1))
    values = _scattered(b, b.wide(v), 0, chunks, length, row, b.Shape(v, start=1))
    absent = _scattered(b, b.filled(0, b.Shape(doc)), "-inf", chunks, length, row, None)
    queries = b.Transpose(b.wide(q), perm=[1, 0, 2])
    s = b.Mul(b.MatMul(queries, b.Transpose(keys, perm=[0, 2, 3, 1])), b.float_attribute("scale"))
    w = b.Softmax(b.Add(s, b.Unsqueeze(absent, b.ints(1, 2))), axis=-1)
    z = b.MatMul(w, b.Transpose(values, perm=[0, 2, 1, 3]))
    return b.CastLike(b.Transpose(z, perm=[0, 2, 1, 3]), q), chunk_doc


def _query_major(b, q, groups):
    """q [M,H,D] -> [G, M*H/G, D] and its dims M, H/G: the heads that share a key lie in one matrix."""
    m, h, d = b.dim(q, 0), b.dim(q, 1), b.dim(q, 2)
    r = b.Div(h, groups)
    x = b.Transpose(b.reshape(q, m, groups, r, d), perm=[1, 0, 2, 3])
    return b.reshape(x, groups, b.Mul(m, r), d), m, r


def _route(b, q, keys, chunk_doc, query_mask, head_reduce, query_reduce, chunk_reduce):
    groups, c = b.dim(keys, 1), b.dim(keys, 0)
    x, m, r = _query_major(b, b.unit(b.wide(q)), groups)
    s = b.MatMul(x, b.Transpose(b.wide(keys), perm=[1, 2, 0]))
    s = b.Mul(b.reshape(s, groups, m, r, c), b.float_attribute("scale"))
    over_heads = b.ReduceMax if head_reduce == "max" else b.ReduceMean
    token = over_heads(s, b.ints(0, 2), keepdims=0)  # [M,C]
    asks = b.Unsqueeze(query_mask, b.ints(1))
    if query_reduce == "max":
        chunk = b.ReduceMax(b.Where(asks, token, b.float("-inf")), b.ints(0), keepdims=0)
    elif query_reduce == "mean":
        total = b.ReduceSum(b.Where(asks, token, b.float(0)), b.ints(0), keepdims=0)
        chunk = b.Div(total, b.ReduceSum(b.wide(query_mask), b.ints(0), keepdims=0))
    else:
        place = b.Mul(b.Range(b.int(0), b.scalar(m), b.int(1)), b.Cast(query_mask, to=TensorProto.INT64))
        chunk = b.Gather(token, b.ReduceMax(place, b.ints(0), keepdims=0), axis=0)
    # A document starts where the number differs from the chunk before; the sentinel serves an empty bank too.
    before = b.Slice(b.join(b.ints(_LOWEST), chunk_doc), b.ints(0), c, b.ints(0))
    first = b.Not(b.Equal(chunk_doc, before))
    index = b.running_index(first)
    number = b.Compress(chunk_doc, first, axis=0)
    n = b.Shape(number)
    if chunk_reduce == "max":
        score = b.ScatterElements(b.filled("-inf", n), index, chunk, axis=0, reduction="max")
    else:
        zeros = b.filled(0, n)
        count = b.ScatterElements(zeros, index, b.filled(1, c), axis=0, reduction="add")
        score = b.Div(b.ScatterElements(zeros, index, chunk, axis=0, reduction="add"), count)
    take = b.Min(b.Reshape(b.int_attribute("k"), b.ints(1)), n)
    best, which = b.TopK(score, take, axis=0, largest=1, sorted=1, results=2)  # equal scores: the lower index
    ascending, order = b.TopK(which, take, axis=0, largest=0, sorted=1, results=2)
    marks = b.ScatterElements(b.Expand(b.int(0), n), which, b.Expand(b.int(1), take), axis=0)
    chunks = b.Squeeze(b.NonZero(b.Gather(marks, index, axis=0)), b.ints(0))
    return b.Gather(number, ascending, axis=0), b.Gather(best, order, axis=0), chunks


def _attend(b, q, k, v, see):
    """Softmax attention of q [M,H,D] over k [N,G,D], v [N,G,E]; `see` bool [M,N] or broadcast to it."""
    groups, n, e = b.dim(k, 1), b.dim(k, 0), b.dim(v, 2)
    x, m, r = _query_major(b, b.wide(q), groups)
    s = b.Mul(b.MatMul(x, b.Transpose(b.wide(k), perm=[1, 2, 0])), b.float_attribute("scale"))
    s = b.reshape(s, groups, m, r, n)
    s = b.Where(b.Unsqueeze(see, b.ints(1)), s, b.float("-inf"))
    w = b.reshape(b.Softmax(s, axis=-1), groups, b.Mul(m, r), n)
    y = b.MatMul(w, b.Transpose(b.wide(v), perm=[1, 0, 2]))
    y = b.Transpose(b.reshape(y, groups, m, r, e), perm=[1, 0, 2, 3])
    return b.CastLike(b.reshape(y, m, b.dim(q, 1), e), q)


def _up_to(b, q, k):
    """bool [M,N]: key j is not after query i, the last query beside the last key; all true where causal is 0."""
    m, n = b.dim(q, 0), b.dim(k, 0)
    row = b.Add(b.Range(b.int(0), b.scalar(m), b.int(1)), b.Sub(n, m))
    column = b.Range(b.int(0), b.scalar(n), b.int(1))
    see = b.LessOrEqual(b.Unsqueeze(column, b.ints(0)), b.Unsqueeze(row, b.ints(1)))
    return b.Or(see, b.Not(b.is_set("causal")))


def _attention(b, q, k, v, past_k, past_v):
    ctx_k, ctx_v = b.join(past_k, k), b.join(past_v, v)
    return _attend(b, q, ctx_k, ctx_v, _up_to(b, q, ctx_k)), ctx_k, ctx_v


def _document_attention(b, q, k, v, doc):
    same = b.Equal(b.Unsqueeze(doc, b.ints(0)), b.Unsqueeze(doc, b.ints(1)))
    return (_attend(b, q, k, v, b.And(same, _up_to(b, q, k))),)


def _read(b, q, k, v, mem_k, mem_v, chunks, prefix_k, prefix_v):
    past_k = b.join(prefix_k, b.CastLike(b.Gather(mem_k, chunks, axis=0), prefix_k))
    past_v = b.join(prefix_v, b.CastLike(b.Gather(mem_v, chunks, axis=0), prefix_v))
    return b.Attention(q, k, v, past_k, past_v, results=3, domain=DOMAIN, causal=1,
                       scale=b.reference("scale", onnx.AttributeProto.FLOAT, "scale"))


def _write(b, bank, bank_doc, rows, rows_doc):
    return b.join(bank, b.CastLike(rows, bank)), b.join(bank_doc, rows_doc)


def _erase(b, bank, bank_doc, docs):
    hit = b.Equal(b.Unsqueeze(bank_doc, b.ints(1)), b.Unsqueeze(docs, b.ints(0)))
    hits = b.ReduceSum(b.Cast(hit, to=TensorProto.INT64), b.ints(1), keepdims=0)
    keep = b.Equal(hits, b.int(0))
    return b.Compress(bank, keep, axis=0), b.Compress(bank_doc, keep, axis=0)


def _update(b, memory, x, scores, gate):
    g = b.Unsqueeze(b.Sigmoid(b.wide(gate)), b.ints(1))
    candidate = b.MatMul(b.Softmax(b.wide(scores), axis=-1), b.wide(x))
    old = b.wide(memory)
    return (b.CastLike(b.Add(old, b.Mul(g, b.Sub(candidate, old))), memory),)


def _replace(b, memory, usage, x):
    _, slots = b.TopK(usage, b.dim(x, 0), axis=0, largest=0, sorted=1, results=2)
    return b.ScatterND(memory, b.Unsqueeze(slots, b.ints(1)), b.CastLike(x, memory)), slots


_BUILDERS = {
    "Compress": _compress, "CompressLatent": _compress_latent, "Route": _route, "Read": _read,
    "Attention": _attention, "DocumentAttention": _document_attention, "Write": _write, "Erase": _erase,
    "Update": _update, "Replace": _replace,
}


def body(name, opset, choices=None, overload=""):
    """The FunctionProto of an operator at a model's `opset`, for the given values of its string attributes (those
    that are left out take their defaults)."""
    operator = OPERATORS[name]
    if opset < MIN_OPSET:
        raise ValueError(f"expected an opset of at least {MIN_OPSET} for the body of {DOMAIN}.{name}, found {opset}")
    strings = {a: operator.attributes[a] for a in operator.choices} | (choices or {})
    for attribute, value in strings.items():
        if value not in operator.choices[attribute]:
            raise ValueError(f"expected one of {operator.choices[attribute]} for {DOMAIN}.{name} attribute "
                             f"'{attribute}', found '{value}'")
    b = _Body()
    results = _BUILDERS[name](b, *operator.inputs, **strings)
    names = dict(zip(results, operator.outputs))
    for node in b.nodes:
        for names_of_node in (node.input, node.output):
            for i, value in enumerate(names_of_node):
                names_of_node[i] = names.get(value, value)
    imports = [helper.make_opsetid("", opset)]
    if any(n.domain == DOMAIN for n in b.nodes):
        imports.append(helper.make_opsetid(DOMAIN, VERSION))
    return helper.make_function(DOMAIN, name, list(operator.inputs), list(operator.outputs), b.nodes, imports,
                                attribute_protos=[helper.make_attribute(a, d) for a, d in operator.attributes.items()],
                                overload=overload)
