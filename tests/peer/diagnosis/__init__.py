"""Tests of the subjects that `--doctor` looks at."""
