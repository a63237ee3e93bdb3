"""The objects of Media Capture and Streams: devices, streams, tracks, permissions."""
