"""The tests; their folders mirror src/elman, and helpers are imported as `tests.<module>`."""
