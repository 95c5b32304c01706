# SPDX-License-Identifier: Apache-2.0
"""Gives a compiler ONNX files that are broken or mean harm: hostile.py FOLDER COMMAND [ARGUMENT...].

The command is run with the paths of a case's files at its end. It has to end with exit code 1 within the time limit, write nothing to
stdout, and one line to stderr that holds the case's words and no control character. Exits 0 if all cases went well, else 1.
"""

import os
import random
import struct
import subprocess
import sys

import onnx
from onnx import AttributeProto, TensorProto, helper

FOLDER = sys.argv[1] if len(sys.argv) > 2 else None
COMMAND = sys.argv[2:]
SECONDS = 20
OPSET = [helper.make_opsetid("", 20)]
FLOAT = TensorProto.FLOAT

CASES = {}


def case(*words, files=("model.onnx",), codes=(1,)):
    """The decorated function gets the case's folder and returns a model, bytes, or None if it has written the files itself."""

    def add(build):
        CASES[build.__name__.replace("_", "-")] = (build, words, files, codes)
        return build

    return add


def value(name, shape=("T",), elem=FLOAT):
    return helper.make_tensor_value_info(name, elem, shape)


def node(op, inputs, outputs, **kwargs):
    return helper.make_node(op, inputs, outputs, name=kwargs.pop("name", f"make_{outputs[0]}"), **kwargs)


def model(nodes=(), outputs=("y",), initializers=(), inputs=("x",), opsets=OPSET):
    graph = helper.make_graph(list(nodes), "g", [value(n) for n in inputs], [value(n) for n in outputs], list(initializers))
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def relu(**kwargs):
    return model([node("Relu", ["x"], ["y"])], **kwargs)


def with_tensor(**fields):
    """A model with the initializer `w`, FLOAT [2] unless said otherwise."""
    tensor = TensorProto(name="w", data_type=fields.pop("data_type", FLOAT), dims=fields.pop("dims", [2]))
    for name, content in fields.items():
        if isinstance(content, (bytes, int)):
            setattr(tensor, name, content)
        else:
            getattr(tensor, name).extend(content)
    return model([node("Add", ["x", "w"], ["y"])], initializers=[tensor])


def with_external(entries, folder=None, content=bytes(64)):
    if folder is not None:
        with open(os.path.join(folder, "weights.bin"), "wb") as file:
            file.write(content)
    made = with_tensor(data_location=TensorProto.EXTERNAL)
    for key, text in entries:
        entry = made.graph.initializer[0].external_data.add()
        entry.key, entry.value = key, text
    return made


# Not a model at all


@case("file is empty")
def empty_file(folder):
    return b""


@case("expected an ONNX model")
def text_file(folder):
    return b"This is not a model.\n" * 100


@case("expected an ONNX model")
def random_bytes(folder):
    return random.Random(1).randbytes(5000)


@case("expected an ONNX model", "ir_version")
def zero_length_fields(folder):
    return b"\x12\x00" * 10


@case("cannot open the file")
def missing_file(folder):
    return None


@case("expected")
def folder_as_file(folder):
    """A folder without models to the compiler, no regular file to the importer."""
    os.mkdir(os.path.join(folder, "model.onnx"))


@case("expected a regular file", "pipe")
def pipe_as_file(folder):
    os.mkfifo(os.path.join(folder, "model.onnx"))


@case("expected at most 2 GiB", "external data")
def three_gigabytes(folder):
    with open(os.path.join(folder, "model.onnx"), "wb") as file:
        file.truncate(3 << 30)  # a hole: takes no space


@case("no graph")
def no_graph(folder):
    made = relu()
    made.ClearField("graph")
    return made


# Versions


@case("expected an IR version from 3 to", "2147483647")
def newer_ir(folder):
    made = relu()
    made.ir_version = 2**31 - 1
    return made


@case("expected an IR version from 3 to", "-9223372036854775808")
def negative_ir(folder):
    made = relu()
    made.ir_version = -(2**63)
    return made


@case("opset_import")
def no_opsets(folder):
    made = relu()
    made.ClearField("opset_import")
    return made


@case("node 'make_y' (op 'com.nowhere::Relu')", "expected an opset import for domain 'com.nowhere'")
def unknown_domain(folder):
    return model([node("Relu", ["x"], ["y"], domain="com.nowhere")])


@case("expected an opset import for domain 'ai.onnx'")
def no_default_opset(folder):
    return relu(opsets=[helper.make_opsetid("other", 1)])


@case("imports 20 and 21")
def two_opsets(folder):
    return relu(opsets=OPSET + [helper.make_opsetid("ai.onnx", 21)])


@case("to be at least 1, but got 0")
def opset_zero(folder):
    return relu(opsets=[helper.make_opsetid("", 0)])


# Names and order


@case("form a cycle", "'make_a' -> 'make_b' -> 'make_a'")
def cycle(folder):
    return model([node("Add", ["x", "b"], ["a"]), node("Neg", ["a"], ["b"]), node("Neg", ["b"], ["y"])])


@case("form a cycle", "'make_y' -> 'make_y'")
def self_loop(folder):
    return model([node("Add", ["x", "y"], ["y"])])


@case("node 'make_y' (op 'Neg')", "makes later", "topological order")
def unsorted(folder):
    return model([node("Neg", ["a"], ["y"]), node("Neg", ["x"], ["a"])])


@case("form a cycle", "...")
def long_cycle(folder):
    count = 20000
    return model([node("Add", ["x", f"v{(i + 1) % count}"], [f"v{i}"]) for i in range(count)], outputs=["v0"])


@case("uses 'nothing', which no input, initializer or node of the graph defines")
def undefined_input(folder):
    return model([node("Relu", ["nothing"], ["y"])])


@case("output 0", "uses 'nothing'")
def undefined_output(folder):
    return relu(outputs=["nothing"])


@case("at least one output")
def no_outputs(folder):
    return relu(outputs=[])


@case("'embedding' is already made by node 'first' (op 'Relu')")
def value_made_twice(folder):
    return model([node("Relu", ["x"], ["embedding"], name="first"), node("Neg", ["x"], ["embedding"], name="second")],
                 outputs=["embedding"])


@case("output 'embedding'", "two have this one")
def output_named_twice(folder):
    return model([node("Relu", ["x"], ["embedding"])], outputs=["embedding", "embedding"])


@case("'x' is already input 0")
def input_named_twice(folder):
    return relu(inputs=["x", "x"])


@case("'w' is already initializer 0")
def duplicate_initializer(folder):
    made = with_tensor(float_data=[1.0, 2.0])
    made.graph.initializer.append(made.graph.initializer[0])
    return made


@case("'w' is already initializer 0")
def initializer_made_by_a_node(folder):
    made = with_tensor(float_data=[1.0, 2.0])
    made.graph.node.insert(0, node("Relu", ["x"], ["w"]))
    return made


@case("input 0", "expected a name in UTF-8 text")
def input_without_name(folder):
    return relu(inputs=[""])


@case("expected a name in UTF-8 text", "'\\xFF\\xFE'")
def names_not_utf8(folder):
    return relu(inputs=["x", "~~"]).SerializeToString().replace(b"~~", b"\xff\xfe")


@case("expected an operator's name")
def operator_without_name(folder):
    return model([node("", ["x"], ["y"])])


# What names may hold: nothing of it may reach a terminal


@case("node '\\x1B[31mred\\x1B[0m\\x0A\\x07' (op 'Relu')")
def terminal_escapes(folder):
    return model([node("Relu", ["nothing"], ["y"], name="\x1b[31mred\x1b[0m\n\a")])


@case("uses '\\xE2\\x80\\xAEtxt\\xC2\\x9B'")
def reordering_marks(folder):
    return model([node("Relu", ["\u202etxt\u009b"], ["y"])])


@case("op 'Re\\x0Aerror: lu'")
def newline_in_operator(folder):
    return model([node("Re\nerror: lu", ["nothing"], ["y"])])


@case("...'")
def name_of_a_megabyte(folder):
    return model([node("Relu", ["n" * 1000000], ["y"])])


# Sizes


@case("initializer 'w'", "expected dim 0 to be at least 0, but got -2")
def negative_dim(folder):
    return with_tensor(dims=[-2], float_data=[1.0, 2.0])


@case("initializer 'w'", "expected dim 0 to be at least 0")
def dim_that_means_dynamic(folder):
    return with_tensor(dims=[-(2**63)])


@case("2^63 bits")
def huge_dims(folder):
    return with_tensor(dims=[2**42 + 1, 2**42 + 1], raw_data=b"1234")


@case("2^63 bits")
def zero_and_huge_dims(folder):
    return with_tensor(dims=[0, 2**62, 2**62])


@case("expected 1099511627776 bytes of data for its dims, but got 4")
def large_dims_small_data(folder):
    return with_tensor(dims=[2**38], raw_data=b"1234")


@case("expected 274877906944 values in 'float_data' for its dims, but got 0")
def large_dims_no_data(folder):
    return with_tensor(dims=[2**38])


@case("expected 8 bytes of data for its dims, but got 12")
def too_much_data(folder):
    return with_tensor(raw_data=bytes(12))


@case("expected 2 values in 'float_data'")
def data_of_another_type(folder):
    return with_tensor(int64_data=[1, 2])


@case("raw_data and typed data")
def data_twice(folder):
    return with_tensor(raw_data=bytes(8), float_data=[1.0, 2.0])


@case("expected at most 64 dims, but got 100000")
def rank_of_a_hundred_thousand(folder):
    return with_tensor(dims=[1] * 100000, float_data=[1.0])


@case("value 1 of 'int32_data' is 256")
def value_out_of_range(folder):
    return with_tensor(data_type=TensorProto.UINT8, int32_data=[0, 256])


@case("byte 1 is 7")
def bool_of_seven(folder):
    return with_tensor(data_type=TensorProto.BOOL, raw_data=b"\1\7")


@case("element type number 99 is not supported")
def unknown_element_type(folder):
    return with_tensor(data_type=99, raw_data=bytes(8))


@case("segments are not supported")
def segment(folder):
    made = with_tensor(raw_data=bytes(8))
    made.graph.initializer[0].segment.begin = 1
    return made


@case("input 'x'", "expected dim 0 to be at least 0", "but got -1")
def negative_dim_of_input(folder):
    made = relu()
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    return made


@case("input 'x'", "2^63 bits")
def huge_dims_of_input(folder):
    made = relu()
    made.graph.input[0].CopyFrom(value("x", [2**62, 2**62]))
    return made


@case("value 'v'", "2^63 bits")
def huge_dims_of_value(folder):
    made = relu()
    made.graph.value_info.append(value("v", [2**62, 2**62]))
    return made


@case("output 'y'", "is declared as")
def output_of_another_rank(folder):
    made = model([], inputs=["y"])
    made.graph.output[0].CopyFrom(value("y", ["T", 4]))
    return made


@case("in [0, 6), but index 1 is 6")
def sparse_index_past_the_end(folder):
    made = relu()
    made.graph.sparse_initializer.append(
        helper.make_sparse_tensor(
            helper.make_tensor("s", FLOAT, [2], [1.0, 2.0]), helper.make_tensor("", TensorProto.INT64, [2], [0, 6]), [2, 3]
        )
    )
    return made


# External data


def outside(location):
    def build(folder):
        with open(os.path.join(os.path.dirname(folder), "outside.bin"), "wb") as file:
            file.write(bytes(64))
        return with_external([("location", location)], folder)

    return build


for name, location, words in (
    ("parent", "../outside.bin", ("'..'",)),
    ("parent_further_in", "a/../../outside.bin", ("'..'",)),
    ("parent_and_back", "a/../weights.bin", ("'..'",)),
    ("absolute", "/etc/passwd", ("absolute",)),
    ("descriptor", "/proc/self/fd/0", ("absolute",)),
    ("empty", "", ("expected the name of a file",)),
    ("nul", "weights.bin\0", ("expected the name of a file",)),
    ("backslash", "..\\outside.bin", ("'\\'",)),
    ("dot", ".", ("'.'",)),
    ("double_slash", "a//weights.bin", ("'//'",)),
    ("missing", "nothing.bin", ("cannot open the file",)),
    ("long", "n" * 5000, ("cannot open the file",)),
):
    build = outside(location)
    build.__name__ = f"external_{name}"
    case("initializer 'w'", "external data", *words)(build)


@case("symbolic link")
def external_link(folder):
    made = with_external([("location", "link.bin")], folder)
    os.symlink("weights.bin", os.path.join(folder, "link.bin"))
    return made


@case("symbolic link")
def external_in_linked_folder(folder):
    made = with_external([("location", "link/weights.bin")], folder)
    os.symlink(".", os.path.join(folder, "link"))
    return made


@case("one hard link, but it has 2")
def external_hard_link(folder):
    made = with_external([("location", "weights.bin")], folder)
    os.link(os.path.join(folder, "weights.bin"), os.path.join(folder, "other.bin"))
    return made


@case("expected a regular file", "pipe")
def external_pipe(folder):
    os.mkfifo(os.path.join(folder, "pipe.bin"))
    return with_external([("location", "pipe.bin")])


@case("expected a regular file", "folder")
def external_folder(folder):
    os.mkdir(os.path.join(folder, "weights"))
    return with_external([("location", "weights")])


@case("expected external data to have a 'location'")
def external_without_location(folder):
    return with_external([("offset", "0")], folder)


@case("expected one external data entry 'location'")
def external_two_locations(folder):
    return with_external([("location", "weights.bin"), ("location", "weights.bin")], folder)


@case("expected 8 bytes at offset 60, but the file has 64 bytes")
def external_past_the_end(folder):
    return with_external([("location", "weights.bin"), ("offset", "60"), ("length", "8")], folder)


@case("offset 18446744073709551608, but the file has 64 bytes")
def external_wraps_around(folder):
    return with_external([("location", "weights.bin"), ("offset", str(2**64 - 8)), ("length", "8")], folder)


@case("'offset'", "a number of bytes", "'-8'")
def external_negative_offset(folder):
    return with_external([("location", "weights.bin"), ("offset", "-8")], folder)


@case("'offset'", "a number of bytes", "'99999999999999999999999'")
def external_offset_of_100_bits(folder):
    return with_external([("location", "weights.bin"), ("offset", "9" * 23)], folder)


@case("'length'", "a number of bytes", "'eight'")
def external_length_in_words(folder):
    return with_external([("location", "weights.bin"), ("length", "eight")], folder)


@case("'length' is 4")
def external_short_length(folder):
    return with_external([("location", "weights.bin"), ("length", "4")], folder)


@case("but the file has 0 bytes")
def external_empty_file(folder):
    return with_external([("location", "weights.bin")], folder, b"")


@case("external data and data in the file")
def external_and_internal(folder):
    made = with_external([("location", "weights.bin")], folder)
    made.graph.initializer[0].raw_data = bytes(8)
    return made


@case("expected strings in 'string_data'")
def external_strings(folder):
    made = with_external([("location", "weights.bin")], folder)
    made.graph.initializer[0].data_type = TensorProto.STRING
    return made


# Attributes and functions


@case("attribute to have a name of its own", "'axis' twice")
def attribute_twice(folder):
    made = model([node("Softmax", ["x"], ["y"], axis=0)])
    made.graph.node[0].attribute.append(made.graph.node[0].attribute[0])
    return made


@case("attribute 'axis'", "with a type and a value")
def attribute_without_type(folder):
    made = model([node("Softmax", ["x"], ["y"])])
    made.graph.node[0].attribute.append(AttributeProto(name="axis", i=1))
    return made


@case("refers to attribute 'a' of a function")
def reference_outside_a_function(folder):
    made = model([node("Softmax", ["x"], ["y"])])
    made.graph.node[0].attribute.append(AttributeProto(name="axis", ref_attr_name="a", type=AttributeProto.INT))
    return made


def with_functions(*functions):
    made = model([node("F0", ["x"], ["y"], domain="test")], opsets=OPSET + [helper.make_opsetid("test", 1)])
    made.functions.extend(functions)
    return made


def function(name, nodes, inputs=("a",), outputs=("b",), opsets=None):
    opsets = OPSET + [helper.make_opsetid("test", 1)] if opsets is None else opsets
    return helper.make_function("test", name, list(inputs), list(outputs), nodes, opsets)


@case("function 'test::F0'", "do not call themselves")
def recursive_function(folder):
    return with_functions(function("F0", [node("F0", ["a"], ["b"], domain="test")]))


@case("do not call themselves")
def functions_in_a_circle(folder):
    return with_functions(*(function(f"F{i}", [node(f"F{1 - i}", ["a"], ["b"], domain="test")]) for i in range(2)))


@case("function 'test::F0'", "there are several")
def function_twice(folder):
    return with_functions(*(function("F0", [node("Relu", ["a"], ["b"])]) for _ in range(2)))


@case("at most 0 inputs")
def call_with_too_many_inputs(folder):
    return with_functions(function("F0", [node("Constant", [], ["b"], value_float=1.0)], inputs=()))


@case("function 'test::F0': node 'make_b' (op 'Relu')", "expected an opset import", "the function has none")
def function_without_opset(folder):
    return with_functions(function("F0", [node("Relu", ["a"], ["b"])], opsets=[helper.make_opsetid("test", 1)]))


@case("function 'test::F0'", "uses 'x'")
def function_that_uses_the_graph(folder):
    return with_functions(function("F0", [node("Relu", ["x"], ["b"])]))


@case(codes=(0,))
def chain_of_5000_functions(folder):
    """Not an error, and no reason to run out of stack."""
    last = [function("F4999", [node("Relu", ["a"], ["b"])])]
    return with_functions(*[function(f"F{i}", [node(f"F{i + 1}", ["a"], ["b"], domain="test")]) for i in range(4999)] + last)


@case("another one is also called 'model'", files=("model.onnx", "again/model.onnx"))
def two_files_of_one_name(folder):
    os.mkdir(os.path.join(folder, "again"))
    with open(os.path.join(folder, "again", "model.onnx"), "wb") as file:
        file.write(relu().SerializeToString())
    return relu()


# Depth. Python's protobuf refuses to write these.


def field(number, content):
    length, size = b"", len(content)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    key = number << 3 | 2
    key = bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])
    return key + length + bytes([size]) + content


def nested_graphs(depth):
    graph = b""
    for _ in range(depth):
        attribute = field(1, b"g") + field(6, graph) + b"\xa0\x01\x05"
        graph = field(1, field(2, b"v") + field(4, b"If") + field(5, attribute))
    return b"\x08\x0a" + field(7, graph) + field(8, b"\x10\x14")


@case("nested more than")
def nested_graphs_10000(folder):
    return nested_graphs(10000)


@case("nested more than")
def nested_graphs_100(folder):
    return nested_graphs(100)


@case("at least one output")
def nested_graphs_20(folder):
    """Deep, but read; what it lacks is an output."""
    return nested_graphs(20)


@case("nested more than")
def nested_types_10000(folder):
    made = b""
    for _ in range(10000):
        made = field(4, field(1, made))
    return b"\x08\x0a" + field(7, field(11, field(1, b"x") + field(2, made))) + field(8, b"\x10\x14")


# Damage at every place


def run(files):
    result = subprocess.run([*COMMAND, *files], capture_output=True, timeout=SECONDS)
    return result.returncode, result.stdout, result.stderr.decode("utf-8", "surrogateescape")


def check(name, files, words=(), codes=(1,)):
    """What is wrong with how the command took `files`; None if nothing is."""
    try:
        code, out, err = run(files)
    except subprocess.TimeoutExpired:
        return f"{name}: not done after {SECONDS} seconds"
    if code not in codes:
        return f"{name}: exit code {code}, expected {codes}: {err[:2000]!r}"
    if code == 0:
        return None
    if out:
        return f"{name}: wrote to stdout"
    lines = err.splitlines()
    if len(lines) != 1 or "error: " not in err:
        return f"{name}: expected one line with an error, but got {err[:1000]!r}"
    if any(not c.isprintable() for c in lines[0]) or len(lines[0]) > 2000:
        return f"{name}: control characters or too long: {err[:1000]!r}"
    missing = [word for word in words if word not in err]
    return f"{name}: {missing} is missing in {err!r}" if missing else None


def damage(folder):
    """A good model cut short and with flipped bits: an error, or for bits that do not matter a module, but never a crash."""
    good = with_functions(function("F0", [node("Relu", ["a"], ["b"])]))
    good.graph.initializer.append(helper.make_tensor("w", FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0]))
    good = good.SerializeToString()
    path = os.path.join(folder, "damaged.onnx")
    rng = random.Random(7)
    for cut in range(0, len(good), 5):
        with open(path, "wb") as file:
            file.write(good[:cut])
        try:
            whole = onnx.ModelProto.FromString(good[:cut]).HasField("graph")  # cut between two fields
        except Exception:
            whole = False
        yield check(f"cut at {cut} of {len(good)} bytes", [path], codes=(0, 1) if whole else (1,))
    for _ in range(60):
        flipped = bytearray(good)
        bit = rng.randrange(len(good) * 8)
        flipped[bit // 8] ^= 1 << bit % 8
        with open(path, "wb") as file:
            file.write(flipped)
        yield check(f"bit {bit} flipped", [path], codes=(0, 1))


def main():
    os.makedirs(FOLDER, exist_ok=True)
    results = []
    for name, (build, words, files, codes) in CASES.items():
        folder = os.path.join(FOLDER, name)
        subprocess.run(["rm", "-rf", folder], check=True)
        os.mkdir(folder)
        content = build(folder)
        if content is not None:
            with open(os.path.join(folder, files[0]), "wb") as file:
                file.write(content if isinstance(content, bytes) else content.SerializeToString())
        results.append(check(name, [os.path.join(folder, file) for file in files], words, codes))
    damaged = list(damage(FOLDER))
    for problem in filter(None, results + damaged):
        print(problem)
    bad = sum(map(bool, results + damaged))
    print(f"{len(CASES)} cases and {len(damaged)} damaged files, {bad} taken wrongly")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
