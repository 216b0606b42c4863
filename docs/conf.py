"""Sphinx settings: MyST pages under furo."""

from elman import __version__

project = "Elman"
author = "The Elman authors"
release = __version__
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Elman {__version__}"
