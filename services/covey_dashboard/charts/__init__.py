"""Pictures as SVG, drawn by the server: pure functions of plain values."""
