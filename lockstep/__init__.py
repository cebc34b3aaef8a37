"""The library of Lockstep: one package per subject; README.md has a map.

Start with the stage that interests you in stages/, and follow its imports.
"""
