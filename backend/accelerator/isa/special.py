"""Instructions of the special function unit."""

from __future__ import annotations

from dataclasses import dataclass

from reuse_compiler.backend.accelerator.isa.elements import Element
from reuse_compiler.backend.accelerator.isa.functions import Binary, Special
from reuse_compiler.backend.accelerator.isa.word import (
    Choice,
    Event,
    Instruction,
    Unit,
    byte_address,
    choice,
    instruction,
    real,
    uint,
)

__all__ = ["Elementwise", "Function", "Pool", "Pooling", "Select"]


class Pooling(Choice):
    """Reduction of a pooling window."""

    MAX = 0, "the largest element inside the tensor"
    AVERAGE = 1, "the mean of the elements inside the tensor"
    AVERAGE_PADDED = 2, "the mean of the elements inside the padded tensor, padding being 0"
    SUM = 3, "the sum of the elements inside the tensor"


@instruction(0x30, "function", Unit.SPECIAL, Event.SPECIAL_OPERATIONS, Event.BUFFER_READ, Event.BUFFER_WRITE)
@dataclass(frozen=True, kw_only=True)
class Function(Instruction):
    """y = f(x), element by element, over a block of four axes; the innermost is contiguous. What f gives is converted to
    the type of y: toward zero from float32 to whole numbers, to 1 from what is not 0 for BOOL."""

    function: Special = choice(Special, 8, "the function f")
    element: Element = choice(Element, 4, "type of the elements of x")
    result: Element = choice(Element, 4, "type of the elements of y")
    alpha: float = real("parameter of f")
    beta: float = real("parameter of f")
    x: int = byte_address(32, "I/O buffer byte address of x")
    x_stride0: int = uint(32, "elements along axis 0 of x")
    x_stride1: int = uint(32, "elements along axis 1 of x")
    x_stride2: int = uint(32, "elements along axis 2 of x")
    y: int = byte_address(32, "I/O buffer byte address of y")
    y_stride0: int = uint(32, "elements along axis 0 of y")
    y_stride1: int = uint(32, "elements along axis 1 of y")
    y_stride2: int = uint(32, "elements along axis 2 of y")
    size0: int = uint(32, "extent of axis 0")
    size1: int = uint(32, "extent of axis 1")
    size2: int = uint(32, "extent of axis 2")
    size3: int = uint(32, "extent of axis 3")


@instruction(
    0x31,
    "elementwise",
    Unit.SPECIAL,
    Event.SPECIAL_OPERATIONS,
    Event.EDRAM_READ,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
)
@dataclass(frozen=True, kw_only=True)
class Elementwise(Instruction):
    """y = f(a, b), element by element, over a block of four axes. A stride of zero repeats the operand along that axis
    (broadcast). `b` is in the I/O buffer, or a constant in the eDRAM. What f gives is converted as in `function`."""

    function: Binary = choice(Binary, 8, "the function f")
    element: Element = choice(Element, 4, "type of the elements of a and b")
    result: Element = choice(Element, 4, "type of the elements of y")
    constant: int = uint(1, "1: b is in the eDRAM")
    swapped: int = uint(1, "1: y = f(b, a)")
    a: int = byte_address(32, "I/O buffer byte address of a")
    a_stride0: int = uint(28, "elements along axis 0 of a")
    a_stride1: int = uint(28, "elements along axis 1 of a")
    a_stride2: int = uint(28, "elements along axis 2 of a")
    a_stride3: int = uint(28, "elements along axis 3 of a")
    b: int = byte_address(32, "byte address of b")
    b_stride0: int = uint(28, "elements along axis 0 of b")
    b_stride1: int = uint(28, "elements along axis 1 of b")
    b_stride2: int = uint(28, "elements along axis 2 of b")
    b_stride3: int = uint(28, "elements along axis 3 of b")
    y: int = byte_address(32, "I/O buffer byte address of y")
    y_stride0: int = uint(28, "elements along axis 0 of y")
    y_stride1: int = uint(28, "elements along axis 1 of y")
    y_stride2: int = uint(28, "elements along axis 2 of y")
    y_stride3: int = uint(28, "elements along axis 3 of y")
    size0: int = uint(28, "extent of axis 0")
    size1: int = uint(28, "extent of axis 1")
    size2: int = uint(28, "extent of axis 2")
    size3: int = uint(28, "extent of axis 3")


@instruction(0x32, "pool", Unit.SPECIAL, Event.SPECIAL_OPERATIONS, Event.BUFFER_READ, Event.BUFFER_WRITE)
@dataclass(frozen=True, kw_only=True)
class Pool(Instruction):
    """Pool a position-free tile; the innermost axis is contiguous."""

    pooling: Pooling = choice(Pooling, 4, "how a window is reduced")
    x: int = byte_address(32, "I/O buffer byte address of the input tile [channels, in0, in1, in2]")
    x_stride_c: int = uint(28, "elements between input channels")
    x_stride0: int = uint(28, "elements along the outermost axis")
    x_stride1: int = uint(28, "elements along the middle axis")
    y: int = byte_address(32, "I/O buffer byte address of the output tile [channels, out0, out1, out2]")
    y_stride_c: int = uint(28, "elements between output channels")
    y_stride0: int = uint(28, "elements along the outermost axis")
    y_stride1: int = uint(28, "elements along the middle axis")
    channels: int = uint(20, "channels of the tile")
    in0: int = uint(20, "input extent, outermost axis")
    in1: int = uint(20, "input extent, middle axis")
    in2: int = uint(20, "input extent, innermost axis")
    out0: int = uint(20, "output extent, outermost axis")
    out1: int = uint(20, "output extent, middle axis")
    out2: int = uint(20, "output extent, innermost axis")
    kernel0: int = uint(16, "window, outermost axis")
    kernel1: int = uint(16, "window, middle axis")
    kernel2: int = uint(16, "window, innermost axis")
    stride0: int = uint(16, "stride, outermost axis")
    stride1: int = uint(16, "stride, middle axis")
    stride2: int = uint(16, "stride, innermost axis")
    dilation0: int = uint(16, "dilation, outermost axis")
    dilation1: int = uint(16, "dilation, middle axis")
    dilation2: int = uint(16, "dilation, innermost axis")
    pad0: int = uint(16, "padding before the input, outermost axis")
    pad1: int = uint(16, "padding before the input, middle axis")
    pad2: int = uint(16, "padding before the input, innermost axis")
    behind0: int = uint(16, "padding behind the input, as far as windows reach into it, outermost axis")
    behind1: int = uint(16, "padding behind the input, as far as windows reach into it, middle axis")
    behind2: int = uint(16, "padding behind the input, as far as windows reach into it, innermost axis")


@instruction(
    0x33,
    "select",
    Unit.SPECIAL,
    Event.SPECIAL_OPERATIONS,
    Event.EDRAM_READ,
    Event.BUFFER_READ,
    Event.BUFFER_WRITE,
)
@dataclass(frozen=True, kw_only=True)
class Select(Instruction):
    """y = a where c is not 0, else b, element by element, over a block of four axes. c is BOOL. A stride of zero repeats
    the operand along that axis (broadcast). Each operand is in the I/O buffer, or a constant in the eDRAM."""

    element: Element = choice(Element, 4, "type of the elements of a, b and y")
    c_constant: int = uint(1, "1: c is in the eDRAM")
    a_constant: int = uint(1, "1: a is in the eDRAM")
    b_constant: int = uint(1, "1: b is in the eDRAM")
    c: int = byte_address(32, "byte address of c")
    c_stride0: int = uint(28, "elements along axis 0 of c")
    c_stride1: int = uint(28, "elements along axis 1 of c")
    c_stride2: int = uint(28, "elements along axis 2 of c")
    c_stride3: int = uint(28, "elements along axis 3 of c")
    a: int = byte_address(32, "byte address of a")
    a_stride0: int = uint(28, "elements along axis 0 of a")
    a_stride1: int = uint(28, "elements along axis 1 of a")
    a_stride2: int = uint(28, "elements along axis 2 of a")
    a_stride3: int = uint(28, "elements along axis 3 of a")
    b: int = byte_address(32, "byte address of b")
    b_stride0: int = uint(28, "elements along axis 0 of b")
    b_stride1: int = uint(28, "elements along axis 1 of b")
    b_stride2: int = uint(28, "elements along axis 2 of b")
    b_stride3: int = uint(28, "elements along axis 3 of b")
    y: int = byte_address(32, "I/O buffer byte address of y")
    y_stride0: int = uint(28, "elements along axis 0 of y")
    y_stride1: int = uint(28, "elements along axis 1 of y")
    y_stride2: int = uint(28, "elements along axis 2 of y")
    y_stride3: int = uint(28, "elements along axis 3 of y")
    size0: int = uint(28, "extent of axis 0")
    size1: int = uint(28, "extent of axis 1")
    size2: int = uint(28, "extent of axis 2")
    size3: int = uint(28, "extent of axis 3")
