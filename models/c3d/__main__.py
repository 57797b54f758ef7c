"""``python -m reuse_compiler.models.c3d FILE`` writes the network."""

from __future__ import annotations

import argparse
from pathlib import Path

from reuse_compiler.models.c3d.seeded import write


def main() -> None:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(description="Write C3D with seeded weights, 314 MB.")
    parser.add_argument("file", type=Path, help="ONNX file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: %(default)s)")
    options = parser.parse_args()
    write(options.file, options.seed)


if __name__ == "__main__":
    main()
