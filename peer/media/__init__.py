"""From frames to packets: one encode for every viewer."""
