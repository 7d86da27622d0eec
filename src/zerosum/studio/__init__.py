"""The studio: a local page over runs, that shows, explores, starts and translates.

`serve` is `zerosum studio`. `draw` makes a picture that was found on the Explore page again, without a page.
Gradio and what it needs are imported when the page is served, not when this package is.
"""

from zerosum.studio.scene import draw
from zerosum.studio.serving import serve

__all__ = ["draw", "serve"]
