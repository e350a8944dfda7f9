"""A report as one self-contained HTML file: content in, a string out.

`content` says what is on the page, `html.render` writes it. Everything between them is drawing.
The page needs nothing but itself: no font, script or picture from anywhere, so it can be mailed,
archived beside the run that it describes, printed, and opened again in ten years.
"""

from gpuyard.twin.page.html import render

__all__ = ["render"]
