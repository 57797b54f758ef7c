"""Pages of ``docs/`` that are written from the code: ``python -m reuse_compiler.docs_pages`` brings them up to date."""
