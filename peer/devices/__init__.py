"""Where samples come from: the devices of this computer, behind one backend protocol."""
