"""A drawing of boxes, arrows and words, as SVG that is readable in light and in dark."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

_STYLE = """
  svg { --back: #ffffff; --ink: #1f2328; --line: #57606a; --soft: #f0f2f4; --a: #dbe9fb;
        --b: #fdeacb; --c: #d9f2dd; --red: #b42318; --blue: #0b5cad; --green: #1a7034 }
  @media (prefers-color-scheme: dark) {
    svg { --back: #14181e; --ink: #e6edf3; --line: #9da7b3; --soft: #20262e; --a: #1d3a5f;
          --b: #5a4216; --c: #1e4b2a; --red: #ff8a80; --blue: #79b8ff; --green: #7ee08d } }
  text { font: 15px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--ink) }
  .small { font-size: 13px } .strong { font-weight: 600 }
  .middle { text-anchor: middle } .end { text-anchor: end }
  .red { fill: var(--red) } .blue { fill: var(--blue) } .green { fill: var(--green) }
"""
_HEAD = (
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M 0 0 L 8 4 L 0 8 z" fill="var(--line)"/></marker>'
)


class Drawing:
    """Collects shapes; x goes right and y down, in pixels.

    Args:
        width: of the drawing.
        height: of the drawing.
        title: what the drawing shows, for those who cannot see it.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self.shapes: list[str] = []

    def text(self, x: float, y: float, words: str, style: str = "") -> None:
        """Write words; y is their baseline."""
        self.shapes.append(f'<text x="{x:g}" y="{y:g}" class="{style}">{escape(words)}</text>')

    def box(
        self, x: float, y: float, width: float, height: float, words: str = "", tone: str = "a"
    ) -> None:
        """Draw a box with words in its middle."""
        self.shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" '
            f'fill="var(--{tone})" stroke="var(--line)"/>'
        )
        self.text(x + width / 2, y + height / 2 + 5, words, "middle")

    def panel(self, x: float, y: float, width: float, height: float, title: str) -> None:
        """Draw an area with a title at its top left."""
        self.shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" '
            'fill="var(--soft)"/>'
        )
        self.text(x + 32, y + 22, title, "strong")

    def path(
        self, commands: str, *, dashed: bool = False, arrow: bool = True, tone: str = "line"
    ) -> None:
        """Draw a line by SVG's path commands."""
        extra = ' stroke-dasharray="5 4"' * dashed + ' marker-end="url(#head)"' * arrow
        self.shapes.append(
            f'<path d="{commands}" fill="none" stroke="var(--{tone})" stroke-width="1.5"{extra}/>'
        )

    def dot(self, x: float, y: float, tone: str = "red", radius: float = 5) -> None:
        """Draw a point."""
        self.shapes.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="var(--{tone})"/>')

    def chain(
        self, names: Sequence[str], x: float, y: float, *, width: float, gap: float, tones: str = ""
    ) -> None:
        """Draw boxes from left to right, with arrows between them."""
        for n, name in enumerate(names):
            left = x + n * (width + gap)
            self.box(left, y, width, 36, name, tone=(tones or "a" * len(names))[n])
            if n:
                self.path(f"M {left - gap} {y + 18} H {left}")

    def svg(self) -> str:
        """Return the file."""
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" '
                f'height="{self.height}" viewBox="0 0 {self.width} {self.height}" role="img">',
                f"<title>{escape(self.title)}</title>",
                f"<style>{_STYLE}</style><defs>{_HEAD}</defs>",
                f'<rect width="{self.width}" height="{self.height}" rx="8" fill="var(--back)"/>',
                *self.shapes,
                "</svg>\n",
            ]
        )
