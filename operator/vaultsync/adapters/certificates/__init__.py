"""Converts and checks certificates in worker processes, which no file can block, bloat or end the operator through.

`workers` starts them and gives them work, `worker` is the program that runs in them, `messages` is what they exchange.
"""
