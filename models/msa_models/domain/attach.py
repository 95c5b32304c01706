# SPDX-License-Identifier: Apache-2.0
"""Gives a model that calls operators of `ai.msa` their function bodies."""
from onnx import helper

from .bodies import body
from .signatures import DOMAIN, OPERATORS, VERSION


def _walk(graph):
    for node in graph.node:
        yield node
        for a in node.attribute:
            for inner in [a.g] if a.HasField("g") else a.graphs:
                yield from _walk(inner)


def attach(model):
    """Adds the bodies that the ModelProto's calls need, at the model's own opset, and returns the model.

    Every attribute is written out on the nodes, since not every runtime applies the defaults of a function. Calls of
    one operator that differ in a string attribute each get a body of their own, told apart by the overload (IR 10).
    Functions of other domains stay. Raises ValueError for an operator or attribute that the domain does not have.
    """
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), None)
    if opset is None:
        raise ValueError("expected the model to import the standard operator set, found no such import")
    calls = [n for n in _walk(model.graph) if n.domain == DOMAIN]
    kept = [f for f in model.functions if f.domain != DOMAIN]
    overloads = {}
    added = []
    for call in calls:
        operator = OPERATORS.get(call.op_type)
        if operator is None:
            raise ValueError(f"expected an operator of {DOMAIN} version {VERSION}, found '{call.op_type}' at node "
                             f"'{call.name}'")
        given = {a.name: helper.get_attribute_value(a) for a in call.attribute}
        for name in given:
            if name not in operator.attributes:
                raise ValueError(f"expected attributes {sorted(operator.attributes)} of {DOMAIN}.{call.op_type}, "
                                 f"found '{name}' at node '{call.name}'")
        call.attribute.extend(helper.make_attribute(a, d) for a, d in operator.attributes.items() if a not in given)
        choices = {a: given[a].decode() if a in given else operator.attributes[a] for a in operator.choices}
        known = overloads.setdefault(call.op_type, {})
        key = tuple(sorted(choices.items()))
        if key not in known:
            known[key] = "" if not known else f"v{len(known) + 1}"
            added.append(body(call.op_type, opset, choices, known[key]))
        call.overload = known[key]
    if "Read" in overloads and "Attention" not in overloads:  # the body of Read calls it
        added.append(body("Attention", opset))
    del model.functions[:]
    model.functions.extend(kept + added)
    if calls:
        others = [o for o in model.opset_import if o.domain != DOMAIN]
        del model.opset_import[:]
        model.opset_import.extend(others + [helper.make_opsetid(DOMAIN, VERSION)])
        model.ir_version = max(model.ir_version, 10)
    return model
