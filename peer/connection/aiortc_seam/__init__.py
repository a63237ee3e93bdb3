"""The only package that touches private parts of aiortc and aioice.

Each module says what it needs of them; `tests/peer/connection/aiortc_seam/` fails, and says
which, when a new release changes one.
"""
