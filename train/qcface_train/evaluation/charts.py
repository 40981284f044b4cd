"""The line charts of the SDK, which the reports of this package draw with."""

from qcface_sdk.charts import HEIGHT, WIDTH, Axis, draw_lines

__all__ = ["HEIGHT", "WIDTH", "Axis", "draw_lines"]
