from __future__ import annotations

import onnx_ir as ir
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from reuse_compiler.passes.name_nodes import NameNodes


def chain(names: list[str]) -> ir.Model:
    """Relus in a row with these node names; node number n gives tensor ``t{n}``."""
    nodes = [helper.make_node("Relu", [f"t{n}"], [f"t{n + 1}"], name=name) for n, name in enumerate(names)]
    edge = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("t0", f"t{len(names)}")]
    return ir.from_proto(helper.make_model(helper.make_graph(nodes, "chain", edge[:1], edge[1:])))


def names(model: ir.Model) -> list[str | None]:
    NameNodes()(model)
    return [node.name for node in model.graph]


def test_a_node_without_a_name_takes_that_of_its_first_output() -> None:
    assert names(chain(["", "relu", ""])) == ["t1", "relu", "t3"]


def test_of_nodes_with_one_name_the_first_keeps_it() -> None:
    assert names(chain(["a", "a", "a_2", "a"])) == ["a", "a_3", "a_2", "a_4"]


def test_an_output_name_that_is_a_node_name_gets_a_number() -> None:
    assert names(chain(["", "t1"])) == ["t1_2", "t1"]


@given(st.lists(st.sampled_from(["", "a", "a_2", "t1", "t2", "t2_2"]), min_size=1, max_size=8))
def test_names_are_unique_stable_and_kept_where_they_were_unique(given_names: list[str]) -> None:
    model = chain(given_names)
    first = names(model)
    assert len(set(first)) == len(first) and all(first)
    assert names(model) == first
    for before, after in zip(given_names, first, strict=True):
        assert after == before or given_names.count(before) > 1 or before == ""


def test_nodes_in_bodies_are_named_too() -> None:
    body = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["inner"])], "b", [], [helper.make_tensor_value_info("inner", 1, [1])]
    )
    node = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    inputs = [helper.make_tensor_value_info("c", TensorProto.BOOL, []), helper.make_tensor_value_info("x", 1, [1])]
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("y", 1, [1])])
    model = ir.from_proto(helper.make_model(graph))
    NameNodes()(model)
    assert sorted(str(node.name) for node in model.graph.all_nodes()) == ["inner", "inner_2", "y"]
