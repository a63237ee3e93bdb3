"""Prometheus' text format, written by hand: a few lines need no library (pure)."""

from .hub import Hub


def render(hub: Hub) -> str:
    """What there is now, and what there was since the start."""
    board = hub.switchboard
    lines = [
        "# TYPE signaling_peers gauge",
        f"signaling_peers {len(board.peers)}",
        "# TYPE signaling_sessions gauge",
        f"signaling_sessions {len(board.sessions)}",
        "# TYPE signaling_sessions_begun_total counter",
        f"signaling_sessions_begun_total {hub.counts['sessions']}",
    ]
    for name, label in (("messages", "type"), ("refusals", "reason")):
        lines.append(f"# TYPE signaling_{name}_total counter")
        for key, count in sorted(hub.counts.items()):
            kind, _, value = key.partition(".")
            if kind == name:
                lines.append(f'signaling_{name}_total{{{label}="{value}"}} {count}')
    return "\n".join(lines) + "\n"
