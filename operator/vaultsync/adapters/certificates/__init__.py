"""Converts certificates and hashes passwords in processes through which none can block, bloat or end the operator.

`workers` starts them and gives them work, `worker` is the program that runs in them, `messages` is what they exchange.
"""
