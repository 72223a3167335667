"""Weights out of an ONNX file, without a runtime: quantised ones as they are meant.

Of the format only what carries weights is read: the graph's initializers, and which node takes
which of them. A file is a tree of fields, each a number and either an integer or bytes (protocol
buffers); the numbers below are those of ``onnx.proto``.

Usage::

    for path, weight in module_weights(file.read_bytes()).items(): ...
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from labkit.core.errors import LabError

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT, _NODE_NAME, _NODE_OPERATOR = 1, 3, 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_TENSOR_FLOATS, _TENSOR_INTEGERS = 4, 5  # where a single number stands instead of raw bytes
_TYPES: dict[int, np.dtype] = {
    1: np.dtype("<f4"),
    2: np.dtype("u1"),
    3: np.dtype("i1"),
    7: np.dtype("<i8"),
}
_VARINT, _64_BIT, _BYTES, _32_BIT = 0, 1, 2, 5


class Node(NamedTuple):
    """An operation of the graph: its name is the path of the module that it came from."""

    name: str
    operator: str
    inputs: tuple[str, ...]


def module_weights(model: bytes) -> dict[str, np.ndarray]:
    """Weights of a dynamically quantised model (int8), by the module's path: fp32.

    A matrix product's weight is turned to a linear layer's (out, in) and named after its node
    (``enc/block.0/layer.0/SelfAttention/q``); any other keeps the name of its initializer.
    A quantised weight is (q − zero point) × scale.

    Raises:
        LabError: if the bytes are not such a model.
    """
    tensors, nodes = read_graph(model)
    weights = {}
    products = {n.inputs[1]: n for n in nodes if n.operator == "MatMulInteger"}
    for name, tensor in tensors.items():
        stem = name.removesuffix("_quantized")
        if name in products:
            path = products[name].name.strip("/").rpartition("/")[0]  # …/q/MatMul_quant
            weights[path] = np.ascontiguousarray(_dequantised(tensors, stem).T)
        elif stem != name:
            weights[stem] = _dequantised(tensors, stem)
        elif not name.endswith(("_scale", "_zero_point")):
            weights[name] = tensor.copy()  # the file's own bytes can't be written to
    return weights


def _dequantised(tensors: dict[str, np.ndarray], stem: str) -> np.ndarray:
    try:
        values, zero, scale = (
            tensors[f"{stem}_{part}"] for part in ("quantized", "zero_point", "scale")
        )
    except KeyError as error:
        raise LabError(f"the ONNX file lacks {error.args[0]!r}; fetch it again") from error
    return (values.astype(np.int32) - zero.astype(np.int32)).astype(np.float32) * scale


def read_graph(model: bytes) -> tuple[dict[str, np.ndarray], list[Node]]:
    """Initializers by name, and the nodes, of an ONNX model.

    Raises:
        LabError: if the bytes are not one.
    """
    try:
        graph = next(
            value for number, value in _fields(memoryview(model)) if number == _MODEL_GRAPH
        )
        tensors, nodes = {}, []
        for number, value in _fields(graph):
            if number == _GRAPH_INITIALIZER:
                name, tensor = _tensor(value)
                tensors[name] = tensor
            elif number == _GRAPH_NODE:
                nodes.append(_node(value))
    except (StopIteration, IndexError, KeyError, TypeError, ValueError) as error:
        raise LabError(
            "this is not an ONNX file with its weights inside; fetch it again"
        ) from error
    return tensors, nodes


def _node(message: memoryview) -> Node:
    texts: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_NAME: [""], _NODE_OPERATOR: [""]}
    for number, value in _fields(message):
        if number in texts:
            texts[number].append(str(value, "utf-8"))
    return Node(texts[_NODE_NAME][-1], texts[_NODE_OPERATOR][-1], tuple(texts[_NODE_INPUT]))


def _tensor(message: memoryview) -> tuple[str, np.ndarray]:
    dims: list[int] = []
    integers: list[int] = []
    name, kind, raw = "", 0, memoryview(b"")
    for number, value in _fields(message):
        if number in (_TENSOR_DIMS, _TENSOR_INTEGERS):
            numbers = [value] if isinstance(value, int) else _packed(value)
            (dims if number == _TENSOR_DIMS else integers).extend(numbers)
        elif number == _TENSOR_TYPE:
            kind = value
        elif number == _TENSOR_NAME:
            name = str(value, "utf-8")
        elif number in (_TENSOR_RAW, _TENSOR_FLOATS):
            raw = value
    if integers:  # a negative one is written as the 64 bits of its two's complement
        return name, np.array(integers, np.uint64).astype(_TYPES[kind]).reshape(dims)
    return name, np.frombuffer(raw, _TYPES[kind]).reshape(dims)


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """(field number, integer or bytes) in the order of the message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(message, at)
        else:
            length = {_64_BIT: 8, _32_BIT: 4}[wire]
        if at + length > len(message):
            raise ValueError("cut off")
        yield number, message[at : at + length]
        at += length


def _packed(message: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(message):
        value, at = _varint(message, at)
        values.append(value)
    return values


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """An integer in groups of seven bits, the lowest first: (value, where it ends)."""
    value = shift = 0
    while True:
        byte = message[at]
        at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            return value, at
