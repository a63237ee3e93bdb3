"""WebRTC: connections, and what they need of a track."""
