"""How the documentation site is built: `make docs`. Warnings are errors, and so is a link that leads nowhere."""

project = "Redemption Ledger"
extensions = ["myst_parser"]
exclude_patterns = ["_build", "_generated"]
html_theme = "furo"
html_title = "Redemption Ledger"
myst_enable_extensions = ["fieldlist"]
myst_heading_anchors = 3
nitpicky = True
smartquotes = False  # `--option` in a sentence keeps its two hyphens
