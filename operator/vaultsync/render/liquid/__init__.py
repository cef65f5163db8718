"""The part of the Liquid language that templates may use, within bounds; only `vaultsync.render.template` uses it.

Its modules import python-liquid, which takes a quarter of a second, so they are imported only when a template is
rendered.
"""
