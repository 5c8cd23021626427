"""A chart of what policies cost: one stacked bar each, in multiples of the optimum, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#9c6b4e", "#97bbf5")
WIDTH_PX, BAR_PX, ROW_PX = 860, 22, 34
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 130, 70, 64, 40
STEPS = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100)
"""Distances of the grid's lines; the smallest is taken that needs at most ten."""
TEXT = 'font-family="sans-serif" font-size="13" fill="#222"'


def draw_chart(title: str, bars: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """`bars`: label, and height of each component in multiples of the optimum."""
    longest = max((sum(parts.values()) for _, parts in bars), default=1.0)
    scale = (WIDTH_PX - LEFT_PX - RIGHT_PX) / max(longest, 1.0)
    height = TOP_PX + ROW_PX * len(bars) + BOTTOM_PX
    components = list(bars[0][1]) if bars else []
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_PX}" height="{height}"'
        f' viewBox="0 0 {WIDTH_PX} {height}">',
        f'<rect width="{WIDTH_PX}" height="{height}" fill="white"/>',
        f'<text x="12" y="24" {TEXT} font-weight="bold">{escape(title)}</text>',
        *_legend(components),
        *_grid(max(longest, 1.0), scale, height),
    ]
    for row, (label, parts) in enumerate(bars):
        top = TOP_PX + row * ROW_PX
        middle = top + BAR_PX * 0.7
        lines.append(
            f'<text x="{LEFT_PX - 8}" y="{middle:.1f}" {TEXT} text-anchor="end">'
            f"{escape(label)}</text>"
        )
        left = float(LEFT_PX)
        for colour, (component, value) in zip(COLOURS, parts.items(), strict=False):
            lines.append(
                f'<rect x="{left:.1f}" y="{top}" width="{value * scale:.1f}" height="{BAR_PX}"'
                f' fill="{colour}"><title>{escape(component)} {value:.3f}</title></rect>'
            )
            left += value * scale
        lines.append(
            f'<text x="{left + 6:.1f}" y="{middle:.1f}" {TEXT}>{sum(parts.values()):.2f} ×</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def _legend(components: Sequence[str]) -> list[str]:
    lines = []
    for number, (component, colour) in enumerate(zip(components, COLOURS, strict=False)):
        left = LEFT_PX + 110 * number
        lines.append(f'<rect x="{left}" y="38" width="12" height="12" fill="{colour}"/>')
        lines.append(f'<text x="{left + 18}" y="49" {TEXT}>{escape(component)}</text>')
    return lines


def _grid(longest: float, scale: float, height: int) -> list[str]:
    step = next((step for step in STEPS if longest / step <= 10), STEPS[-1])
    lines = []
    bottom = height - BOTTOM_PX
    for number in range(int(longest / step) + 1):
        value = number * step
        left = LEFT_PX + value * scale
        colour = "#222" if value == 1 else "#ddd"
        lines.append(
            f'<line x1="{left:.1f}" y1="{TOP_PX - 6}" x2="{left:.1f}" y2="{bottom}"'
            f' stroke="{colour}"/>'
        )
        lines.append(
            f'<text x="{left:.1f}" y="{bottom + 18}" {TEXT} text-anchor="middle">{value:g}</text>'
        )
    return lines
