"""Several signalling nodes that share their peers over Redis pub/sub; needs the extra `redis`."""
