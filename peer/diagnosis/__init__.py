"""What `python -m peer --doctor` looks at: one module for each subject, each with `examine()`.

Every `examine()` ends within its own named time-outs, never raises for what it finds, and returns
findings. What parses or judges is apart from what asks the system.
"""
