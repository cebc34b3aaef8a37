"""Charts of the report page, drawn by matplotlib as SVG: drawing.py is the place to start."""
