"""What protecting and sending packets costs alone: a loop of `protect()` and `sendto()`.

A process of its own: given one line of JSON, it answers with one, the CPU that each viewer took it,
in seconds a second.
"""

import json
import resource
import socket
import sys
import time

from pylibsrtp import Policy, Session

from .fanout_media import RATE
from .fanout_publisher import OPEN_FILES, say

SECONDS = 4.0
SOUND_RATE, SOUND_SIZE = 50, 180
TAG = 16
PROFILES = {
    "AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AES128_CM_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}
KEYS = {"AEAD_AES_256_GCM": 44, "AEAD_AES_128_GCM": 28, "AES128_CM_SHA1_80": 30}
"""Bytes of key and salt."""


def floor(
    addresses: list[tuple[str, int]], protection: str, packets: float, octets: float
) -> float:
    """Send so many packets of pictures a second to each, and sound, and nothing else.

    :param octets: those of the packets of pictures, a second.
    """
    sound = b"\x80\x60" + bytes(SOUND_SIZE)
    picture = b"\x80\x60" + bytes(max(12, round(octets / packets) - TAG) - 2)
    senders = []
    for address in addresses:
        policy = Policy(
            bytes(KEYS[protection]),
            Policy.SSRC_ANY_OUTBOUND,
            srtp_profile=PROFILES[protection],
        )
        policy.allow_repeat_tx = True
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        senders.append((Session(policy).protect, own.sendto, (address[0], address[1])))
    start, cpu = time.monotonic(), time.process_time()
    pictures = sounds = 0
    while (elapsed := time.monotonic() - start) < SECONDS:
        if elapsed >= pictures / RATE:
            due = round((pictures + 1) * packets / RATE) - round(pictures * packets / RATE)
            pictures += 1
            for protect, send, to in senders:
                for _ in range(due):
                    send(protect(picture), to)
        elif elapsed >= sounds / SOUND_RATE:
            sounds += 1
            for protect, send, to in senders:
                send(protect(sound), to)
        else:
            time.sleep(min(pictures / RATE, sounds / SOUND_RATE) - elapsed)
    return (time.process_time() - cpu) / (time.monotonic() - start) / len(addresses)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    say(floor=floor(**json.loads(sys.stdin.readline())))
