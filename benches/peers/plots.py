"""Pictures of a record: plain SVG, for light and dark pages alike, the same bytes for the same numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, LEFT, TOP, BOTTOM, LEGEND = 920, 64, 56, 46, 290
PALETTE = [
    ("#0a58ca", "#6ea8fe"), ("#d1480a", "#ff9b66"), ("#1a7f37", "#56d364"), ("#8250df", "#c297ff"), ("#9a6700", "#e3b341"),
    ("#bf3989", "#ff80c8"), ("#0f7b8a", "#4fd3e3"), ("#6e7781", "#a8b1bb"), ("#a40e26", "#ff7b72"), ("#111111", "#ffffff"),
    ("#4d7c0f", "#a3e635"), ("#7c2d12", "#fdba74"),
]  # fmt: skip
DASHES = ["", "7 3", "2 3", "9 3 2 3"]


@dataclass
class Line:
    """Places on the plane under a name. `group` is its colour, `dash` the way that lines of a colour differ."""

    name: str
    places: list[tuple[float, float]]
    group: int
    dash: int = 0
    heavy: bool = False


@dataclass
class Axis:
    """A scale: logarithms of what is shown, with the marks that have a number."""

    title: str
    marks: list[tuple[float, str]] = field(default_factory=list)

    def place(self, value: float) -> float:
        """As a share of the way from the first mark to the last."""
        low, high = self.marks[0][0], self.marks[-1][0]
        return (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))


def powers(values: Sequence[float]) -> list[tuple[float, str]]:
    """Marks at powers of ten around all values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [(10.0**power, f"{10.0**power:,.10g}") for power in range(low, max(high, low + 1) + 1)]


def style() -> str:
    """Colours of both themes."""
    light = "".join(f"--c{number}:{one};" for number, (one, _) in enumerate(PALETTE))
    dark = "".join(f"--c{number}:{other};" for number, (_, other) in enumerate(PALETTE))
    return (
        f"<style>svg{{--ink:#1f2328;--grid:#d8dee4;--paper:#ffffff;{light}font:13px system-ui,sans-serif}}"
        f"@media (prefers-color-scheme:dark){{svg{{--ink:#e6edf3;--grid:#30363d;--paper:#0d1117;{dark}}}}}"
        "text{fill:var(--ink)}.grid{stroke:var(--grid)}.end{text-anchor:end}.middle{text-anchor:middle}</style>"
    )


def frame(title: str, height: int, body: list[str]) -> str:
    """A whole picture."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
    paper = f'<rect width="{WIDTH}" height="{height}" fill="var(--paper)"/>'
    heading = f'<text x="{LEFT - 44}" y="22" font-size="16" font-weight="600">{escape(title)}</text>'
    return "\n".join([head, f"<title>{escape(title)}</title>", style(), paper, heading, *body, "</svg>"]) + "\n"


def curves(title: str, across: Axis, up: Axis, lines: list[Line]) -> str:
    """Lines over two scales, with their names at the side."""
    height = max(440, TOP + BOTTOM + 18 * len(lines))
    right, foot = WIDTH - LEGEND, height - BOTTOM
    body = []

    def x(value: float) -> float:
        return LEFT + across.place(value) * (right - LEFT)

    def y(value: float) -> float:
        return foot - up.place(value) * (foot - TOP)

    for value, text in across.marks:
        body.append(
            f'<path class="grid" d="M{x(value):.1f} {TOP}V{foot}"/><text class="middle" x="{x(value):.1f}" y="{foot + 18}">{escape(text)}</text>'
        )
    for value, text in up.marks:
        body.append(
            f'<path class="grid" d="M{LEFT} {y(value):.1f}H{right}"/><text class="end" x="{LEFT - 6}" y="{y(value) + 4:.1f}">{escape(text)}</text>'
        )
    body.append(f'<text class="middle" x="{(LEFT + right) / 2:.1f}" y="{height - 8}">{escape(across.title)}</text>')
    body.append(f'<text x="{LEFT}" y="{TOP - 8}">{escape(up.title)}</text>')
    # The heavy ones last, on top of the others; their names are first all the same.
    for number, line in sorted(enumerate(lines), key=lambda item: item[1].heavy):
        colour, dash, width = f"var(--c{line.group % len(PALETTE)})", DASHES[line.dash % len(DASHES)], 3 if line.heavy else 1.6
        pen = f'fill="none" stroke="{colour}" stroke-width="{width}"' + (f' stroke-dasharray="{dash}"' if dash else "")
        path = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in line.places)
        size = 5.5 if line.heavy else 3.2
        dots = "".join(f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="{size}" fill="{colour}"/>' for a, b in line.places)
        level = TOP + 10 + 18 * number
        key = f'<path {pen} d="M{right + 18} {level}h26"/><circle cx="{right + 31}" cy="{level}" r="{size}" fill="{colour}"/>'
        body.append(f'<path {pen} d="M{path}"/>{dots}{key}<text x="{right + 52}" y="{level + 4}">{escape(line.name)}</text>')
    return frame(title, height, body)


def bars(title: str, unit: str, rows: list[tuple[str, float, int]]) -> str:
    """Bars on a scale of logarithms, each with its name and its number."""
    height, start, end = TOP + BOTTOM - 20 + 22 * len(rows), LEGEND, WIDTH - 90
    axis = Axis(unit, powers([value for _, value, _ in rows]))
    body = []
    for value, text in axis.marks:
        at = start + axis.place(value) * (end - start)
        body.append(
            f'<path class="grid" d="M{at:.1f} {TOP}V{height - 26}"/><text class="middle" x="{at:.1f}" y="{height - 10}">{escape(text)}</text>'
        )
    body.append(f'<text x="{start}" y="{TOP - 8}">{escape(unit)}</text>')
    for number, (name, value, group) in enumerate(rows):
        level = TOP + 4 + 22 * number
        long = max(1.0, axis.place(value) * (end - start))
        body.append(
            f'<text class="end" x="{start - 8}" y="{level + 12}">{escape(name)}</text>'
            f'<rect x="{start}" y="{level}" width="{long:.1f}" height="15" fill="var(--c{group % len(PALETTE)})"/>'
            f'<text x="{start + long + 6:.1f}" y="{level + 12}">{value:,.3g}</text>'
        )
    return frame(title, height, body)
