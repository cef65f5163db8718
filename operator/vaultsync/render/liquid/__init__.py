"""The part of the Liquid language that templates may use, within bounds; `vaultsync.render.template` is its one user.

Its modules import python-liquid, which takes a quarter of a second, so that nobody imports them before a template is
there to be rendered.
"""
