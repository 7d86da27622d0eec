"""The studio: a local page over runs, that shows, explores, starts and translates: `zerosum studio`.

Gradio and what it needs are imported when the page is served, not when this package is. A picture that was found on the
page Explore is made again, without a page, by `zerosum.studio.scene.draw`.
"""

from zerosum.studio.serving import serve

__all__ = ["serve"]
