"""Several signalling nodes that share their peers over Redis pub/sub; needs the extra `redis`.

What was begun at a node goes on there: a load balancer in front of the nodes has to send a client's
further WHIP and WHEP requests, and a WebSocket that connects again, to the same one.
"""
