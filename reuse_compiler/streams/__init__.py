"""Streams: ordered frames of a model's inputs, from files or Python, read lazily and checked one by one.

A stream is one or more sequences; a sequence is an ordered run of frames; a frame is one array for each of the model's
inputs. Every iteration begins anew, and holds a few frames at a time however long the recording is.
"""

from __future__ import annotations

from reuse_compiler.streams.opening import CalibrationDataReader, StreamSource, open_stream
from reuse_compiler.streams.stream import Frame, Stream

__all__ = ["CalibrationDataReader", "Frame", "Stream", "StreamSource", "open_stream"]
