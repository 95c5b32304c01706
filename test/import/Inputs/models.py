# SPDX-License-Identifier: Apache-2.0
"""Writes the .onnx files of the import tests: models.py CASE FOLDER."""

import os
import struct
import sys

import onnx
from onnx import AttributeProto, TensorProto, helper

OPSET = [helper.make_opsetid("", 20)]
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def value(name, shape=("T",), elem=FLOAT):
    return helper.make_tensor_value_info(name, elem, shape)


def model(nodes, inputs, outputs, initializers=(), opsets=OPSET, **kwargs):
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers, value_info=kwargs.pop("value_info", ()))
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, **kwargs)


def write(folder, name, proto):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(proto.SerializeToString())


def graph(folder):
    nodes = [
        helper.make_node("Add", ["x", "w"], ["a"], name="first/Add"),
        helper.make_node("Clip", ["a", "", "top"], ["c"]),
        helper.make_node("TopK", ["c", "k"], ["", "i"], name="top"),
        helper.make_node("FastGelu", ["c"], ["y"], name="gelu", domain="com.microsoft"),
    ]
    scopes = nodes[1].metadata_props.add()
    scopes.key, scopes.value = "pkg.torch.onnx.name_scopes", "['', 'layers.0', 'layers.0.act', 'clip']"
    made = model(
        nodes,
        [value("x", ("T", 4, None)), value("w", (4,)), value("unused", None), value("text", (2,), TensorProto.STRING)],
        [value("y", ("T", 4, "past + T")), value("i", None, INT64), value("x", ("T", 4, None))],
        [
            helper.make_tensor("w", FLOAT, [4], [1.0, 2.0, 3.0, 4.0]),
            helper.make_tensor("top", FLOAT, [], [6.0]),
            helper.make_tensor("k", INT64, [1], [1]),
        ],
        [helper.make_opsetid("ai.onnx", 20), helper.make_opsetid("com.microsoft", 1)],
        producer_name="maker",
        producer_version="1.2",
        value_info=[value("c", ("T", 4))],
    )
    helper.set_model_props(made, {"author": "someone"})
    write(folder, "my graph.onnx", made)


def escapes(folder):
    """Escapes for a terminal in names that nothing is wrong with, but for the operator, which nobody knows."""
    node = helper.make_node("Nope\x1b[2J", ["x"], ["y"], name="\x1b[31mred\n", domain="com.nowhere")
    made = model([node], [value("x")], [value("y")], opsets=OPSET + [helper.make_opsetid("com.nowhere", 1)])
    write(folder, "escapes.onnx", made)


def attributes(folder):
    tensor = helper.make_tensor("t", TensorProto.INT32, [2], [7, 8])
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("v", FLOAT, [2], [1.5, 2.5]), helper.make_tensor("i", INT64, [2], [1, 5]), [2, 3]
    )
    type_proto = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, ["N"]))
    node = helper.make_node(
        "Everything", ["x"], ["y"], domain="test", a_float=0.5, b_int=-(2**63), c_string="text\x1b", d_floats=[1.0, 2.0],
        e_ints=[3, 4], f_strings=["p", "q"], g_tensor=tensor, h_tensors=[tensor, tensor], i_sparse=sparse, j_type=type_proto,
    )
    node.attribute.append(helper.make_attribute("k_types", [type_proto, type_proto]))
    node.attribute.append(helper.make_attribute("l_none", [], attr_type=AttributeProto.INTS))
    inner = [
        helper.make_graph([helper.make_node("Neg", ["x"], [f"n{i}"], name=f"inner{i}")], f"g{i}", [], [value(f"n{i}")])
        for i in range(3)
    ]
    node.attribute.append(helper.make_attribute("m_graph", inner[0]))
    node.attribute.append(helper.make_attribute("n_graphs", inner[1:]))
    opsets = OPSET + [helper.make_opsetid("test", 3)]
    write(folder, "attributes.onnx", model([node], [value("x")], [value("y")], opsets=opsets))


def nested(folder):
    body = helper.make_graph(
        [
            helper.make_node("Add", ["state", "step"], ["next"], name="accumulate"),
            helper.make_node("Identity", ["go"], ["go_on"]),
            # Hides the value of this name around the loop.
            helper.make_node("Mul", ["next", "next"], ["x"]),
        ],
        "body",
        [value("i", (), INT64), value("go", (), TensorProto.BOOL), value("state")],
        [value("go_on", (), TensorProto.BOOL), value("next"), value("x")],
        [helper.make_tensor("step", FLOAT, [], [2.0])],
    )
    nodes = [
        helper.make_node("Loop", ["n", "", "x"], ["last", "all"], name="loop", body=body),
        helper.make_node(
            "If", ["c"], ["y"], name="choose",
            then_branch=helper.make_graph([helper.make_node("Neg", ["last"], ["t"])], "then", [], [value("t")]),
            else_branch=helper.make_graph([helper.make_node("Add", ["last", "x"], ["e"])], "else", [], [value("e")]),
        ),
    ]
    inputs = [value("x"), value("n", (), INT64), value("c", (), TensorProto.BOOL)]
    write(folder, "nested.onnx", model(nodes, inputs, [value("y"), value("all", None)]))


def element_types(folder):
    """A tensor of every element type, as raw and as typed data, small (dense) and large (resource)."""
    initializers, names = [], []

    def add(name, elem, dims, **fields):
        tensor = TensorProto(name=name, data_type=elem, dims=dims)
        for field, content in fields.items():
            if field == "raw_data":
                tensor.raw_data = content
            else:
                getattr(tensor, field).extend(content)
        initializers.append(tensor)
        names.append(name)

    T = TensorProto
    add("float", T.FLOAT, [2], float_data=[1.5, -2.0])
    add("float_raw", T.FLOAT, [2], raw_data=struct.pack("<2f", 1.5, -2.0))
    add("uint8", T.UINT8, [2], int32_data=[0, 255])
    add("int8", T.INT8, [2], int32_data=[-128, 127])
    add("uint16", T.UINT16, [2], int32_data=[0, 65535])
    add("int16", T.INT16, [1], int32_data=[-32768])
    add("int32", T.INT32, [2, 1], int32_data=[-(2**31), 5])
    add("int64", T.INT64, [1], int64_data=[-(2**63)])
    add("string", T.STRING, [2], string_data=[b"a\x1b", b""])
    add("bool", T.BOOL, [3], int32_data=[1, 0, 1])
    add("bool_raw", T.BOOL, [1], raw_data=b"\1")
    add("float16", T.FLOAT16, [1], int32_data=[0x3C00])
    add("double", T.DOUBLE, [1], double_data=[0.1])
    add("uint32", T.UINT32, [1], uint64_data=[2**32 - 1])
    add("uint64", T.UINT64, [1], uint64_data=[2**64 - 1])
    add("complex64", T.COMPLEX64, [1], float_data=[1.0, 2.0])
    add("complex128", T.COMPLEX128, [1], double_data=[1.0, 2.0])
    add("bfloat16", T.BFLOAT16, [1], raw_data=b"\x80\x3f")
    for code, name in ((17, "f8e4m3fn"), (18, "f8e4m3fnuz"), (19, "f8e5m2"), (20, "f8e5m2fnuz"), (24, "f8e8m0")):
        add(name, code, [1], raw_data=b"\x40")
    add("uint4", 21, [3], raw_data=b"\x21\x0f")
    add("int4", 22, [3], int32_data=[0xF1, 0x08])
    add("float4", 23, [2], raw_data=b"\x42")
    add("uint2", 25, [5], raw_data=bytes([0b11100100, 0b01]))
    add("int2", 26, [4], raw_data=bytes([0b11100100]))
    add("empty", T.FLOAT, [0, 3])
    add("scalar", T.INT64, [], int64_data=[7])
    add("large", T.FLOAT, [300], raw_data=struct.pack("<300f", *range(300)))
    add("large_typed", T.INT64, [200], int64_data=range(200))
    add("large_bool", T.BOOL, [1100], raw_data=b"\1\0" * 550)
    add("large_int4", 22, [1100], raw_data=b"\x21" * 550)
    write(folder, "types.onnx", model([], [], [helper.make_value_info(n, onnx.TypeProto()) for n in names], initializers))


def sparse(folder):
    def tensor(name, indices_dims, indices):
        return helper.make_sparse_tensor(
            helper.make_tensor(name, FLOAT, [2], [1.5, 2.5]), helper.make_tensor("", INT64, indices_dims, indices), [2, 3]
        )

    made = model([], [], [value("linear", (2, 3)), value("pairs", (2, 3))])
    made.graph.sparse_initializer.extend([tensor("linear", [2], [1, 5]), tensor("pairs", [2, 2], [0, 1, 1, 2])])
    write(folder, "sparse.onnx", made)


def functions(folder):
    def function(name, factor, overload=""):
        multiply = helper.make_node("Mul", ["x", "c"], ["y"], name="multiply")
        constant = helper.make_node("Constant", [], ["c"])
        constant.attribute.append(
            AttributeProto(name="value_float", ref_attr_name="factor", type=AttributeProto.FLOAT)
        )
        made = helper.make_function(
            "test", name, ["x", "unused"], ["y", "c"], [constant, multiply], OPSET, ["needed"],
            [helper.make_attribute("factor", factor)],
        )
        made.overload = overload
        return made

    def caller():
        twice = helper.make_node("Scale", ["x"], ["s"], domain="test", name="inner")
        again = helper.make_node("Scale", ["s"], ["y"], domain="test")
        return helper.make_function("test", "Twice", ["x"], ["y"], [twice, again], OPSET + [helper.make_opsetid("test", 1)])

    def entry(name, scale):
        nodes = [
            helper.make_node("Twice", ["x"], ["a"], domain="test", name="call"),
            helper.make_node("Scale", ["a", "x"], ["b", ""], domain="test", overload="wide", needed=1),
            helper.make_node("Scale", ["b"], ["y"], domain="test"),
        ]
        made = model(nodes, [value("x")], [value("y")], opsets=OPSET + [helper.make_opsetid("test", 1)])
        # A caller before what it calls.
        made.functions.extend([caller(), function("Scale", scale), function("Scale", 9.0, "wide")])
        write(folder, name, made)

    entry("a.onnx", 2.0)
    entry("b.onnx", 2.0)
    entry("c.onnx", 3.0)


def external(folder):
    """Two entries that share the bytes of one file; a third tensor views other bytes of it."""
    weights = struct.pack("<1024f", *range(1024))
    os.makedirs(os.path.join(folder, "data"), exist_ok=True)
    with open(os.path.join(folder, "data", "weights.bin"), "wb") as file:
        file.write(weights)

    def tensor(name, **entries):
        made = TensorProto(name=name, data_type=FLOAT, dims=[512], data_location=TensorProto.EXTERNAL)
        for key, content in {"location": "data/weights.bin", **entries}.items():
            entry = made.external_data.add()
            entry.key, entry.value = key, str(content)
        return made

    write(folder, "one.onnx", model([], [], [value("w", (512,)), value("v", (512,))],
                                    [tensor("w", offset=0, length=2048), tensor("v", offset=2048, length=2048)]))
    # The default offset is 0, the default length what the dims need.
    write(folder, "two.onnx", model([], [], [value("renamed", (512,))], [tensor("renamed")]))


if __name__ == "__main__":
    os.makedirs(sys.argv[2], exist_ok=True)
    globals()[sys.argv[1]](sys.argv[2])
