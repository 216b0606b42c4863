"""Sphinx settings: MyST pages under furo, and the API reference from docstrings."""

import re

from elman import __version__

project = "Elman"
author = "The Elman authors"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
autodoc_member_order = "bysource"
napoleon_use_ivar = True
autodoc_typehints = "description"
default_role = "code"  # docstrings are written for people, with single backticks as in Markdown
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 2
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Elman {__version__}"

_MARKUP = re.compile(r"(`[^`]*`)|([*|_]+)")


def literal_symbols(app, what, name, obj, options, lines):
    """Let * and | and _ outside of code stand for themselves: [4*H, D] is a shape, not emphasis."""
    lines[:] = [_MARKUP.sub(lambda m: m[1] or "".join(f"\\{c}" for c in m[2]), line) for line in lines]


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", literal_symbols, priority=100)
