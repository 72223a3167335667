"""Weights out of ONNX files, which are written here field by field."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np
import pytest

from labkit.core.errors import LabError
from labkit.core.onnx_weights import Node, module_weights, read_graph

FLOAT, UINT8, INT8 = 1, 2, 3


def varint(value: int) -> bytes:
    value %= 1 << 64
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([g | 0x80 for g in groups[:-1]] + groups[-1:])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor(name: str, values: np.ndarray, kind: int, *, packed_dims: bool = False) -> bytes:
    dims = (
        block(1, b"".join(map(varint, values.shape)))
        if packed_dims
        else b"".join(number(1, n) for n in values.shape)
    )
    return dims + number(2, kind) + block(8, name.encode()) + block(9, values.tobytes())


def scalar(name: str, value: float, kind: int) -> bytes:
    data = block(4, struct.pack("<f", value)) if kind == FLOAT else block(5, varint(int(value)))
    return number(2, kind) + data + block(8, name.encode())


def node(name: str, operator: str, inputs: Iterable[str]) -> bytes:
    ends = block(2, b"an output") + block(3, name.encode()) + block(4, operator.encode())
    return b"".join(block(1, i.encode()) for i in inputs) + ends


def model(tensors: Iterable[bytes], nodes: Iterable[bytes] = ()) -> bytes:
    graph = [block(1, n) for n in nodes] + [block(2, b"a name")] + [block(5, t) for t in tensors]
    # a version before and a 64- and a 32-bit field behind, which are passed over
    rest = varint(9 << 3 | 1) + bytes(8) + varint(10 << 3 | 5) + bytes(4)
    return number(1, 8) + block(7, b"".join(graph)) + rest


def test_every_way_of_writing_a_tensor() -> None:
    rng = np.random.default_rng(0)
    floats = rng.normal(size=(3, 5)).astype("<f4")
    wide = rng.integers(0, 255, (300, 2)).astype(np.uint8)
    tensors, nodes = read_graph(
        model(
            [
                tensor("floats", floats, FLOAT),
                tensor("wide", wide, UINT8, packed_dims=True),
                scalar("scale", 0.25, FLOAT),
                scalar("zero", -3, INT8),
            ],
            [node("/a/b/MatMul_quant", "MatMulInteger", ["x", "w", "y", "z"])],
        )
    )
    assert list(tensors) == ["floats", "wide", "scale", "zero"]
    assert np.array_equal(tensors["floats"], floats) and tensors["floats"].dtype == np.float32
    assert np.array_equal(tensors["wide"], wide) and tensors["wide"].dtype == np.uint8
    assert tensors["scale"].shape == () and tensors["scale"] == 0.25
    assert tensors["zero"].shape == () and tensors["zero"] == -3
    assert nodes == [Node("/a/b/MatMul_quant", "MatMulInteger", ("x", "w", "y", "z"))]


def test_weights_are_what_the_quantised_numbers_stand_for() -> None:
    rng = np.random.default_rng(1)
    product = rng.integers(-128, 128, (4, 6)).astype(np.int8)  # (in, out)
    table = rng.integers(0, 256, (10, 4)).astype(np.uint8)
    norm = rng.normal(size=4).astype("<f4")
    weights = module_weights(
        model(
            [
                tensor("MatMul_7_quantized", product, INT8),
                scalar("MatMul_7_zero_point", -5, INT8),
                scalar("MatMul_7_scale", 0.5, FLOAT),
                tensor("enc.table.weight_quantized", table, UINT8),
                scalar("enc.table.weight_zero_point", 130, UINT8),
                tensor("enc.table.weight_scale", np.full((10, 1), 0.125, "<f4"), FLOAT),
                tensor("enc.norm.weight", norm, FLOAT),
            ],
            [
                node("/enc/Gather", "Gather", ["enc.table.weight_quantized", "ids"]),
                node("/enc/q/MatMul_quant", "MatMulInteger", ["x", "MatMul_7_quantized", "a", "b"]),
            ],
        )
    )
    assert set(weights) == {"enc/q", "enc.table.weight", "enc.norm.weight"}
    for out in range(6):
        for into in range(4):
            assert weights["enc/q"][out, into] == (int(product[into, out]) + 5) * 0.5
    assert np.array_equal(weights["enc.table.weight"], (table.astype(float) - 130) / 8)
    assert np.array_equal(weights["enc.norm.weight"], norm)
    assert all(w.dtype == np.float32 and w.flags.writeable for w in weights.values())


WHOLE = model([tensor("w", np.zeros((2, 3), "<f4"), FLOAT)])


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 a zip file", number(1, 8), WHOLE[:40], b"\xff" * 30],
    ids=["empty", "another format", "no graph", "cut off", "noise"],
)
def test_what_is_no_model_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(LabError, match="not an ONNX file") as caught:
        read_graph(content)
    assert "\n" not in str(caught.value)


def test_a_missing_scale_is_named() -> None:
    lacking = [tensor("w_quantized", np.zeros((2, 2), np.int8), INT8), scalar("w_scale", 1, FLOAT)]
    with pytest.raises(LabError, match="w_zero_point"):
        module_weights(model(lacking))
